"""What a customer's consent looks like: granted against needed, and the last proof."""

from typing import Annotated

from fastapi import APIRouter, Depends

from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.consent.model import ConsentState
from shared.customers import service
from shared.kit.api_model import ApiModel, Instant

router = APIRouter(prefix="/customers/{customer_id}", tags=["onboarding"])


class GrantOut(ApiModel):
    """The grant of one of our registrations in the customer's tenant (CON-02)."""

    client_id: str
    tenant_id: str
    manifest_version: str
    state: ConsentState
    granted: list[str]
    missing: list[str]
    excess: list[str]
    workloads_off: list[str]
    detail: str
    checked_at: Instant | None


class ConsentOut(ApiModel):
    """All grants of the customer, as the latest look found them."""

    customer_id: str
    grants: list[GrantOut]


@router.get("/consent", operation_id="consent_get", summary="Read the customer's consent")
async def get(
    customer_id: str, caller: Annotated[Caller, Depends(requires("customers.read"))]
) -> ConsentOut:
    """What the last look at the tenant's grant found; looked at again before every backup."""
    found = await service.customer_consents(deps(), caller.scope, customer_id)
    names = GrantOut.model_fields.keys()
    return ConsentOut(
        customer_id=customer_id,
        grants=[GrantOut(**{name: getattr(one, name) for name in names}) for one in found],
    )
