"""Where marketplaces and sellers tell of orders: verify, keep, answer; a process does the rest.

The answer follows each protocol: Microsoft and CloudBlue get 200 for whatever a proven caller
sends, because nothing they could do would make a body better that we do not understand.
"""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from functions.api import exchange
from functions.api.problems import MEDIA_TYPE
from functions.api.routing import Router
from functions.binding import WITH_DURABLE, current_client
from functions.starting import start
from functions.webhooks.consent import page
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel
from shared.kit.errors import Invalid
from shared.marketplace import inbox
from shared.marketplace.model import CLOUDBLUE, MICROSOFT, Hook
from shared.marketplace.refusals import ChannelOff, LandingInvalid

router = Router(tags=["webhooks"])
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
REFUSED: dict[int | str, dict[str, Any]] = {
    401: {"description": "The sender is not proven", "content": _PROBLEM},
    403: {"description": "The sender is somebody else", "content": _PROBLEM},
    404: {"description": "The channel is not in use", "content": _PROBLEM},
    503: {"description": "The sender cannot be proven now", "content": _PROBLEM},
}
WITH_BODY = WITH_DURABLE | {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}
}


class ReceivedOut(ApiModel):
    """A delivery that was kept."""

    event_id: str
    state: str
    is_new: bool


@router.post(
    "/webhooks/microsoft",
    operation_id="webhook_microsoft",
    summary="Microsoft's marketplace tells of a subscription",
    responses=REFUSED,
    openapi_extra=WITH_BODY,
)
async def microsoft(request: Request) -> ReceivedOut:
    """Signed with a token of the publisher's tenant; 401 or 403 for anybody else."""
    return await _receive(MICROSOFT, request)


@router.post(
    "/webhooks/cloudblue",
    operation_id="webhook_cloudblue",
    summary="CloudBlue Connect tells of a request",
    responses=REFUSED,
    openapi_extra=WITH_BODY,
)
async def cloudblue(request: Request) -> ReceivedOut:
    """Signed with the secret shared with Connect; 401 for anybody else."""
    return await _receive(CLOUDBLUE, request)


@router.post(
    "/webhooks/orders",
    operation_id="webhook_orders",
    summary="A distributor or our sales tell of an order",
    responses=REFUSED,
    openapi_extra=WITH_BODY,
)
async def orders(request: Request) -> ReceivedOut:
    """A document of the schema under /order-schema, signed with a registered key."""
    received = await inbox.receive_document(deps(), _hook(request))
    if received.refusal is not None:
        raise received.refusal
    if received.event.fault:
        raise Invalid(f"{received.event.fault} It is kept as a parked order.")
    await _begin(received)
    return _out(received)


@router.get(
    "/marketplace/landing",
    operation_id="marketplace_landing",
    summary="Where a purchase at Microsoft's marketplace leads",
    response_class=HTMLResponse,
    responses={
        HTTPStatus.GONE: {
            "description": "A page that says how to open the link anew",
            "content": {"text/html": {"schema": {"type": "string"}}},
        },
        HTTPStatus.SERVICE_UNAVAILABLE: REFUSED[503],
    },
    openapi_extra=WITH_DURABLE,
)
async def landing(token: Annotated[str, Query(max_length=4000)] = "") -> HTMLResponse:
    """Resolves the token and begins what was bought; also opened later by "Manage account"."""
    try:
        truth = await inbox.landed(deps(), token)
    except (LandingInvalid, ChannelOff) as refused:
        return page(refused.title, refused.detail, HTTPStatus.GONE)
    from shared.marketplace.microsoft import landing_event_id

    event = await deps().orders.event(truth.source, landing_event_id(token))
    if event is not None:
        await _begin(inbox.Received(event, is_new=True))
    seats = f" ({truth.quantity})" if truth.quantity is not None else ""
    text = f"{truth.name or truth.offer_id}, {truth.plan_id}{seats}: "
    return page("Thank you", f"{text}{truth.channel_status}. Sign in to the portal to use it.")


async def _receive(source: str, request: Request) -> ReceivedOut:
    received = await inbox.receive(deps(), source, _hook(request))
    await _begin(received)
    return _out(received)


async def _begin(received: inbox.Received) -> None:
    """Start the process; of a repeated delivery it is there already."""
    if not received.is_due:
        return
    event = received.event
    task = {"source": event.source, "event_id": event.event_id}
    instance = inbox.instance_of(event.source, event.event_id)
    await start(current_client(), "apply_channel_event", instance, task)


def _hook(request: Request) -> Hook:
    found = exchange.of(request.scope)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Hook(found.body, headers)


def _out(received: inbox.Received) -> ReceivedOut:
    event = received.event
    return ReceivedOut(event_id=event.event_id, state=str(event.state), is_new=received.is_new)
