"""What a caller may do, at the cost of one table read; and the context a user acts in.

The state of a partner is kept in memory with its stamp's version. Each request reads the stamp:
unchanged, the memory is good; changed, everything is read anew. So a change, a deletion or a
switch of context is in force at the very next request of every worker (ROL-08, ROL-15).
"""

from collections import OrderedDict
from datetime import datetime

from shared.access import api_keys, contexts
from shared.access import role_repository as rows
from shared.access import role_rules as rules
from shared.access.api_keys import Presented
from shared.access.contexts import Door
from shared.access.ip_ranges import Address, check_address
from shared.access.model import Scope
from shared.access.role_model import (
    ActiveContext,
    ApiClient,
    ApiKey,
    ClosedDoor,
    Grant,
    Grants,
    User,
)
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


class Known:
    """The state of a partner as of one stamp, and what was worked out from it."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.closed = frozenset(state.closed)
        """Customers who do not admit this partner."""
        self._grants: dict[str, Grants] = {}
        self._limited: dict[str, Grants] = {}
        self._by_identity: dict[tuple[str, str], User] = {
            _identity(user.tenant_id, user.object_id): user
            for user in state.users.values()
            if user.object_id
        }

    def check_address(self, address: Address | None) -> None:
        """`AddressNotAllowed` (403) unless the partner's own ranges admit the address."""
        check_address(address, [self.state.profile.network.restriction()])

    def user(self, tenant_id: str, object_id: str) -> tuple[User, Grants]:
        """The user of this identity and what they may do; `UserUnknown` (403)."""
        user = self._by_identity.get(_identity(tenant_id, object_id))
        if user is None:
            raise UserUnknown("Ask an administrator to add you.")
        if user.user_id not in self._grants:
            held = rules.effective(user, self.state.roles, self.state.groups)
            context = self.state.contexts.get(user.user_id)
            self._grants[user.user_id] = held.model_copy(update={"context": context})
        return user, self._grants[user.user_id]

    def client(self, client_id: str, address: Address | None) -> tuple[ApiClient, Grants]:
        """A registered application and what it may do; `ClientUnknown`, `AddressNotAllowed`."""
        client = self.state.clients.get(client_id.lower())
        if client is None or not client.is_enabled:
            raise ClientUnknown("Register this application's client id for your partner first.")
        check_address(address, [client.restriction()])
        return client, self._of(client.client_id, client)

    def key(
        self, given: Presented, now: datetime, address: Address | None
    ) -> tuple[ApiKey, Grants]:
        """The key presented and what it may do; `KeyInvalid` (401), `AddressNotAllowed`."""
        key = api_keys.check(self.state.keys.get(given.key_id), given, now, address)
        return key, self._of(key.key_id, key)

    def _of(self, name: str, holder: ApiClient | ApiKey) -> Grants:
        if name not in self._limited:
            given = Grant(
                permissions=holder.permissions, customers=holder.customers, areas=holder.areas
            )
            self._limited[name] = Grants(grants=(given,))
        return self._limited[name]


class GrantBook:
    """Grants of users, applications and keys."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock
        self._known: OrderedDict[str, Known] = OrderedDict()

    async def known(self, scope: Scope) -> Known:
        """Everything about who may do what, as of now: one table read when nothing changed."""
        stamp = await rows.find_stamp(self._table, scope)
        if not stamp.etag:  # nothing was ever stored; made-up partners must not fill the memory
            return Known(State(stamp))
        known = self._known.get(scope.partner_id)
        if known is None or known.state.version != stamp.values["version"]:
            known = Known(await rows.load(self._table, scope))
            self._known[scope.partner_id] = known
        self._known.move_to_end(scope.partner_id)
        if len(self._known) > MOST_PARTNERS:
            self._known.popitem(last=False)
        return known

    def remembered(self, scope: Scope) -> Known | None:
        """What was known at the last look; good only if `is_current` says so afterwards."""
        return self._known.get(scope.partner_id)

    async def is_current(self, scope: Scope, known: Known) -> bool:
        """Whether nothing has changed since: one table read."""
        stamp = await rows.find_stamp(self._table, scope)
        return bool(stamp.etag) and known.state.version == stamp.values["version"]

    async def of_user(self, scope: Scope, tenant_id: str, object_id: str) -> Grants:
        """What the user of this identity may do; `UserUnknown` (403) when nobody added them."""
        return (await self.known(scope)).user(tenant_id, object_id)[1]

    async def of_client(
        self, scope: Scope, client_id: str, address: Address | None
    ) -> tuple[ApiClient, Grants]:
        """What a registered application may do; `ClientUnknown`, `AddressNotAllowed` (403)."""
        return (await self.known(scope)).client(client_id, address)

    async def of_key(self, text: str, address: Address | None) -> tuple[Scope, ApiKey, Grants]:
        """The partner's scope, the key and what it may do; `KeyInvalid` (401)."""
        given = api_keys.parse(text)
        known = await self.known(Scope(given.partner_id))
        key, grants = known.key(given, self._clock.now(), address)
        return Scope(given.partner_id, key.customers), key, grants

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

    async def note_door(self, scope: Scope, customer_id: str, *, is_open: bool) -> None:
        """Note that a customer admits the partner or not: in force at the next request.

        Whoever closes a door calls this first, whoever opens one calls it last: a crash between
        leaves it closed.
        """
        door = ClosedDoor(customer_id=customer_id)

        def decide(state: State) -> tuple[None, list[Change]]:
            if is_open == (customer_id not in state.closed):
                return None, []
            return None, [rows.remove(scope, door) if is_open else rows.put(scope, door)]

        await rows.change(self._table, scope, decide)


def _identity(tenant_id: str, object_id: str) -> tuple[str, str]:
    return tenant_id.lower(), object_id.lower()
