"""API keys for tools that cannot do OAuth: shown once, expiring, limited."""

from typing import Annotated, Any

from fastapi import Depends, Response
from pydantic import Field

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
from shared.access.role_model import ApiKey, Network
from shared.bootstrap import deps
from shared.customers.service import require_known
from shared.kit.api_model import ApiModel, Instant
from shared.kit.errors import NotFound
from shared.kit.etags import strong_etag

router = Router(prefix="/api-keys", tags=["applications"])
Reader = Annotated[Caller, Depends(requires("clients.read"))]
Writer = Annotated[Caller, Depends(requires("clients.write"))]
OWN: Origin = "client"


class KeyIn(ApiModel):
    """What a new key may do. A key is not edited: make another and delete this one."""

    name: Name = Field(examples=["Nightly report"])
    permissions: Codes = Field(examples=[[]], description="MonitoringAccess comes by itself")
    expires_at: Instant = Field(description="Within 366 days", examples=["2027-01-31T08:00:00Z"])
    customer_ids: Ids | None = Field(
        default=None, description="Limits it to these customers; null to none of them"
    )
    areas: Areas = ["services"]
    network: NetworkModel = NetworkModel()


class KeyOut(ApiModel):
    """A key, never its secret."""

    id: str
    name: str
    prefix: str = Field(description="How the key begins: finds it in your configuration")
    permissions: list[str]
    customer_ids: list[str] | None
    areas: list[Area]
    network: NetworkModel
    expires_at: Instant
    created_at: Instant
    created_by: str


class KeyMade(KeyOut):
    """A key with its secret: the only time it is shown."""

    key: str = Field(description="Send it as X-Api-Key, or as Authorization: Bearer")


@router.get("", operation_id="api_keys_list", summary="List API keys")
async def list_page(
    caller: Reader,
    search: Search = "",
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[KeyOut]:
    """By name, expired ones too."""
    state = (await deps().grants.known(caller.scope)).state
    chosen = [each for each in state.keys.values() if found_in(search, each.name)]
    pages = Pages(caller, "api_keys_list", "/api-keys", {"search": search or None})
    page, link = await page_of(
        pages, chosen, lambda each: (each.name.casefold(), each.key_id), maxpagesize, skip_token
    )
    return PageOf(value=[KeyOut(**_values(caller, each)) for each in page], next_link=link)


@router.post("", operation_id="api_keys_create", summary="Create an API key", status_code=201)
async def create(body: KeyIn, response: Response, caller: Writer) -> KeyMade:
    """It never holds more than you do: 403 GRANT_EXCEEDS_OWN. We keep a hash, not the key."""
    given, customers, network = deps(), only(body.customer_ids), body.network.parsed(OWN)
    await require_known(given, caller.allow("customers.read").scope, customers or frozenset())
    key, text = await given.clients.make_key(
        caller.scope,
        caller.holder,
        name=body.name,
        permissions=body.permissions,
        expires_at=body.expires_at,
        customers=customers,
        areas=frozenset(body.areas),
        ranges=network.ranges,
        is_restricted=network.is_on,
        created_by=caller.principal.subject,
    )
    response.headers["Location"] = address(f"/api-keys/{key.key_id}")
    response.headers["ETag"] = strong_etag(key.etag)
    response.headers["Cache-Control"] = "no-store"
    return KeyMade(**_values(caller, key), key=text)


@router.get("/{key_id}", operation_id="api_keys_get", summary="Read an API key")
async def get(key_id: str, response: Response, caller: Reader) -> KeyOut:
    """The key without its secret, with its ETag."""
    key = (await deps().grants.known(caller.scope)).state.keys.get(key_id)
    if key is None:
        raise NotFound("There is no such API key.")
    response.headers["ETag"] = strong_etag(key.etag)
    return KeyOut(**_values(caller, key))


@router.delete(
    "/{key_id}", operation_id="api_keys_delete", summary="Delete an API key", status_code=204
)
async def delete(key_id: str, caller: Writer, if_match: IfMatch = None) -> None:
    """Refused from the next request on."""
    await deps().clients.revoke_key(caller.scope, key_id, if_match)


def _values(caller: Caller, key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "prefix": f"hfk_{caller.scope.partner_id}.{key.key_id}.",
        "permissions": sorted(key.permissions),
        "customer_ids": None if key.customers is None else sorted(key.customers),
        "areas": sorted(key.areas),
        "network": NetworkModel.of(Network(is_on=key.is_restricted, ranges=key.ranges)),
        "expires_at": key.expires_at,
        "created_at": key.created_at,
        "created_by": key.created_by,
    }
