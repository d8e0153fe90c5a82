"""Who has a ledger, and what the operator has allowed each partner (RES-01, RES-06, LIC-55)."""

from dataclasses import asdict

from shared.access.model import Scope
from shared.kit.tables import Row, Table
from shared.licensing.model import Standing

PARTNERS = "partners"
"""Partition with one row per partner that has a ledger: what nightly work walks along."""
_KEY = "standing"


async def of(table: Table, scope: Scope) -> Standing:
    """The partner's standing; the good one when nothing was ever said."""
    row = await table.find(scope.partner_id, _KEY)
    return Standing(**row.values) if row else Standing()


async def save(table: Table, scope: Scope, standing: Standing) -> None:
    """Replace it: the operator is its one writer."""
    await table.upsert(Row(scope.partner_id, _KEY, asdict(standing)))


async def set_suspended(table: Table, scope: Scope, *, suspended: bool) -> None:
    """Suspend or release licence management alone (LIC-55); `LostRace` beside another change."""
    row = await table.find(scope.partner_id, _KEY)
    if row is None:
        standing = Standing(licence_management_suspended=suspended)
        await table.insert(Row(scope.partner_id, _KEY, asdict(standing)))
        return
    row.values["licence_management_suspended"] = suspended
    await table.replace(row)


async def partners(table: Table) -> list[str]:
    """Every partner that has a ledger."""
    return [row.key async for row in table.query(PARTNERS)]
