"""What nobody asks for: sweeps by date, and seats that follow the tenants (24.3, LIC-43 to 46)."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.catalogue import rules as catalogue_rules
from shared.catalogue.model import Basis
from shared.customers import repository
from shared.customers.tenant_licences import read_licences
from shared.licensing import agenda, brake, mending, service
from shared.licensing.model import State, Subscription
from shared.licensing.refusals import MassChange
from shared.licensing.repository import TABLE
from shared.licensing.rules.adjusting import Need

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)


async def sweep_all(deps: "Deps") -> dict[str, int]:
    """Partner -> events; one partner's trouble is logged and keeps nobody else waiting."""
    table, today = deps.tables[TABLE], deps.ledgers.today()
    await mending.complete_agenda(table, today)
    lines = await agenda.due(table, today)

    async def one(scope: Scope) -> int:
        swept = await service.sweep(deps.ledgers, scope)
        await agenda.strike(table, lines[scope.partner_id], today, settled=swept.settled)
        return swept.events

    return await _each(list(lines), one)


async def adjust_all(deps: "Deps") -> dict[str, int]:
    """Partner -> events; where too much would change, a person is asked (`brake`)."""

    async def one(scope: Scope) -> int:
        return await _unless_stopped(deps, scope, approved=0) or 0

    return await _each(await agenda.following(deps.tables[TABLE]), one)


async def adjust_approved(deps: "Deps") -> dict[str, int]:
    """Partner -> events, for those whose mass change a person has approved.

    Up to the number that was asked: when the tenants say more by now, a person is asked anew.
    """

    async def one(scope: Scope) -> int:
        approved = await brake.approved(deps.tables[TABLE], scope)
        if not approved:
            return 0
        done = await _unless_stopped(deps, scope, approved=approved)
        if done is not None:
            await brake.release(deps.tables[TABLE], scope)
        return done or 0

    return await _each(await agenda.following(deps.tables[TABLE]), one)


async def _unless_stopped(deps: "Deps", scope: Scope, *, approved: int) -> int | None:
    """The number of events; None when it was stopped and a person is asked."""
    try:
        return await adjust(deps, scope, approved=approved)
    except MassChange as stopped:
        await brake.ask(deps.tables[TABLE], scope, stopped, deps.clock.now())
        log.warning("%s: %s", scope.partner_id, stopped.detail)
        return None


async def adjust(deps: "Deps", scope: Scope, *, approved: int = 0) -> int:
    """Let one partner's automatic subscriptions follow their tenants; the number of events.

    A tenant that cannot be read is left out, so nothing of it changes. `MassChange` (409).
    """
    found: dict[str, dict[Basis, int] | None] = {}
    needs = []
    services = deps.ledgers.catalogue.service_by_code
    for sub in await deps.ledgers.following(scope):
        basis, customer_id = services[sub.service].licence_basis, sub.customer_id
        if basis is None or sub.state is not State.ACTIVE:
            continue
        if customer_id not in found:
            found[customer_id] = await _read(deps, scope, customer_id)
        counted = found[customer_id]
        if counted is not None:
            # What is measured was noted on the ledger by the night's own pass (LIC-53).
            protected = sub.protected if _is_measured(deps, sub) else None
            needs.append(Need(sub.key, counted[basis], protected))
    swept = await service.adjust(deps.ledgers, scope, needs, approved=approved)
    return swept.events


def _is_measured(deps: "Deps", sub: Subscription) -> bool:
    catalogue = deps.ledgers.catalogue
    part = catalogue.part_of(catalogue_rules.place(catalogue, sub.slot))
    return catalogue_rules.is_measured(part, sub.settings)


async def _read(deps: "Deps", scope: Scope, customer_id: str) -> dict[Basis, int] | None:
    customer = await repository.find(deps.tables, scope, customer_id)
    if customer is None or customer.tenant_id is None:
        return None
    return await read_licences(deps, customer.tenant_id)


async def _each(partners: Sequence[str], work: Callable[[Scope], Awaitable[int]]) -> dict[str, int]:
    done = {}
    for partner_id in partners:
        try:
            events = await work(Scope(partner_id))
        except Exception:  # the next run finds it undone and does it
            log.exception("licences of %s wait for the next run", partner_id)
            continue
        if events:
            done[partner_id] = events
    return done
