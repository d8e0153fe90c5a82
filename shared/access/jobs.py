"""Rows of one customer's jobs (restores, exports, drills), seen through the caller's scope."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from shared.access.model import Scope
from shared.kit import ids
from shared.kit.errors import NotFound
from shared.kit.tables import LostRace, Row, Tables

_RACES = 12
_OPEN = "open"


def missing(some_id: str) -> NotFound:
    """The answer for whatever is unknown or outside the scope: nobody learns which."""
    return NotFound(f"There is nothing with the id {some_id[:64]!r}.")


@dataclass(frozen=True, slots=True)
class Asked:
    """A job that somebody has asked for, and when."""

    partner_id: str
    job_id: str
    at: datetime


class Jobs[J: BaseModel]:
    """One table of jobs: a row per job, partition customer, its key the job's id.

    The model names its `partner_id`, `customer_id`, `created_at`, `etag` and its id under
    `id_field`; where owners may see their own jobs (CUS-39) it names who asked as `requested_by`.
    """

    def __init__(
        self, table: str, kind: str, model: type[J], id_field: str, *, for_owners: bool = True
    ) -> None:
        self._table, self._kind, self._model = table, kind, model
        self._id_field, self._for_owners = id_field, for_owners

    async def get(self, tables: Tables, scope: Scope, job_id: str) -> J:
        """The job; NotFound when unknown or outside the scope."""
        return self._read(await self._row(tables, scope, job_id))

    async def add(self, tables: Tables, scope: Scope, job: J) -> J:
        """Create; `RowExists` when the id is taken, NotFound outside the scope.

        A note of it is written first: whatever breaks, `open_jobs` names what was asked for.
        """
        values = job.model_dump(mode="json")
        if values["partner_id"] != scope.partner_id or not scope.covers(values["customer_id"]):
            raise missing(values[self._id_field])
        row = Row(values["customer_id"], values[self._id_field], values)
        noted = {"partner_id": scope.partner_id, "created_at": values["created_at"]}
        await tables[self._table].upsert(Row(_OPEN, row.key, noted))
        return _with_etag(job, await tables[self._table].insert(row))

    async def change(
        self, tables: Tables, scope: Scope, job_id: str, decide: Callable[[J], J | None]
    ) -> J:
        """Apply a pure decision under the ETag; None leaves the row as it is.

        `LostRace` when others keep writing; NotFound like `get`.
        """
        for _ in range(_RACES):
            row = await self._row(tables, scope, job_id)
            job = self._read(row)
            changed = decide(job)
            if changed is None:
                return job
            values = changed.model_dump(mode="json")
            try:
                written = await tables[self._table].replace(
                    Row(row.partition, row.key, values, row.etag)
                )
            except LostRace:
                continue
            return _with_etag(changed, written)
        raise LostRace(f"{job_id} keeps changing; try again.")

    async def page(
        self,
        tables: Tables,
        scope: Scope,
        customer_id: str,
        *,
        after: str = "",
        limit: int,
        chosen: Callable[[J], bool] = lambda _: True,
    ) -> list[J]:
        """A customer's jobs, newest first, after the job id `after`; own ones of an owner."""
        if not scope.covers(customer_id):
            raise missing(customer_id)
        found: list[J] = []
        prefix = f"{customer_id}-{self._kind}"
        async for row in tables[self._table].query(customer_id, prefix=prefix, after=after):
            if row.values["partner_id"] != scope.partner_id:
                raise missing(customer_id)
            job = self._read(row)
            if self._is_for(scope, row.values) and chosen(job):
                found.append(job)
            if len(found) >= limit:
                break
        return found

    async def open_jobs(self, tables: Tables) -> AsyncIterator[Asked]:
        """Everybody's jobs whose end nobody has noted yet (`settle`), also such as were lost."""
        async for row in tables[self._table].query(_OPEN):
            at = datetime.fromisoformat(row.values["created_at"])
            yield Asked(row.values["partner_id"], row.key, at)

    async def settle(self, tables: Tables, job_id: str) -> None:
        """The job has ended, or is gone: nobody has to look after it any more."""
        await tables[self._table].delete(_OPEN, job_id)

    async def _row(self, tables: Tables, scope: Scope, job_id: str) -> Row:
        customer_id = ids.customer_of(job_id, self._kind)
        if not scope.covers(customer_id):
            raise missing(job_id)
        row = await tables[self._table].find(customer_id, job_id)
        if (
            row is None
            or row.values["partner_id"] != scope.partner_id
            or not self._is_for(scope, row.values)
        ):
            raise missing(job_id)
        return row

    def _is_for(self, scope: Scope, values: dict[str, Any]) -> bool:
        if scope.owner_id is None:
            return True
        return self._for_owners and bool(values["requested_by"] == scope.owner_id)

    def _read(self, row: Row) -> J:
        return self._model.model_validate(row.values | {"etag": row.etag})


def _with_etag[J: BaseModel](job: J, row: Row) -> J:
    return job.model_copy(update={"etag": row.etag})
