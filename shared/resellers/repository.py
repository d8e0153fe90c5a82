"""The table "Resellers": who is whose.

| partition | row | |
| --- | --- | --- |
| partner above | reseller~{id} | its resellers, invited and joined |
| partner above | move~{id} | seats on their way from one reseller to another |
| reseller's own | above | the one partner above it |
| resellers | partner above | who has resellers: what the clock walks along |
"""

from shared.access.model import Scope
from shared.kit.tables import Row, RowExists, Table, Tables
from shared.resellers.model import Above, Move, Reseller
from shared.resellers.rules import unknown

TABLE = "Resellers"
_WITH_RESELLERS = "resellers"


async def find(tables: Tables, scope: Scope, reseller_id: str) -> Reseller | None:
    """A reseller of the partner, or None."""
    row = await tables[TABLE].find(scope.partner_id, f"reseller~{reseller_id}")
    return Reseller.model_validate(row.values | {"etag": row.etag}) if row else None


async def get(tables: Tables, scope: Scope, reseller_id: str) -> Reseller:
    """A reseller of the partner; `ResellerUnknown` (404) for any other id."""
    found = await find(tables, scope, reseller_id)
    if found is None:
        raise unknown(reseller_id)
    return found


async def list_all(tables: Tables, scope: Scope) -> list[Reseller]:
    """Every reseller of the partner."""
    return [
        Reseller.model_validate(row.values | {"etag": row.etag})
        async for row in tables[TABLE].query(scope.partner_id, prefix="reseller~")
    ]


async def add(tables: Tables, reseller: Reseller) -> Reseller:
    """Insert; `RowExists` when the id is taken. The partner is on the clock's list from then on."""
    await tables[TABLE].upsert(Row(_WITH_RESELLERS, reseller.above))
    return _kept(reseller, await tables[TABLE].insert(_row(reseller)))


async def save(tables: Tables, reseller: Reseller) -> Reseller:
    """Replace under the ETag it was read with; `LostRace`."""
    return _kept(reseller, await tables[TABLE].replace(_row(reseller)))


async def remove(tables: Tables, reseller: Reseller) -> None:
    """Gone; the row in its own partition counts for nothing without this one."""
    await tables[TABLE].delete(reseller.above, f"reseller~{reseller.reseller_id}")


async def find_above(tables: Tables, scope: Scope) -> Above | None:
    """Whose reseller the partner is or was."""
    row = await tables[TABLE].find(scope.partner_id, "above")
    return Above.model_validate(row.values | {"etag": row.etag}) if row else None


async def put_above(tables: Tables, scope: Scope, held: Above | None, wanted: Above) -> None:
    """Say it, where `held` was read before; `LostRace` or `RowExists` when somebody else has."""
    row = Row(scope.partner_id, "above", wanted.model_dump(mode="json"), held.etag if held else "")
    if held is None:
        await tables[TABLE].insert(row)
    else:
        await tables[TABLE].replace(row)


async def begin_move(tables: Tables, scope: Scope, move: Move) -> Move:
    """Write it down; the one that is there when it was begun before."""
    try:
        await tables[TABLE].insert(_move_row(scope, move))
    except RowExists:
        row = await tables[TABLE].get(scope.partner_id, f"move~{move.move_id}")
        return Move.model_validate(row.values)
    return move


async def end_move(tables: Tables, scope: Scope, move: Move) -> None:
    """It is over."""
    await tables[TABLE].delete(scope.partner_id, f"move~{move.move_id}")


async def moves(tables: Tables, scope: Scope) -> list[Move]:
    """What was begun and is not over."""
    found = tables[TABLE].query(scope.partner_id, prefix="move~")
    return [Move.model_validate(row.values) async for row in found]


async def with_resellers(table: Table) -> list[str]:
    """Every partner that ever invited a reseller."""
    return [row.key async for row in table.query(_WITH_RESELLERS)]


def _row(reseller: Reseller) -> Row:
    values = reseller.model_dump(mode="json")
    return Row(reseller.above, f"reseller~{reseller.reseller_id}", values, reseller.etag)


def _move_row(scope: Scope, move: Move) -> Row:
    return Row(scope.partner_id, f"move~{move.move_id}", move.model_dump(mode="json"))


def _kept(reseller: Reseller, row: Row) -> Reseller:
    return reseller.model_copy(update={"etag": row.etag})
