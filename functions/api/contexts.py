"""Acting for a customer: where you can switch to, switching, switching back (ACC-06 to ACC-08)."""

from typing import Annotated, Literal

from fastapi import Depends, Response
from pydantic import Field

from functions.api.access_models import Id
from functions.api.routing import Router
from functions.api.security import CONTEXT_HEADER, requires
from shared.access.model import Caller
from shared.access.role_model import ActiveContext
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.kit.errors import NotFound

router = Router(prefix="/contexts", tags=["contexts"])
# Opened and closed from outside: the header of a context that has ended must not lock out.
Opener = Annotated[Caller, Depends(requires("contexts.open", outside=True))]


class ContextIn(ApiModel):
    """The customer to act for."""

    customer_id: Id


class ContextOut(ApiModel):
    """An open context."""

    id: str = Field(description=f"Send it as {CONTEXT_HEADER} with each request for the customer")
    customer_id: str
    identity: str = Field(description="The admin user of the customer you act as")
    opened_at: Instant
    expires_at: Instant

    @classmethod
    def of(cls, context: ActiveContext) -> "ContextOut":
        """The context as its user sees it."""
        return cls(
            id=context.context_id,
            customer_id=context.customer_id,
            identity=context.identity,
            opened_at=context.opened_at,
            expires_at=context.expires_at,
        )


class Organisation(ApiModel):
    """Somewhere you can work."""

    kind: Literal["own", "customer"]
    id: str
    display_name: str
    is_current: bool


class OrganisationList(ApiModel):
    """Your own organisation first, then customers by name."""

    value: list[Organisation]


@router.get(
    "/organisations", operation_id="contexts_organisations", summary="Where can I switch to?"
)
async def organisations(caller: Opener) -> OrganisationList:
    """Your own organisation, and every customer with an open door whose admin user you are."""
    given, scope = deps(), caller.scope
    name = (await given.grants.known(scope)).state.profile.display_name
    current = caller.holder.context
    entered = current.customer_id if current and current.expires_at > given.clock.now() else None
    own = Organisation(
        kind="own", id=scope.partner_id, display_name=name, is_current=entered is None
    )
    customers = [
        Organisation(
            kind="customer",
            id=customer.customer_id,
            display_name=customer.display_name,
            is_current=customer.customer_id == entered,
        )
        for customer in await given.doors.organisations(caller)
    ]
    return OrganisationList(value=[own, *customers])


@router.post("", operation_id="contexts_open", summary="Switch to a customer", status_code=201)
async def open_context(body: ContextIn, response: Response, caller: Opener) -> ContextOut:
    """One context is open per user: with this one, 401 CONTEXT_SUPERSEDED in the one before."""
    context = await deps().doors.open_context(caller, body.customer_id)
    response.headers["Cache-Control"] = "no-store"
    return ContextOut.of(context)


@router.get("/current", operation_id="contexts_current", summary="Which context is open?")
async def current(caller: Opener) -> ContextOut:
    """404 when none is."""
    context = caller.holder.context
    if context is None or context.expires_at <= deps().clock.now():
        raise NotFound("You act for no customer.")
    return ContextOut.of(context)


@router.delete("/current", operation_id="contexts_close", summary="Switch back", status_code=204)
async def close(caller: Opener) -> None:
    """Fine when none is open."""
    await deps().doors.close_context(caller)
