"""The partner who calls: who am I, what may I do; the partner's own name and addresses."""

from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import Field

from functions.api.access_models import IfMatch, Name, NetworkModel
from functions.api.routing import Router
from functions.api.security import address_of, requires
from shared.access.ip_ranges import Origin
from shared.access.model import Caller, Kind
from shared.access.permissions import CUSTOMER_RIGHTS, RIGHTS, SERVICES
from shared.access.role_model import PartnerProfile
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.kit.errors import Forbidden
from shared.kit.etags import strong_etag

router = Router(prefix="/partners/me", tags=["partners"])

OWN: Origin = "partner"


class ContextInMe(ApiModel):
    """The customer you act for."""

    id: str
    customer_id: str
    identity: str = Field(description="The admin user of the customer you act as")
    expires_at: Instant


class Me(ApiModel):
    """The caller as the API sees it."""

    partner_id: str
    tenant_id: str
    subject: str
    kind: Kind
    name: str
    email: str
    roles: list[str] = Field(description="App roles in the token")
    permissions: list[str] = Field(description="Codes of GET /permissions")
    rights: list[str] = Field(description="What routes ask for and you hold")
    areas: list[str] = Field(description="services, licences, or both")
    is_administrator: bool
    customer_ids: list[str] | None = Field(
        description="The customers you may see; null means all of the partner"
    )
    context: ContextInMe | None = Field(
        description="The context this call runs in; outside one, the context you have open"
    )


class ProfileInEdit(ApiModel):
    """What a partner says of itself."""

    display_name: Name
    network: NetworkModel


class ProfileInResponse(ProfileInEdit):
    """What a partner says of itself."""


@router.get("", operation_id="partners_me", summary="Who am I?")
async def me(caller: Annotated[Caller, Depends(requires("me.read"))]) -> Me:
    """The caller's partner, what it may do, and for which customers."""
    who, grants = caller.principal, caller.holder
    every = sorted(RIGHTS.keys() | CUSTOMER_RIGHTS.keys())
    customers = caller.scope.customers
    if caller.grants is not None:
        customers = grants.customers("MonitoringAccess")
    context = caller.context or grants.context
    return Me(
        partner_id=who.partner_id,
        tenant_id=who.tenant_id,
        subject=who.subject,
        kind=who.kind,
        name=who.name,
        email=who.email,
        roles=sorted(who.roles),
        permissions=sorted(caller.permissions),
        rights=[right for right in every if _holds(caller, right)],
        areas=sorted(grants.areas()) if caller.grants else [SERVICES],
        is_administrator=grants.is_administrator,
        customer_ids=None if customers is None else sorted(customers),
        context=context
        and ContextInMe(
            id=context.context_id,
            customer_id=context.customer_id,
            identity=context.identity,
            expires_at=context.expires_at,
        ),
    )


@router.get("/profile", operation_id="partners_profile", summary="Read the partner's profile")
async def profile(
    response: Response, caller: Annotated[Caller, Depends(requires("settings.read"))]
) -> ProfileInResponse:
    """Display name, and the addresses your people and programs may call from."""
    return _shown(response, await deps().partners.profile(caller.scope))


@router.put("/profile", operation_id="partners_edit_profile", summary="Edit the partner's profile")
async def edit_profile(
    body: ProfileInEdit,
    request: Request,
    response: Response,
    caller: Annotated[Caller, Depends(requires("settings.write"))],
    if_match: IfMatch = None,
) -> ProfileInResponse:
    """Takes effect at the next request. Ranges that would lock you out are refused (403)."""
    saved = await deps().partners.save_profile(
        caller.scope,
        if_match,
        display_name=body.display_name,
        network=body.network.parsed(OWN),
        address=address_of(request),
    )
    return _shown(response, saved)


def _shown(response: Response, profile: PartnerProfile) -> ProfileInResponse:
    response.headers["ETag"] = strong_etag(profile.etag)
    return ProfileInResponse(
        display_name=profile.display_name, network=NetworkModel.of(profile.network)
    )


def _holds(caller: Caller, right: str) -> bool:
    try:
        caller.allow(right)
    except (Forbidden, KeyError):  # a customer's right that no partner has
        return False
    return True
