"""What the clocks of usage do: all partners, each by itself, and any number of times."""

import logging
from datetime import date
from itertools import batched
from typing import TYPE_CHECKING, Any

from shared.access.model import Scope
from shared.kit.errors import HoldfastError
from shared.licensing import standings
from shared.licensing.repository import TABLE as LICENSING
from shared.usage import amending, closing, measuring, reselling, service, snapshots
from shared.usage.inputs import read_books, read_month
from shared.usage.model import Report
from shared.usage.refusals import UsageUnknown

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)
AT_ONCE = 100
"""Customers measured in one activity; they share one reading of the partner's ledger."""


async def partners(deps: "Deps") -> list[str]:
    """Every partner that has done anything, or for whom anything was bought."""
    active = await (await deps.trail()).partners()
    return sorted({*active, *await standings.partners(deps.tables[LICENSING])})


async def submissions(deps: "Deps", after: str, most: int) -> tuple[list[Report], str | None]:
    """Every report of the next `most` partners after one, and the last of these; None at the end.

    For the operator: no scope limits it.
    """
    rows = await deps.usage()
    ahead = [each for each in await partners(deps) if each > after]
    found = [report for each in ahead[:most] for report in await rows.reports(Scope(each))]
    return found, ahead[most - 1] if len(ahead) > most else None


async def list_measured(deps: "Deps", day: str) -> list[dict[str, Any]]:
    """The customers that are measured on a day, in parts of one partner each."""
    found = []
    for partner_id in await partners(deps):
        ids = await measuring.measured_customers(deps, Scope(partner_id))
        found += [
            {"partner_id": partner_id, "day": day, "customers": list(some)}
            for some in batched(ids, AT_ONCE, strict=False)
        ]
    return found


async def measure_some(deps: "Deps", scope: Scope, day: str, customers: list[str]) -> int:
    """Measure some customers; how many could not be read completely."""
    rows = await deps.usage()
    made = await measuring.measure(deps, rows, scope, date.fromisoformat(day), customers)
    return sum(not each.is_known for each in made)


async def close_month(deps: "Deps", scope: Scope, month: str) -> dict[str, Any]:
    """Keep the picture of the month's end and close it; what holds it up is told, not raised."""
    rows = await deps.usage()
    await snapshots.take(deps, rows, scope, month)
    try:
        closed = await closing.close(deps, rows, scope, month)
    except UsageUnknown as refused:
        log.warning("%s of %s is held up: %s", month, scope.partner_id, refused.detail)
        return {"state": "Blocked", "detail": refused.detail}
    told = await reselling.bill(deps, rows, scope, month, closed.read)
    if told["state"] == "Unpriced":
        log.warning("%s of %s has items without a price: %s", month, scope.partner_id, told)
        return told
    return {"state": "Closed", "lines": len(closed.invoice.lines), "resale": told["state"]}


async def take_pictures(deps: "Deps", month: str) -> int:
    """The picture of a month's end of every partner; one that fails keeps no other waiting."""
    rows, broken = await deps.usage(), 0
    for partner_id in await partners(deps):
        try:
            await snapshots.take(deps, rows, Scope(partner_id), month)
        except HoldfastError:
            log.exception("no picture of %s was kept for %s", partner_id, month)
            broken += 1
    return broken


async def amend_partner(deps: "Deps", scope: Scope) -> int:
    """Look at the newest closed months of a partner again; the adjustments found."""
    rows = await deps.usage()
    closed = [m for m, noted in await rows.months(scope) if noted.get("state") == "Closed"]
    books, found = await read_books(deps, scope) if closed else None, 0
    for month in amending.months_to_amend(closed):
        read = await read_month(deps, rows, scope, month, books)
        found += len(await amending.amend(deps, rows, scope, month, read))
        found += len(await reselling.amend(deps, rows, scope, month, read))
    return found


async def keep_deadlines(deps: "Deps") -> int:
    """Late flags, suspension and release of every partner; how many are suspended."""
    rows, suspended = await deps.usage(), 0
    for partner_id in await partners(deps):
        try:
            suspended += await service.keep_deadlines(deps, rows, Scope(partner_id))
        except HoldfastError:  # a lost race: tomorrow looks again
            log.exception("the deadlines of %s were not kept", partner_id)
    return suspended
