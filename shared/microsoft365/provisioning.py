"""Creates our service principal in a customer's tenant and gives it its roles, and takes both back.

Runs with the administrator's token of the device-code sign-in (section 12 B, M41); every step may
be repeated: what exists already is found, not made again.
"""

import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec

from shared.kit.config import Settings
from shared.microsoft365.errors import GraphError, ItemFailed
from shared.microsoft365.faults import transient_wait_s
from shared.microsoft365.sdk import GRAPH_APP_ID, graph_client, refusal_of, status_of
from shared.microsoft365.signin import AdminToken
from shared.microsoft365.wire import Wire, default_wire

log = logging.getLogger(__name__)

# A new service principal is not readable everywhere at once (marketplace-auth.md 3.4).
APPEARANCE_TRIES = 6


class Granted(msgspec.Struct, frozen=True):
    """What `grant` made or found: enough to take it back. `created`: the principal is ours."""

    service_principal_id: str
    created: bool
    assignments: tuple[str, ...]
    """Ids of the role assignments this grant created (not those that were there before)."""


class Provisioning:
    """Acts in one customer's tenant as its administrator."""

    def __init__(self, settings: Settings, admin: AdminToken, *, wire: Wire | None = None) -> None:
        self._settings = settings
        self._admin = admin
        self._wire = wire or default_wire()

    async def grant(self, client_id: str, roles: Iterable[str]) -> Granted:
        """Make the app present in the tenant with these Graph roles; idempotent.

        On failure everything made so far is withdrawn before the error is raised (M41).
        """
        made: list[str] = []
        principal, created = "", False
        try:
            async with graph_client(self._settings, self._token) as graph:
                principal, created = await self._ensure_principal(graph, client_id)
                resource, role_ids = await self._graph_roles(graph)
                held = await self._held(graph, principal)
                for role in sorted(roles):
                    if role not in role_ids:
                        raise ItemFailed(f"UnknownRole:{role}", 404)
                    if role_ids[role] not in held:
                        made.append(await self._assign(graph, principal, resource, role_ids[role]))
        except GraphError:
            if principal:
                await self.withdraw(Granted(principal, created, tuple(made)))
            raise
        return Granted(principal, created, tuple(made))

    async def withdraw(self, granted: Granted) -> None:
        """Take back what a grant made: its assignments, and the principal if it created it."""
        async with graph_client(self._settings, self._token) as graph:
            principal = graph.service_principals.by_service_principal_id(
                granted.service_principal_id
            )
            for assignment in granted.assignments:
                await _quietly_gone(
                    principal.app_role_assignments.by_app_role_assignment_id(assignment).delete
                )
            if granted.created:
                await _quietly_gone(principal.delete)

    async def _token(self) -> str:
        return self._admin.token

    async def _ensure_principal(self, graph: Any, client_id: str) -> tuple[str, bool]:
        from msgraph.generated.models.service_principal import ServicePrincipal

        found = await _found(graph.service_principals_with_app_id(client_id).get)
        if found is not None:
            return str(found.id), False
        made = await graph.service_principals.post(ServicePrincipal(app_id=client_id))
        for tries in range(1, APPEARANCE_TRIES + 1):
            one = graph.service_principals.by_service_principal_id(str(made.id))
            if await _found(one.get) is not None:
                return str(made.id), True
            await self._wire.sleep(transient_wait_s(tries, 1.0))
        raise ItemFailed("ServicePrincipalNotVisible", 404)

    async def _graph_roles(self, graph: Any) -> tuple[str, dict[str, str]]:
        """Graph's own principal in this tenant and its application roles by name."""
        found = await graph.service_principals_with_app_id(GRAPH_APP_ID).get()
        roles = {str(role.value): str(role.id) for role in found.app_roles or [] if role.value}
        return str(found.id), roles

    async def _held(self, graph: Any, principal: str) -> set[str]:
        one = graph.service_principals.by_service_principal_id(principal)
        answer = await one.app_role_assignments.get()
        held: set[str] = set()
        while answer is not None:
            held |= {str(a.app_role_id) for a in answer.value or []}
            link = answer.odata_next_link
            answer = await one.app_role_assignments.with_url(link).get() if link else None
        return held

    async def _assign(self, graph: Any, principal: str, resource: str, role: str) -> str:
        from msgraph.generated.models.app_role_assignment import AppRoleAssignment

        one = graph.service_principals.by_service_principal_id(principal)
        assignment = AppRoleAssignment(
            principal_id=UUID(principal), resource_id=UUID(resource), app_role_id=UUID(role)
        )
        made = await one.app_role_assignments.post(assignment)
        return str(made.id)


async def _found(get: Any) -> Any:
    """The object, or None when Graph says 404."""
    from kiota_abstractions.api_error import APIError

    try:
        return await get()
    except APIError as error:
        refusal = refusal_of(error)
        if error.response_status_code == 404 or status_of(refusal) == 404:
            return None
        raise refusal from None


async def _quietly_gone(delete: Any) -> None:
    """Delete what may be gone already."""
    from kiota_abstractions.api_error import APIError

    try:
        await delete()
    except APIError as error:
        if error.response_status_code != 404:
            raise
        log.info("already withdrawn")
