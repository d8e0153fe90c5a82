"""A table in memory with ETags and batches, and hooks to be rude to its callers."""

import bisect
import operator
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from shared.kit.tables import LAST, LostRace, Row

_COMPARE = {"eq": operator.eq, "le": operator.le, "gt": operator.gt}


class MemoryTable:
    """Behaves like `shared.kit.tables.Table` for what licensing uses."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self.keys: dict[str, list[str]] = defaultdict(list)
        self.version = 0
        self.reads = 0
        self.batches = 0
        self.largest = 0
        self.before_batch: Callable[[], Awaitable[None]] | None = None
        """Runs between the reads of a decision and its commit, once."""
        self.fail_after_batch: Exception | None = None
        """Raised once after a batch was written: the answer was lost."""

    async def find(self, partition: str, key: str) -> Row | None:
        self.reads += 1
        row = self.rows.get((partition, key))
        return _copy(row) if row else None

    async def query(
        self,
        partition: str,
        *,
        after: str = "",
        below: str = "",
        prefix: str = "",
        where: str = "",
        parameters: Mapping[str, Any] | None = None,
        select: Sequence[str] = (),
    ) -> AsyncIterator[Row]:
        self.reads += 1
        keys = self.keys[partition]
        first = bisect.bisect_left(keys, max(prefix, after))
        end = bisect.bisect_left(keys, min(prefix + LAST, below or LAST))
        found = [
            _copy(row)
            for row in (self.rows[partition, key] for key in keys[first:end] if key != after)
            if not where or _meets(row, where, parameters or {})
        ]
        for row in found:
            yield row

    async def replace(self, row: Row) -> Row:
        await self.batch([("replace", row)])
        return self.rows[row.partition, row.key]

    async def upsert(self, row: Row) -> Row:
        await self._write([("upsert", row)])
        return self.rows[row.partition, row.key]

    def note(self, changes: Iterable[tuple[str, Row]]) -> None:
        """Nobody keeps an audit trail of this table."""

    async def batch(self, changes: Sequence[tuple[str, Row]]) -> None:
        hook, self.before_batch = self.before_batch, None
        if hook is not None:
            await hook()
        await self._write(changes)

    async def _write(self, changes: Sequence[tuple[str, Row]]) -> None:
        assert len({row.partition for _, row in changes}) == 1
        assert len({row.key for _, row in changes}) == len(changes) <= 100
        for verb, row in changes:
            stored = self.rows.get((row.partition, row.key))
            if verb == "insert" and stored is not None:
                raise LostRace("taken")
            if verb in {"replace", "delete"} and (stored is None or stored.etag != row.etag):
                raise LostRace("changed")
        self.batches += 1
        self.largest = max(self.largest, len(changes))
        for verb, row in changes:
            self.version += 1
            if verb == "delete":
                del self.rows[row.partition, row.key]
                self.keys[row.partition].remove(row.key)
                continue
            values = {k: v for k, v in row.values.items() if v is not None}
            stored_values = orjson.loads(orjson.dumps(values))
            if (row.partition, row.key) not in self.rows:
                bisect.insort(self.keys[row.partition], row.key)
            self.rows[row.partition, row.key] = Row(
                row.partition, row.key, stored_values, f"v{self.version}"
            )
        failure = None
        if any(row.key == "head" for _, row in changes):
            failure, self.fail_after_batch = self.fail_after_batch, None
        if failure is not None:
            raise failure


def _copy(row: Row) -> Row:
    """Nested values are shared: readers make models of them and change nothing."""
    return Row(row.partition, row.key, dict(row.values), row.etag)


def _meets(row: Row, where: str, given: Mapping[str, Any]) -> bool:
    """What a filter of clauses joined by `and` says; a row without the column never meets it."""
    for clause in where.split(" and "):
        name, verb, parameter = clause.split()
        value, other = row.values.get(name), given[parameter.removeprefix("@")]
        if value is None or not _COMPARE[verb](value, other):
            return False
    return True
