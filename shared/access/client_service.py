"""Use cases of API clients and API keys: register, edit, revoke; never beyond their maker."""

from collections.abc import Collection
from datetime import datetime

from shared.access import api_keys
from shared.access import role_repository as rows
from shared.access import role_rules as rules
from shared.access.ip_ranges import IpRange
from shared.access.model import Scope
from shared.access.permissions import SERVICES, Audience, decide_permissions
from shared.access.role_model import MOST_CUSTOMERS, ApiClient, ApiKey, Grant, Grants, fresh
from shared.access.role_repository import Change, State
from shared.kit.clock import Clock
from shared.kit.errors import Conflict, Invalid, NotFound
from shared.kit.etags import check_if_match, strong_etag
from shared.kit.tables import Table

MOST_RANGES = 100


class ClientExists(Conflict):
    """An application with this client id is registered."""

    code, title = "CLIENT_EXISTS", "The application is registered already"


class Clients:
    """The verbs on API clients and API keys."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock

    async def save_client(
        self,
        scope: Scope,
        holder: Grants,
        client_id: str,
        if_match: str | None,
        *,
        name: str,
        permissions: Collection[str],
        customers: frozenset[str] | None = None,
        areas: frozenset[str] = frozenset({SERVICES}),
        ranges: tuple[IpRange, ...] = (),
        is_restricted: bool = False,
        is_enabled: bool = True,
        created_by: str = "",
    ) -> ApiClient:
        """Register an application (no If-Match; `ClientExists` when it is there) or replace it."""
        now = self._clock.now()
        codes = _decide(holder, permissions, customers, areas, ranges)

        def decide(state: State) -> tuple[ApiClient, list[Change]]:
            old = state.clients.get(client_id.lower())
            if old is not None and if_match is None:
                raise ClientExists("Edit the one that is registered, with If-Match.")
            if old is None and if_match is not None:
                raise NotFound("There is no such application.")
            if old is not None:
                check_if_match(if_match, strong_etag(old.etag))
            others = [each for each in state.clients.values() if each is not old]
            client = ApiClient(
                client_id=client_id.lower(),
                name=rules.decide_name(name, others),
                permissions=codes,
                customers=customers,
                areas=areas,
                ranges=ranges,
                is_restricted=is_restricted,
                is_enabled=is_enabled,
                created_at=old.created_at if old else now,
                created_by=old.created_by if old else created_by,
            )
            return client, [rows.put(scope, client)]

        return await rows.change(self._table, scope, decide)

    async def delete_client(self, scope: Scope, client_id: str, if_match: str | None) -> None:
        """Remove an application: its tokens are refused from the next request on."""

        def decide(state: State) -> tuple[None, list[Change]]:
            client = state.clients.get(client_id.lower())
            if client is None:
                raise NotFound("There is no such application.")
            check_if_match(if_match, strong_etag(client.etag))
            return None, [rows.remove(scope, client)]

        await rows.change(self._table, scope, decide)

    async def make_key(
        self,
        scope: Scope,
        holder: Grants,
        *,
        name: str,
        permissions: Collection[str],
        expires_at: datetime,
        customers: frozenset[str] | None = None,
        areas: frozenset[str] = frozenset({SERVICES}),
        ranges: tuple[IpRange, ...] = (),
        is_restricted: bool = False,
        created_by: str = "",
    ) -> tuple[ApiKey, str]:
        """A new API key and its text: the only time it is shown."""
        codes = _decide(holder, permissions, customers, areas, ranges)
        made, text = api_keys.make(
            scope.partner_id,
            name,
            codes,
            now=self._clock.now(),
            expires_at=expires_at,
            customers=customers,
            areas=areas,
            ranges=ranges,
            is_restricted=is_restricted,
            created_by=created_by,
        )

        def decide(state: State) -> tuple[ApiKey, list[Change]]:
            key = fresh(made, name=rules.decide_name(name, state.keys.values()))
            return key, [rows.add(scope, key)]

        return await rows.change(self._table, scope, decide), text

    async def revoke_key(self, scope: Scope, key_id: str, if_match: str | None) -> None:
        """Delete a key: refused from the next request on."""

        def decide(state: State) -> tuple[None, list[Change]]:
            key = state.keys.get(key_id)
            if key is None:
                raise NotFound("There is no such API key.")
            check_if_match(if_match, strong_etag(key.etag))
            return None, [rows.remove(scope, key)]

        await rows.change(self._table, scope, decide)


def _decide(
    holder: Grants,
    permissions: Collection[str],
    customers: frozenset[str] | None,
    areas: frozenset[str],
    ranges: tuple[IpRange, ...],
) -> frozenset[str]:
    if customers is not None and len(customers) > MOST_CUSTOMERS:
        raise Invalid(f"At most {MOST_CUSTOMERS} customers.", pointer="/customers")
    if len(ranges) > MOST_RANGES:
        raise Invalid(f"At most {MOST_RANGES} ranges.", pointer="/ranges")
    codes = decide_permissions(permissions, Audience.CLIENT)
    rules.check_grant(holder, Grant(permissions=codes, customers=customers, areas=areas))
    return codes
