"""The log of a session: append-only rows below its id, each written once (BKP-15, BKP-16).

A line's key follows from what it tells: whoever repeats a step writes nothing new, and the seal
adds what a worker that died could not write.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.kit.tables import Row, RowExists, Tables
from shared.protection import log_lines, repository
from shared.protection.log_lines import LogLine
from shared.protection.model import RUN_OVER, ObjectRun, Session

if TYPE_CHECKING:
    from shared.bootstrap import Deps

TABLE = "SessionLogs"


async def add(tables: Tables, session_id: str, lines: Iterable[LogLine]) -> None:
    """Append; a line that is there stays as it is."""
    for line in lines:
        values = line.model_dump(mode="json", exclude={"key"})
        with suppress(RowExists):
            await tables[TABLE].insert(Row(session_id, line.key, values))


async def close(tables: Tables, session: Session, runs: Iterable[ObjectRun]) -> None:
    """The last lines of a session that is over, and every line of an object that is missing."""
    held = {
        row.key
        async for row in tables[TABLE].query(session.session_id, select=["PartitionKey", "RowKey"])
    }
    lines = [log_lines.started(session)]
    over = [run for run in runs if run.state in RUN_OVER and run.ended_at is not None]
    lines += [log_lines.ended_object(run) for run in over]
    lines += log_lines.ended(session)
    await add(tables, session.session_id, [line for line in lines if line.key not in held])


async def read(
    deps: "Deps", scope: Scope, session_id: str, *, statuses: frozenset[str], after: str = ""
) -> AsyncIterator[LogLine]:
    """Lines in the order they happened, after a key; NotFound outside the scope."""
    await repository.get_session(deps.tables, scope, session_id)
    async for row in deps.tables[TABLE].query(session_id, after=after):
        line = LogLine.model_validate(row.values | {"key": row.key})
        if not statuses or line.status in statuses:
            yield line


async def page(
    deps: "Deps",
    scope: Scope,
    session_id: str,
    *,
    statuses: frozenset[str],
    after: str,
    limit: int,
) -> tuple[list[LogLine], str | None]:
    """A page of lines, and the key the next page starts after."""
    found: list[LogLine] = []
    async for line in read(deps, scope, session_id, statuses=statuses, after=after):
        if len(found) == limit:
            return found, found[-1].key
        found.append(line)
    return found, None
