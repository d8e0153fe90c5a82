"""Applications of the partner: client credentials, bound to a client id registered here."""

from typing import Annotated

from fastapi import Depends, Path, Response
from pydantic import Field, StringConstraints

from functions.api.access_models import (
    Area,
    Areas,
    Codes,
    Ids,
    IfMatch,
    Name,
    NetworkModel,
    Search,
    found_in,
    only,
    page_of,
)
from functions.api.paging import Pages, address
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.ip_ranges import Origin
from shared.access.model import Caller
from shared.access.role_model import ApiClient, Network
from shared.bootstrap import deps
from shared.customers.service import require_known
from shared.kit.api_model import ApiModel, Instant
from shared.kit.errors import NotFound, PreconditionRequired
from shared.kit.etags import strong_etag

router = Router(prefix="/api-clients", tags=["applications"])
Reader = Annotated[Caller, Depends(requires("clients.read"))]
Writer = Annotated[Caller, Depends(requires("clients.write"))]
GUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
ClientId = Annotated[str, StringConstraints(pattern=GUID)]
OWN: Origin = "client"


class ClientInEdit(ApiModel):
    """What an application may do."""

    name: Name = Field(examples=["RMM connector"])
    permissions: Codes = Field(examples=[["BackupManagement"]])
    customer_ids: Ids | None = Field(
        default=None, description="Limits it to these customers; null to none of them"
    )
    areas: Areas = ["services"]
    network: NetworkModel = NetworkModel()
    is_enabled: bool = True


class ClientInRegister(ClientInEdit):
    """An application of your tenant, or of one whose token names your tenant."""

    client_id: ClientId = Field(description="Its application (client) id in Microsoft Entra")


class ClientOut(ApiModel):
    """A registered application."""

    client_id: str
    name: str
    permissions: list[str]
    customer_ids: list[str] | None
    areas: list[Area]
    network: NetworkModel
    is_enabled: bool
    created_at: Instant
    created_by: str

    @classmethod
    def of(cls, client: ApiClient) -> "ClientOut":
        """The application as partners see it."""
        return cls(
            client_id=client.client_id,
            name=client.name,
            permissions=sorted(client.permissions),
            customer_ids=None if client.customers is None else sorted(client.customers),
            areas=sorted(client.areas),
            network=NetworkModel.of(Network(is_on=client.is_restricted, ranges=client.ranges)),
            is_enabled=client.is_enabled,
            created_at=client.created_at,
            created_by=client.created_by,
        )


@router.get("", operation_id="api_clients_list", summary="List applications")
async def list_page(
    caller: Reader,
    search: Search = "",
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[ClientOut]:
    """By name."""
    state = (await deps().grants.known(caller.scope)).state
    chosen = [each for each in state.clients.values() if found_in(search, each.name)]
    pages = Pages(caller, "api_clients_list", "/api-clients", {"search": search or None})
    page, link = await page_of(
        pages, chosen, lambda each: (each.name.casefold(), each.client_id), maxpagesize, skip_token
    )
    return PageOf(value=[ClientOut.of(each) for each in page], next_link=link)


@router.post(
    "", operation_id="api_clients_register", summary="Register an application", status_code=201
)
async def register(body: ClientInRegister, response: Response, caller: Writer) -> ClientOut:
    """It never holds more than you do: 403 GRANT_EXCEEDS_OWN."""
    client = await _save(caller, body.client_id, body, None)
    response.headers["Location"] = address(f"/api-clients/{client.client_id}")
    return _shown(response, client)


@router.get("/{client_id}", operation_id="api_clients_get", summary="Read an application")
async def get(client_id: str, response: Response, caller: Reader) -> ClientOut:
    """The application with its ETag."""
    state = (await deps().grants.known(caller.scope)).state
    client = state.clients.get(client_id.lower())
    if client is None:
        raise NotFound("There is no such application.")
    return _shown(response, client)


@router.put("/{client_id}", operation_id="api_clients_edit", summary="Edit an application")
async def edit(
    client_id: Annotated[str, Path(max_length=64)],
    body: ClientInEdit,
    response: Response,
    caller: Writer,
    if_match: IfMatch = None,
) -> ClientOut:
    """Replaced as a whole; in force at its next request."""
    state = (await deps().grants.known(caller.scope)).state
    if client_id.lower() not in state.clients:
        raise NotFound("There is no such application.")
    if if_match is None:
        raise PreconditionRequired("Read the application and send its ETag in If-Match.")
    return _shown(response, await _save(caller, client_id, body, if_match))


@router.delete(
    "/{client_id}",
    operation_id="api_clients_delete",
    summary="Delete an application",
    status_code=204,
)
async def delete(client_id: str, caller: Writer, if_match: IfMatch = None) -> None:
    """Its tokens are refused from the next request on."""
    await deps().clients.delete_client(caller.scope, client_id, if_match)


async def _save(
    caller: Caller, client_id: str, body: ClientInEdit, if_match: str | None
) -> ApiClient:
    given, customers, network = deps(), only(body.customer_ids), body.network.parsed(OWN)
    await require_known(given, caller.allow("customers.read").scope, customers or frozenset())
    return await given.clients.save_client(
        caller.scope,
        caller.holder,
        client_id,
        if_match,
        name=body.name,
        permissions=body.permissions,
        customers=customers,
        areas=frozenset(body.areas),
        ranges=network.ranges,
        is_restricted=network.is_on,
        is_enabled=body.is_enabled,
        created_by=caller.principal.subject,
    )


def _shown(response: Response, client: ApiClient) -> ClientOut:
    response.headers["ETag"] = strong_etag(client.etag)
    return ClientOut.of(client)
