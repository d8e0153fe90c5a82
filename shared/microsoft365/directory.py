"""Reads a tenant's directory: who it is, what it has bought, and whose mailbox and drive exist.

Control plane: msgraph-sdk, imported at the first call; only the drives of many users are asked
for in plain `$batch` requests (section 8: the SDK's batch refuses exactly 20).
"""

from collections.abc import Iterable, Sequence
from itertools import batched
from typing import Any

import msgspec
import orjson

from shared.kit.config import Settings
from shared.microsoft365.answers import answer_of
from shared.microsoft365.calls import Call
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.faults import Asked, classify
from shared.microsoft365.model import Budget, GraphUse
from shared.microsoft365.sdk import graph_client
from shared.microsoft365.tokens import TokenSource
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url
from shared.microsoft365.wire import Wire

BATCH = 20
"""Most requests Graph takes in one $batch."""
BATCH_ROUNDS = 6
"""How often refused parts of a batch are asked for again before they count as failed."""

SERVICES = {"exchange": "exchange", "sharepoint": "onedrive"}
"""Service names of a user's plans, in our words."""
USER_SELECT = [
    "id", "userPrincipalName", "displayName", "mail", "accountEnabled", "userType",
    "assignedLicenses", "assignedPlans",
]  # fmt: skip


class Organization(msgspec.Struct, frozen=True):
    """The tenant as it calls itself."""

    tenant_id: str
    display_name: str
    domain: str
    country: str


class Sku(msgspec.Struct, frozen=True):
    """One subscription of the tenant; `services` are those we can protect."""

    sku_id: str
    part_number: str
    consumed: int
    enabled: int
    services: frozenset[str]


class DirectoryUser(msgspec.Struct):
    """One user; `drive_id` None means there is no drive, `drive_state` says why."""

    id: str
    upn: str
    display_name: str
    mail: str
    enabled: bool
    guest: bool
    licensed: bool
    services: frozenset[str]
    drive_id: str | None = None
    drive_state: str | None = None


class _BatchPart(msgspec.Struct):
    id: str
    status: int
    headers: dict[str, str] = {}
    body: Any = None


class _BatchAnswer(msgspec.Struct):
    responses: list[_BatchPart]


_batch = msgspec.json.Decoder(_BatchAnswer)


