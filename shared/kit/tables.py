"""Table Storage behind seven verbs: every read names its partition, every change its ETag.

Values: str, int, bool, float and aware datetime travel as they are; dict and list are stored as
compact JSON under the same name with the suffix `_j` and come back as they were. A row that would
pass `SPILL_BYTES` in one value is refused: large things belong in blobs (architecture.md
section 5).
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from shared.kit import watch
from shared.kit.errors import HoldfastError
from shared.kit.repeating import Attempts

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient, TableServiceClient

# A string property holds at most 64 KiB of UTF-16; half of it leaves room for growth.
SPILL_BYTES = 30_000
# Ends a range of row keys that share a prefix: no key of ours holds a higher character.
LAST = "\x7f"

NAMES = (
    "Access",
    "Billing",
    "Consents",
    "Customers",
    "Drills",
    "Due",
    "Exports",
    "Fences",
    "Idempotency",
    "Keeping",
    "Licensing",
    "Marketplace",
    "Notifications",
    "ObjectRuns",
    "Objects",
    "Operations",
    "Policies",
    "RateLimits",
    "ReportedJobs",
    "Repositories",
    "Resellers",
    "Restores",
    "SessionLogs",
    "Sessions",
    "UsageDays",
    "UsageMonths",
)
# Rows of the manners themselves: no audit line tells of them.
UNWATCHED = frozenset({"Fences", "Idempotency", "RateLimits"})


class RowMissing(HoldfastError):
    """No row with these keys."""

    code, status, title = "NOT_FOUND", 404, "There is no such thing"


class RowExists(HoldfastError):
    """Insert found the keys taken."""

    code, status, title = "ALREADY_EXISTS", 409, "It exists already"


class LostRace(HoldfastError):
    """The ETag is no longer current: re-read and decide again."""

    code, status, title = "LOST_RACE", 409, "Somebody changed it at the same time"


class ValueTooLarge(HoldfastError):
    """A value passes `SPILL_BYTES`; store it in a blob and keep its hash here."""

    code, status, title = "VALUE_TOO_LARGE", 500, "A stored value is too large"


@dataclass(slots=True)
class Row:
    """One entity: keys, values, and the ETag it was read with (empty before the first write)."""

    partition: str
    key: str
    values: dict[str, Any] = field(default_factory=dict)
    etag: str = ""
    changed_at: datetime | None = None


class Table:
    """One table. `watched`: the audit trail hashes what is changed here."""

    def __init__(self, client: "TableClient", *, watched: bool = True) -> None:
        self._client, self._watched = client, watched

    async def find(self, partition: str, key: str) -> Row | None:
        """The row, or None."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return self._seen(_row(await self._client.get_entity(partition, key)))
        except ResourceNotFoundError:
            return None

    async def get(self, partition: str, key: str) -> Row:
        """The row; `RowMissing` when absent."""
        row = await self.find(partition, key)
        if row is None:
            raise RowMissing("There is no such thing.")
        return row

    async def insert(self, row: Row) -> Row:
        """Create; `RowExists` when the keys are taken. The returned row has its ETag."""
        from azure.core.exceptions import ResourceExistsError

        attempts = Attempts()
        try:
            answer = await attempts.at(lambda: self._client.create_entity(_entity(row)))
            row.etag = answer["etag"]
        except ResourceExistsError as taken:
            if not (attempts.broken and await self._holds(row)):
                raise RowExists(f"{row.key} exists already.") from taken
        self._wrote(row.partition, row.key, row.values)
        return row

    async def replace(self, row: Row) -> Row:
        """Replace under the row's ETag; `LostRace` when it is no longer current."""
        from azure.core import MatchConditions
        from azure.core.exceptions import (
            HttpResponseError,
            ResourceModifiedError,
            ResourceNotFoundError,
        )
        from azure.data.tables import UpdateMode

        try:
            answer = await self._client.update_entity(
                _entity(row),
                mode=UpdateMode.REPLACE,
                etag=row.etag,
                match_condition=MatchConditions.IfNotModified,
            )
        except (ResourceModifiedError, ResourceNotFoundError) as lost:
            raise LostRace(f"{row.key} has changed.") from lost
        except HttpResponseError as refused:
            if refused.status_code == 412:
                raise LostRace(f"{row.key} has changed.") from refused
            raise
        row.etag = answer["etag"]
        self._wrote(row.partition, row.key, row.values)
        return row

    async def upsert(self, row: Row) -> Row:
        """Write whatever was there: only for rows with one writer and a natural key."""
        from azure.data.tables import UpdateMode

        answer = await self._client.upsert_entity(_entity(row), mode=UpdateMode.REPLACE)
        row.etag = answer["etag"]
        self._wrote(row.partition, row.key, row.values)
        return row

    async def delete(self, partition: str, key: str) -> None:
        """Remove; a missing row is fine."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            await self._client.delete_entity(partition, key)
        except ResourceNotFoundError:
            return
        self._wrote(partition, key, None)

    async def query(
        self,
        partition: str,
        *,
        after: str = "",
        below: str = "",
        prefix: str = "",
        where: str = "",
        parameters: Mapping[str, Any] | None = None,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Row]:
        """Rows of one partition in key order.

        `prefix` limits to keys that start so; `after` is exclusive, `below` exclusive. `where`
        is an extra filter whose values stand in `parameters` as `@name`, never in the text.
        `limit` ends the reading after that many rows.
        """
        given: dict[str, Any] = {"partition": partition, **(parameters or {})}
        clauses = ["PartitionKey eq @partition"]
        if prefix:
            clauses.append("RowKey ge @low and RowKey lt @high")
            given |= {"low": prefix, "high": prefix + LAST}
        if after:
            clauses.append("RowKey gt @after")
            given["after"] = after
        if below:
            clauses.append("RowKey lt @below")
            given["below"] = below
        if where:
            # The client replaces whole words only: a bracket may not touch a parameter.
            clauses.append("( " + where + " )")
        found = self._client.query_entities(
            " and ".join(clauses),
            parameters=given,
            select=list(select) if select else None,
            results_per_page=min(limit, 1000) if limit else None,
        )
        left = limit
        async for entity in found:
            yield self._seen(_row(entity))
            if left is not None:
                left -= 1
                if left <= 0:
                    return

    async def batch(self, changes: Sequence[tuple[str, Row]]) -> None:
        """Commit up to 100 changes of one partition together or not at all.

        Each change is ("insert" | "replace" | "upsert" | "delete", row); replace and delete use
        the row's ETag. A taken key or a stale ETag raises `LostRace` and nothing was written.
        """
        from azure.core import MatchConditions
        from azure.data.tables import TableTransactionError, UpdateMode

        operations: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        for verb, row in changes:
            entity, options = _entity(row), {}
            if verb in {"replace", "delete"} and row.etag:
                options = {"etag": row.etag, "match_condition": MatchConditions.IfNotModified}
            if verb == "insert":
                operations.append(("create", entity, {}))
            elif verb == "delete":
                operations.append(("delete", entity, options))
            elif verb == "replace":
                operations.append(("update", entity, {"mode": UpdateMode.REPLACE, **options}))
            else:
                operations.append(("upsert", entity, {"mode": UpdateMode.REPLACE}))
        attempts = Attempts()
        try:
            await attempts.at(lambda: self._client.submit_transaction(operations))
        except TableTransactionError as refused:
            if refused.status_code not in {404, 409, 412}:
                raise
            if not (attempts.broken and await self._hold(changes)):
                raise LostRace("A row of the batch has changed.") from refused
        self.note(changes)

    def note(self, changes: Iterable[tuple[str, Row]]) -> None:
        """Let the audit trail of this work know of changes: also what others wrote for it."""
        for verb, row in changes:
            self._wrote(row.partition, row.key, None if verb == "delete" else row.values)

    async def _holds(self, row: Row) -> bool:
        """Whether a write whose answer was lost is what stands there; the row gets its ETag."""
        found = await self.find(row.partition, row.key)
        if found is None or found.values != _row(_entity(row)).values:
            return False
        row.etag = found.etag
        return True

    async def _hold(self, changes: Sequence[tuple[str, Row]]) -> bool:
        """The same of a batch, which is there as a whole or not at all."""
        for verb, row in changes:
            if verb == "delete":
                if await self.find(row.partition, row.key) is not None:
                    return False
            elif not await self._holds(row):
                return False
        return True

    def _seen(self, row: Row) -> Row:
        noted = watch.current()
        if noted is not None and self._watched:
            noted.read((self._client.table_name, row.partition, row.key), row.values)
        return row

    def _wrote(self, partition: str, key: str, values: Mapping[str, Any] | None) -> None:
        noted = watch.current()
        if noted is not None and self._watched:
            noted.wrote((self._client.table_name, partition, key), values)


class Tables:
    """All tables of the deployment, opened lazily over one connection."""

    def __init__(self, service: "TableServiceClient") -> None:
        self._service = service
        self._open: dict[str, Table] = {}

    def __getitem__(self, name: str) -> Table:
        """The table of that name; KeyError for one that is not in `NAMES`."""
        if name not in self._open:
            if name not in NAMES:
                raise KeyError(name)
            client = self._service.get_table_client(name)
            self._open[name] = Table(client, watched=name not in UNWATCHED)
        return self._open[name]

    async def create_all(self) -> None:
        """Create every table that is missing: once per deployment, not per use."""
        for name in NAMES:
            await self._service.create_table_if_not_exists(name)


def _entity(row: Row) -> dict[str, Any]:
    entity: dict[str, Any] = {"PartitionKey": row.partition, "RowKey": row.key}
    for name, value in row.values.items():
        if value is None:
            continue
        if isinstance(value, dict | list):
            name, value = f"{name}_j", orjson.dumps(value).decode()
        if isinstance(value, str) and len(value) > SPILL_BYTES:
            raise ValueTooLarge(f"{name} has {len(value)} characters.")
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**31:
            from azure.data.tables import EdmType, EntityProperty

            value = EntityProperty(value, EdmType.INT64)
        entity[name] = value
    return entity


def _row(entity: Mapping[str, Any]) -> Row:
    from azure.data.tables import EntityProperty

    values: dict[str, Any] = {}
    for name, value in entity.items():
        if name in {"PartitionKey", "RowKey"}:
            continue
        if isinstance(value, EntityProperty):
            value = value.value
        if isinstance(value, datetime):
            value = value.astimezone(UTC)
        if name.endswith("_j"):
            name, value = name[:-2], orjson.loads(value)
        values[name] = value
    metadata = getattr(entity, "metadata", {})
    return Row(
        entity["PartitionKey"],
        entity["RowKey"],
        values,
        metadata.get("etag", ""),
        metadata.get("timestamp"),
    )


async def put_over(table: Table, row: Row, held: Row | None) -> Row:
    """Insert where nothing was read, else replace what was read: `RowExists`, `LostRace`."""
    if held is None:
        return await table.insert(row)
    row.etag = held.etag
    return await table.replace(row)
