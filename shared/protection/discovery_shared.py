"""Finds what a customer's tenant shares: sites and teams, new and vanished ones."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers.model import Customer, Service
from shared.kit import ids
from shared.protection import repository
from shared.protection.model import ACTIVE, DELETED_STATES, REMOVED, ProtectedObject, Workload
from shared.protection.vaults import tenant_of

if TYPE_CHECKING:
    from shared.bootstrap import Deps
    from shared.microsoft365.tenant_sites import FoundSite, FoundTeam, TenantSites

SITE_DELETED, TEAM_DELETED = "site_deleted", "team_deleted"
Known = Mapping[str, ProtectedObject]


async def discover_shared(
    deps: "Deps", customer: Customer, known: Known, seats: int
) -> dict[str, int]:
    """Bring the rows of sites and teams up to date; returns how many there are.

    Asks only for what the customer chose and our token may read (M37, M38). A list that comes back
    empty changes nothing: it is more likely a fault than a tenant without sites.
    """
    from shared.microsoft365 import permissions
    from shared.microsoft365.model import Budget
    from shared.microsoft365.tenant_sites import TenantSites
    from shared.microsoft365.transport import GraphTransport

    chosen = set(customer.services)
    if not chosen & {Service.SHAREPOINT, Service.TEAMS}:
        return {}
    transport = GraphTransport(
        deps.settings,
        deps.tokens,
        tenant_of(customer),
        Budget(),
        client_id=customer.consent.reader_client_id if customer.consent else None,
        seats=seats,
        fences=deps.fences,
    )
    roles, tenant = await transport.roles(), TenantSites(transport)
    counts: dict[str, int] = {}
    now = deps.clock.now()
    teams: list[ProtectedObject] = []
    if Service.TEAMS in chosen and permissions.MANIFEST["reader"]["team"] <= roles:
        found = await tenant.list_teams()
        teams = [await _team(customer, each, tenant, known, now) for each in found]
        await _settle(deps, customer, "team", teams, known)
        counts["teams"] = len(teams)
    if permissions.MANIFEST["reader"]["site"] <= roles:
        team_of = {str(one.site_id): one.source_id for one in teams if one.site_id}
        sites = [_site(customer, each, team_of, now) for each in await tenant.list_sites()]
        await _settle(deps, customer, "site", sites, known)
        counts["sites"] = len(sites)
    return counts


async def _team(
    customer: Customer, found: "FoundTeam", tenant: "TenantSites", known: Known, now: datetime
) -> ProtectedObject:
    """Its site is asked for once: it stays the same."""
    made = _object(customer, "team", found.id, found.display_name, found.mail, now)
    held = known.get(made.object_id)
    site_id = held.site_id if held is not None else None
    if site_id is None:
        site_id = await tenant.site_of_team(found.id)
    return made.model_copy(update={"site_id": site_id})


def _site(
    customer: Customer, found: "FoundSite", team_of: Mapping[str, str], now: datetime
) -> ProtectedObject:
    title = found.display_name or found.name
    made = _object(customer, "site", found.id, title, found.web_url, now)
    return made.model_copy(update={"team_id": team_of.get(found.id)})


def _object(
    customer: Customer,
    workload: Workload,
    source_id: str,
    title: str | None,
    address: str | None,
    now: datetime,
) -> ProtectedObject:
    return ProtectedObject(
        object_id=ids.object_id(customer.customer_id, workload, source_id),
        customer_id=customer.customer_id,
        partner_id=customer.partner_id,
        workload=workload,
        source_id=source_id,
        owner_id=source_id,
        display_name=title or address or source_id,
        address=address or "",
        discovered_at=now,
    )


async def _settle(
    deps: "Deps", customer: Customer, workload: Workload, found: list[ProtectedObject], known: Known
) -> None:
    """Write what is new or renamed; what vanished keeps its restore points."""
    scope = Scope(customer.partner_id)
    for one in found:
        held = known.get(one.object_id)
        if held is None:
            await repository.add_object(deps.tables, scope, one)
            continue
        if held.state == REMOVED:
            continue  # its name was erased and does not come back
        update = {
            "display_name": one.display_name,
            "address": one.address,
            "site_id": one.site_id,
            "team_id": one.team_id,
            "licensed": True,
            "state": ACTIVE if held.state in DELETED_STATES else held.state,
        }
        changed = held.model_copy(update=update)
        if changed != held:
            await repository.save_object(deps.tables, scope, changed)
    if not found:
        return
    state = TEAM_DELETED if workload == "team" else SITE_DELETED
    seen = {one.object_id for one in found}
    for one in known.values():
        if one.state == REMOVED or one.object_id in seen:
            continue
        if one.workload == workload and one.licensed:
            gone = one.model_copy(update={"licensed": False, "state": state})
            await repository.save_object(deps.tables, scope, gone)
