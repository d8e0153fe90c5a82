"""What a caller may do, at the cost of one table read; and the context a user acts in.

The state of a partner is kept in memory with its stamp's version. Each request reads the stamp:
unchanged, the memory is good; changed, everything is read anew. So a change, a deletion or a
switch of context is in force at the very next request of every worker (ROL-08, ROL-15).
"""

from collections import OrderedDict

from shared.access import api_keys, contexts
from shared.access import role_repository as rows
from shared.access import role_rules as rules
from shared.access.contexts import Door
from shared.access.ip_ranges import Address, check_address
from shared.access.model import Scope
from shared.access.role_model import ActiveContext, ApiClient, ApiKey, Grant, Grants, User
from shared.access.role_repository import Change, State
from shared.kit.clock import Clock
from shared.kit.errors import Forbidden, NotFound
from shared.kit.tables import Table

# Partners kept in memory per worker; the least recently seen one is forgotten.
MOST_PARTNERS = 500


class UserUnknown(Forbidden):
    """A good token of somebody who was not added as a user (ACC-01)."""

    code, title = "USER_UNKNOWN", "You are not a user of this partner"


class ClientUnknown(Forbidden):
    """A good token of an application that is not registered, or switched off."""

    code, title = "CLIENT_NOT_REGISTERED", "This application is not registered"


class GrantBook:
    """Grants of users, applications and keys."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def of_user(self, scope: Scope, tenant_id: str, object_id: str) -> Grants:
        """What the user of this identity may do; `UserUnknown` (403) when nobody added them."""
        known = await self._current(scope)
        user = known.by_identity.get(_identity(tenant_id, object_id))
        if user is None:
            raise UserUnknown("Ask an administrator to add you.")
        if user.user_id not in known.grants:
            held = rules.effective(user, known.state.roles, known.state.groups)
            context = known.state.contexts.get(user.user_id)
            known.grants[user.user_id] = held.model_copy(update={"context": context})
        return known.grants[user.user_id]

    async def of_client(
        self, scope: Scope, client_id: str, address: Address | None
    ) -> tuple[ApiClient, Grants]:
        """What a registered application may do; `ClientUnknown`, `AddressNotAllowed` (403)."""
        known = await self._current(scope)
        client = known.state.clients.get(client_id.lower())
        if client is None or not client.is_enabled:
            raise ClientUnknown("Register this application's client id for your partner first.")
        check_address(address, [client.restriction()])
        return client, _limited(client)

    async def of_key(self, text: str, address: Address | None) -> tuple[Scope, ApiKey, Grants]:
        """The partner's scope, the key and what it may do; `KeyInvalid` (401)."""
        given = api_keys.parse(text)
        scope = Scope(given.partner_id)
        known = await self._current(scope)
        stored = known.state.keys.get(given.key_id)
        key = api_keys.check(stored, given, self._clock.now(), address)
        return Scope(given.partner_id, key.customers), key, _limited(key)

    async def open_context(self, scope: Scope, user_id: str, door: Door) -> ActiveContext:
        """Switch the user to a customer; the context they had is superseded (CUS-27, ACC-08)."""

        def decide(state: State) -> tuple[ActiveContext, list[Change]]:
            if user_id not in state.users:
                raise NotFound("There is no such user.")
            email = state.users[user_id].email
            opened = contexts.open_context(user_id, email, door, self._clock.now())
            return opened, [rows.put(scope, opened)]

        return await rows.change(self._table, scope, decide)

    async def close_context(self, scope: Scope, user_id: str) -> ActiveContext | None:
        """Switch back; the context that was closed, None when there was none."""

        def decide(state: State) -> tuple[ActiveContext | None, list[Change]]:
            context = state.contexts.get(user_id)
            return context, [rows.remove(scope, context)] if context else []

        return await rows.change(self._table, scope, decide)

    async def _current(self, scope: Scope) -> "_Known":
        stamp = await rows.find_stamp(self._table, scope)
        if not stamp.etag:  # nothing was ever stored; made-up partners must not fill the memory
            return _Known(State(stamp))
        known = self._known.get(scope.partner_id)
        if known is None or known.state.version != stamp.values["version"]:
            known = _Known(await rows.load(self._table, scope))
            self._known[scope.partner_id] = known
        self._known.move_to_end(scope.partner_id)
        if len(self._known) > MOST_PARTNERS:
            self._known.popitem(last=False)
        return known


class _Known:
    """The state of a partner and what was worked out from it."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.grants: dict[str, Grants] = {}
        self.by_identity: dict[tuple[str, str], User] = {
            _identity(user.tenant_id, user.object_id): user
            for user in state.users.values()
            if user.object_id
        }


def _identity(tenant_id: str, object_id: str) -> tuple[str, str]:
    return tenant_id.lower(), object_id.lower()


def _limited(holder: ApiClient | ApiKey) -> Grants:
    given = Grant(permissions=holder.permissions, customers=holder.customers, areas=holder.areas)
    return Grants(grants=(given,))