class Directory:
    """Reads one tenant as the Reader; `use` accounts for the calls of our own transport.

    Errors: ConsentLost, OurCredentialRefused, SignInUnavailable, ItemFailed.
    """

    def __init__(
        self,
        settings: Settings,
        tokens: TokenSource,
        tenant_id: str,
        *,
        wire: Wire | None = None,
        client_id: str | None = None,
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._tenant = tenant_id
        self._client_id = client_id or settings.reader_client_id
        self._transport = GraphTransport(
            settings, tokens, tenant_id, Budget(), client_id=self._client_id, wire=wire
        )

    @property
    def use(self) -> GraphUse:
        """Cost of the batched calls."""
        return self._transport.use

    async def organization(self) -> Organization:
        """Name, initial domain and country of the tenant."""
        async with graph_client(self._settings, self._token) as graph:
            answer = await graph.organization.get()
        if not answer or not answer.value:
            raise ItemFailed("NoOrganization", 200)
        found = answer.value[0]
        domains = found.verified_domains or []
        default = next(
            (d.name for d in domains if d.is_default), domains[0].name if domains else ""
        )
        return Organization(
            str(found.id), found.display_name or "", default or "", found.country_letter_code or ""
        )

    async def services(self) -> list[Sku]:
        """Subscribed SKUs and which of our services they contain."""
        async with graph_client(self._settings, self._token) as graph:
            answer = await graph.subscribed_skus.get()
        return [_sku(sku) for sku in (answer.value or [])] if answer else []

    async def seats(self) -> int:
        """Licences assigned in the tenant: decides its quota bands (section 6)."""
        return sum(sku.consumed for sku in await self.services())

    async def list_users(self) -> list[DirectoryUser]:
        """All users with licences, services and the id of their drive."""
        users: list[DirectoryUser] = []
        async with graph_client(self._settings, self._token) as graph:
            page = await graph.users.get(_users_query())
            while page is not None:
                users += [_user(user) for user in page.value or []]
                link = page.odata_next_link
                page = await graph.users.with_url(link).get() if link else None
        await self._find_drives([user for user in users if "onedrive" in user.services])
        return users

    async def assigned_products(self) -> dict[str, frozenset[str]]:
        """Part numbers of the products assigned to each user; users without any are left out."""
        names = {sku.sku_id: sku.part_number for sku in await self.services()}
        found: dict[str, frozenset[str]] = {}
        async with graph_client(self._settings, self._token) as graph:
            page = await graph.users.get(_users_query(["id", "assignedLicenses"]))
            while page is not None:
                for user in page.value or []:
                    held = {str(each.sku_id) for each in user.assigned_licenses or []}
                    if held:
                        found[str(user.id)] = frozenset(names.get(sku, sku) for sku in held)
                link = page.odata_next_link
                page = await graph.users.with_url(link).get() if link else None
        return found

    async def _find_drives(self, users: Sequence[DirectoryUser]) -> None:
        """Fill `drive_id` or `drive_state`, twenty users a request."""
        for group in batched(users, BATCH, strict=False):
            waiting = {user.id: user for user in group}
            for _ in range(BATCH_ROUNDS):
                for part in await self._ask_drives(waiting.values()):
                    if self._settle(waiting[part.id], part):
                        del waiting[part.id]
                if not waiting:
                    break
            for user in waiting.values():
                user.drive_state = "unknown"

    async def _ask_drives(self, users: Iterable[DirectoryUser]) -> list[_BatchPart]:
        requests = [
            {"id": user.id, "method": "GET",
             "url": url("", "user_drive", {"$select": "id"}, user=user.id)}
            for user in users
        ]  # fmt: skip
        call = Call(
            method="POST",
            url=f"{self._transport.base}/$batch",
            lane=self._transport.share_point(),
            ru=len(requests),
            headers={"Content-Type": "application/json"},
            body=orjson.dumps({"requests": requests}),
            asked=Asked(about="object"),
        )
        return _batch.decode((await self._transport.send(call)).body).responses

    def _settle(self, user: DirectoryUser, part: _BatchPart) -> bool:
        """Take one part of a batch answer; False when it has to be asked again."""
        if part.status == 200 and isinstance(part.body, dict):
            user.drive_id = str(part.body["id"])
            return True
        now = self._transport.wire.clock.now()
        body = orjson.dumps(part.body) if part.body is not None else b""
        verdict = classify(
            Asked(about="object"), answer_of(part.status, _titled(part.headers), body, now)
        )
        if verdict.kind == "throttled":
            self._transport.hold(self._transport.share_point(), verdict.wait_s)
            return False
        if verdict.kind in ("transient", "quirk"):
            return False
        user.drive_state = verdict.cause if verdict.kind == "object" else "unknown"
        return True

    async def _token(self) -> str:
        return (await self._tokens.get(self._tenant, self._client_id)).token


def _titled(headers: dict[str, str]) -> dict[str, str]:
    """Batch parts carry headers in any case; ours are looked up as HTTP writes them."""
    known = {"retry-after": "Retry-After", "location": "Location"}
    return {known.get(name.lower(), name): value for name, value in headers.items()}


def _users_query(select: Sequence[str] = USER_SELECT) -> Any:
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.users.users_request_builder import UsersRequestBuilder

    parameters = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(
        select=list(select), top=999
    )
    return RequestConfiguration(query_parameters=parameters)


def _services(plans: Iterable[Any]) -> frozenset[str]:
    enabled = (p.service for p in plans if p.capability_status == "Enabled" and p.service)
    return frozenset(SERVICES[s.lower()] for s in enabled if s.lower() in SERVICES)


def _user(user: Any) -> DirectoryUser:
    return DirectoryUser(
        id=str(user.id),
        upn=user.user_principal_name or "",
        display_name=user.display_name or "",
        mail=user.mail or "",
        enabled=bool(user.account_enabled),
        guest=user.user_type == "Guest",
        licensed=bool(user.assigned_licenses),
        services=_services(user.assigned_plans or []),
    )


def _sku(sku: Any) -> Sku:
    names = [(plan.service_plan_name or "").upper() for plan in sku.service_plans or []]
    services = {"exchange" for name in names if name.startswith("EXCHANGE")}
    services |= {"onedrive" for name in names if name.startswith(("SHAREPOINT", "ONEDRIVE"))}
    services |= {"sharepoint" for name in names if name.startswith("SHAREPOINT")}
    services |= {"teams" for name in names if name.startswith("TEAMS")}
    return Sku(
        sku_id=str(sku.sku_id),
        part_number=sku.sku_part_number or "",
        consumed=int(sku.consumed_units or 0),
        enabled=int(sku.prepaid_units.enabled or 0) if sku.prepaid_units else 0,
        services=frozenset(services),
    )
