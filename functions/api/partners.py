"""The partner who calls: who am I, what may I do."""

from typing import Annotated

from fastapi import APIRouter, Depends

from functions.api.security import requires
from shared.access.model import Caller
from shared.kit.api_model import ApiModel

router = APIRouter(prefix="/partners", tags=["partners"])


class Me(ApiModel):
    """The caller as the API sees it."""

    partner_id: str
    tenant_id: str
    subject: str
    kind: str
    name: str
    roles: list[str]
    permissions: list[str]
    customer_ids: list[str] | None
    """The customers this caller is limited to; null means all."""


@router.get("/me", operation_id="partners_me", summary="Who am I?")
async def me(caller: Annotated[Caller, Depends(requires("customers.read"))]) -> Me:
    """The caller's partner, roles and permissions."""
    who, scope = caller.principal, caller.scope
    return Me(
        partner_id=who.partner_id,
        tenant_id=who.tenant_id,
        subject=who.subject,
        kind=who.kind,
        name=who.name,
        roles=sorted(who.roles),
        permissions=sorted(caller.permissions),
        customer_ids=None if scope.customers is None else sorted(scope.customers),
    )
