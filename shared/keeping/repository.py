"""The table of keeping: partition customer, row id; newest first below each letter."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from shared.access.model import Scope
from shared.kit import ids
from shared.kit.errors import NotFound
from shared.kit.tables import LostRace, Row, RowExists, Tables
from shared.protection.model import Stored

TABLE = "Keeping"
_RACES = 8


def missing(some_id: str) -> NotFound:
    """The one answer for unknown and for foreign."""
    return NotFound(f"There is nothing with the id {some_id[:64]!r}.")


async def add[T: Stored](tables: Tables, customer_id: str, key: str, record: T) -> bool:
    """Create; False when the id is taken."""
    with suppress(RowExists):
        await tables[TABLE].insert(Row(customer_id, key, record.model_dump(mode="json")))
        return True
    return False


async def get[T: Stored](
    tables: Tables, scope: Scope, some_id: str, letter: str, kind: type[T]
) -> T:
    """One record; NotFound when unknown or outside the scope."""
    customer_id = ids.customer_of(some_id, letter)
    if not scope.covers(customer_id):
        raise missing(some_id)
    row = await tables[TABLE].find(customer_id, some_id)
    if row is None or row.values["partner_id"] != scope.partner_id:
        raise missing(some_id)
    return kind.model_validate(row.values | {"etag": row.etag})


async def list_of[T: Stored](
    tables: Tables, scope: Scope, customer_id: str, letter: str, kind: type[T]
) -> list[T]:
    """Every record of one kind of a customer, in id order."""
    if not scope.covers(customer_id):
        raise missing(customer_id)
    return [
        kind.model_validate(row.values | {"etag": row.etag})
        async for row in tables[TABLE].query(customer_id, prefix=f"{customer_id}-{letter}")
        if row.values["partner_id"] == scope.partner_id
    ]


async def change[T: Stored](
    tables: Tables,
    scope: Scope,
    some_id: str,
    letter: str,
    kind: type[T],
    decide: Callable[[T], T | None],
) -> T:
    """Apply a pure decision under the ETag; None leaves the row as it is."""
    for _ in range(_RACES):
        found = await get(tables, scope, some_id, letter, kind)
        changed = decide(found)
        if changed is None:
            return found
        values: dict[str, Any] = changed.model_dump(mode="json")
        customer_id = some_id[: ids.CUSTOMER_LENGTH]
        with suppress(LostRace):
            row = await tables[TABLE].replace(Row(customer_id, some_id, values, found.etag))
            return changed.model_copy(update={"etag": row.etag})
    raise LostRace(f"{some_id} keeps changing; try again.")


async def remove(tables: Tables, customer_id: str, key: str) -> None:
    """Delete; a missing row is fine."""
    await tables[TABLE].delete(customer_id, key)
