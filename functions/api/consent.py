"""What a customer's consent looks like: granted against needed, and the last proof."""

from typing import Annotated

from fastapi import Depends

from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.consent.model import App, Consent, ConsentState
from shared.customers import service
from shared.kit.api_model import ApiModel, Instant

router = Router(prefix="/customers/{customer_id}", tags=["onboarding"])


class GrantOut(ApiModel):
    """The grant of one of our registrations in the customer's tenant (CON-02)."""

    app: App
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


class LinkInAsk(ApiModel):
    """Which of our registrations the customer's administrator is asked for."""

    app: App = App.RESTORER


class LinkOut(ApiModel):
    """A link for the customer's Global Administrator; good once, until it expires."""

    link: str
    expires_at: Instant


@router.get("/consent", operation_id="consent_get", summary="Read the customer's consent")
async def get(
    customer_id: str, caller: Annotated[Caller, Depends(requires("customers.read"))]
) -> ConsentOut:
    """What the last look at the tenant's grants found; looked at again before every backup."""
    return _shown(customer_id, await service.customer_consents(deps(), caller.scope, customer_id))


@router.post("/consent:check", operation_id="consent_check", summary="Look at the consent now")
async def check(
    customer_id: str, caller: Annotated[Caller, Depends(requires("onboarding.manage"))]
) -> ConsentOut:
    """Takes fresh tokens in the tenant and compares their permissions with what is needed."""
    return _shown(customer_id, await service.check_consents(deps(), caller.scope, customer_id))


@router.post(
    "/consent:link", operation_id="consent_link", summary="Ask for a consent", status_code=201
)
async def link(
    customer_id: str,
    body: LinkInAsk,
    caller: Annotated[Caller, Depends(requires("onboarding.manage"))],
) -> LinkOut:
    """A link to grant the Reader again, or the Restorer for the time of a restore."""
    url, expires_at = await service.ask_consent(deps(), caller, customer_id, body.app)
    return LinkOut(link=url, expires_at=expires_at)


def _shown(customer_id: str, found: list[Consent]) -> ConsentOut:
    names = GrantOut.model_fields.keys() - {"app"}
    restorer = deps().settings.restorer_client_id
    return ConsentOut(
        customer_id=customer_id,
        grants=[
            GrantOut(
                app=App.RESTORER if one.client_id == restorer else App.READER,
                **{name: getattr(one, name) for name in names},
            )
            for one in found
        ],
    )
