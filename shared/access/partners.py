"""Which partner a home tenant belongs to; registering one; what it says of itself."""

import time
from collections import OrderedDict
from collections.abc import Iterable

from shared.access import repository
from shared.access import role_repository as rows
from shared.access.client_service import ClientExists, Clients
from shared.access.ip_ranges import Address, check_address
from shared.access.model import Admin, Client, Partner, Scope
from shared.access.permissions import LICENCES, SERVICES, Audience, assignable
from shared.access.role_model import (
    ADMINISTRATOR,
    Grant,
    Grants,
    Network,
    PartnerProfile,
    fresh,
)
from shared.access.role_repository import Change, State
from shared.access.role_rules import UserExists
from shared.access.user_service import Users
from shared.kit.clock import Clock
from shared.kit.errors import NotFound
from shared.kit.etags import check_if_match, strong_etag
from shared.kit.ids import new_id
from shared.kit.tables import Tables

# A tenant stays with its partner, so what was found is kept; a stranger is asked for again.
STRANGER_SECONDS = 30.0
# Strangers with good tokens of their own tenants must not grow the memory without end.
MOST_TENANTS = 10_000
_EVERYTHING = assignable(Audience.PARTNER, Audience.CLIENT)
# Who registers a partner gives what nobody has given them.
REGISTRAR = Grants(
    is_administrator=True,
    grants=(Grant(permissions=_EVERYTHING, customers=None, areas=frozenset({SERVICES, LICENCES})),),
)


class Partners:
    """The verbs on partners."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables, self._clock = tables, clock
        self._table = tables[repository.TABLE]
        self._known: OrderedDict[str, tuple[float, str | None]] = OrderedDict()

    async def of_tenant(self, tenant_id: str) -> str | None:
        """The id of the partner at home in this tenant; remembered."""
        until, partner_id = self._known.get(tenant_id, (0.0, None))
        if partner_id is None and until <= time.monotonic():
            partner_id = await repository.find_id(self._tables, tenant_id)
            self._known[tenant_id] = (time.monotonic() + STRANGER_SECONDS, partner_id)
            if len(self._known) > MOST_TENANTS:
                self._known.popitem(last=False)
        return partner_id

    async def home_of(self, scope: Scope) -> str:
        """The home tenant of the partner; `NotFound` for one that is not registered."""
        partner = await repository.find(self._tables, scope.partner_id)
        if partner is None:
            raise NotFound("There is no such partner.")
        return partner.tenant_id

    async def register(
        self,
        tenant_id: str,
        name: str,
        clients: Iterable[Client | str] = (),
        admins: Iterable[Admin] = (),
    ) -> Partner:
        """Register the tenant as a partner, or add to the one it is; may be repeated."""
        known = await repository.find_by_tenant(self._tables, tenant_id)
        partner = Partner(
            partner_id=known.partner_id if known else new_id(),
            tenant_id=tenant_id.lower(),
            name=name,
            created_at=known.created_at if known else self._clock.now(),
        )
        await repository.save(self._tables, partner)
        self._known.pop(partner.tenant_id, None)
        scope = Scope(partner.partner_id)
        await rows.change(self._table, scope, lambda state: _introduce(scope, state, name))
        for client in clients:
            await self._add(scope, Client(client) if isinstance(client, str) else client)
        for admin in admins:
            await self._appoint(scope, partner.tenant_id, admin)
        return partner

    async def profile(self, scope: Scope) -> PartnerProfile:
        """Name and address ranges of the partner."""
        return (await rows.load(self._table, scope)).profile

    async def save_profile(
        self,
        scope: Scope,
        if_match: str | None,
        *,
        display_name: str,
        network: Network,
        address: Address | None,
    ) -> PartnerProfile:
        """Replace name and ranges (SET-01); `AddressNotAllowed` when they lock out who asks."""
        check_address(address, [network.restriction()])

        def decide(state: State) -> tuple[PartnerProfile, list[Change]]:
            check_if_match(if_match, strong_etag(state.profile.etag))
            profile = PartnerProfile(display_name=display_name, network=network)
            return profile, [rows.put(scope, profile)]

        return await rows.change(self._table, scope, decide)

    async def _add(self, scope: Scope, client: Client) -> None:
        """Register an application with everything an application may hold, or renew it."""
        verbs = Clients(self._table, self._clock)
        for if_match in (None, "*"):
            try:
                await verbs.save_client(
                    scope,
                    REGISTRAR,
                    client.client_id,
                    if_match,
                    name=client.name or client.client_id,
                    permissions=assignable(Audience.CLIENT),
                    customers=client.customers,
                    areas=frozenset({SERVICES, LICENCES}),
                    created_by="registration",
                )
            except ClientExists:
                continue
            break
        if client.is_operator:
            await rows.change(self._table, scope, lambda state: _operates(scope, state, client))

    async def _appoint(self, scope: Scope, tenant_id: str, admin: Admin) -> None:
        try:
            await Users(self._table, self._clock).add_user(
                scope,
                REGISTRAR,
                email=admin.email,
                first_name=admin.first_name,
                last_name=admin.last_name,
                role_ids=[ADMINISTRATOR],
                tenant_id=tenant_id,
                created_by="registration",
            )
        except UserExists:
            return  # registered before; what has become of them since is the partner's affair


def _introduce(scope: Scope, state: State, name: str) -> tuple[None, list[Change]]:
    """The first commit makes the stamp: from now on the partner is known."""
    if state.stamp.etag and state.profile.display_name:
        return None, []
    return None, [rows.put(scope, fresh(state.profile, display_name=name))]


def _operates(scope: Scope, state: State, client: Client) -> tuple[None, list[Change]]:
    """The operator's permissions for one application: no verb of a partner gives them."""
    held = state.clients[client.client_id.lower()]
    codes = held.permissions | assignable(Audience.OPERATOR)
    return None, [rows.put(scope, fresh(held, permissions=codes))]
