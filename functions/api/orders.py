"""Orders of channels: what came, what became of it and why; offers and keys by the operator."""

from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BeforeValidator, Field, StringConstraints

from functions.api.paging import Pages
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from functions.binding import WITH_DURABLE, current_client
from functions.starting import start
from shared.access.model import Caller, Scope
from shared.bootstrap import deps
from shared.catalogue.model import Channel
from shared.kit.api_model import ApiModel, Instant
from shared.marketplace import documents, service
from shared.marketplace.inbox import instance_of
from shared.marketplace.model import ChannelEvent, Entry, EventState, Order, OrderState

router = Router(tags=["orders"])
Reader = Annotated[Caller, Depends(requires("licences.read"))]
Writer = Annotated[Caller, Depends(requires("licences.write"))]
Operator = Annotated[Caller, Depends(requires("pools.order"))]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
MOST = 100
_STATES = {state.lower(): state for state in OrderState}
AnyCase = BeforeValidator(lambda text: _STATES.get(str(text).lower(), text))
"""States are found however they are written."""


class OrderOut(ApiModel):
    """One purchase on one channel (24.2 Order)."""

    id: str
    source: str
    external_id: str
    state: OrderState
    code: str | None = Field(description="Why it is parked, or a change was refused")
    reason: str | None
    is_parked: bool = Field(description="An event waits for a person, also where the order lives")
    partner_id: str | None
    customer_id: str | None
    channel: Channel | None
    item: str | None
    offer_id: str
    plan_id: str
    quantity: int | None = Field(description="What the pools hold")
    channel_quantity: int | None = Field(description="What the channel says")
    channel_status: str
    start: date | None
    end: date | None
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, order: Order) -> "OrderOut":
        """As it is shown."""
        told = {name: getattr(order, name) for name in cls.model_fields if name != "id"}
        told |= {"code": order.code or None, "reason": order.reason or None}
        return cls(id=order.order_id, **told)


class EntryOut(ApiModel):
    """A line of an order's ledger."""

    number: int
    at: Instant
    what: str
    said: str
    event_id: str | None
    pool_id: str | None
    ledger_events: list[int] = Field(description="Numbers in the licence ledger")
    notices: list[dict[str, Any]]

    @classmethod
    def of(cls, entry: Entry) -> "EntryOut":
        """As it is shown."""
        return cls(
            number=entry.number,
            at=entry.at,
            what=entry.what,
            said=entry.said,
            event_id=entry.event_id or None,
            pool_id=entry.pool_id,
            ledger_events=list(entry.events),
            notices=list(entry.notices),
        )


class DeliveryOut(ApiModel):
    """What a channel sent."""

    event_id: str
    kind: str
    action: str
    state: EventState
    reason: str | None
    received_at: Instant
    sha256: str
    body: str = Field(description="As it was received; cut where it was too long to keep")

    @classmethod
    def of(cls, event: ChannelEvent) -> "DeliveryOut":
        """As it is shown."""
        return cls(
            event_id=event.event_id,
            kind=str(event.kind),
            action=event.action,
            state=event.state,
            reason=event.reason or event.fault or None,
            received_at=event.received_at,
            sha256=event.digest,
            body=event.raw,
        )


class OrderExplainedOut(ApiModel):
    """Why an order is as it is."""

    order: OrderOut
    entries: list[EntryOut]
    deliveries: list[DeliveryOut]


class TokenIn(ApiModel):
    """The token that a landing page was opened with."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=4000)]


class BindIn(ApiModel):
    """Whose order it is."""

    partner_id: Word


class RetryOut(ApiModel):
    """A further look at an order was asked for."""

    event_id: str


@router.get("/orders", operation_id="orders_list", summary="List orders")
async def list_all(
    caller: Reader,
    status: Annotated[
        OrderState | None,
        AnyCase,
        Query(description="Parked: whatever waits for a person, with its reason"),
    ] = None,
    maxpagesize: PageSize = MOST,
    skip_token: SkipToken = None,
) -> PageOf[OrderOut]:
    """Yours; the operator sees everybody's, also those that no partner could be found for."""
    pages = Pages(caller, "orders", "/orders", {"status": status and status.value})
    place = await pages.place(skip_token)
    found = await service.page(
        deps(), _scope(caller), status, place.get("after", ""), maxpagesize + 1
    )
    more = {"after": found[maxpagesize - 1].order_id} if len(found) > maxpagesize else None
    value = [OrderOut.of(order) for order in found[:maxpagesize]]
    return PageOf(value=value, next_link=await pages.link(more, maxpagesize))


@router.get("/order-schema", operation_id="order_schema", summary="Schema of signed documents")
async def schema() -> dict[str, Any]:
    """The JSON schema of what distributors and direct sales send to /webhooks/orders."""
    return documents.schema()


@router.get("/orders/{order_id}", operation_id="orders_get", summary="Read an order")
async def get(order_id: str, caller: Reader) -> OrderOut:
    """One order."""
    return OrderOut.of(await service.get(deps(), _scope(caller), order_id))


@router.get("/orders/{order_id}/explain", operation_id="orders_explain", summary="Why is it so?")
async def explain(order_id: str, caller: Reader) -> OrderExplainedOut:
    """Every delivery, every answer and every change of a pool, in order."""
    order, entries, events = await service.explain(deps(), _scope(caller), order_id)
    return OrderExplainedOut(
        order=OrderOut.of(order),
        entries=[EntryOut.of(entry) for entry in entries],
        deliveries=[DeliveryOut.of(event) for event in events],
    )


@router.post(
    "/orders/{order_id}:retry",
    operation_id="orders_retry",
    summary="Look again",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def retry(order_id: str, caller: Writer) -> RetryOut:
    """Asks the channel anew and goes on: after a plan was registered, or a rule was met."""
    event = await service.retry(deps(), _scope(caller), order_id)
    await _begin(event)
    return RetryOut(event_id=event.event_id)


@router.post(
    "/orders:claim",
    operation_id="orders_claim",
    summary="Claim a purchase",
    openapi_extra=WITH_DURABLE,
)
async def claim(body: TokenIn, caller: Writer) -> OrderOut:
    """With the landing token of Microsoft's marketplace; whoever comes first has the order."""
    order = await service.claim(deps(), caller.scope, body.token)
    await _begin(await service.retry(deps(), caller.scope, order.order_id))
    return OrderOut.of(order)


@router.post(
    "/orders/{order_id}:bind",
    operation_id="orders_bind",
    summary="Say whose order it is",
    openapi_extra=WITH_DURABLE,
)
async def bind(order_id: str, body: BindIn, _: Operator) -> OrderOut:
    """By the operator, for a purchase whose tenant is no partner's home."""
    given = deps()
    await given.partners.home_of(Scope(body.partner_id))
    found = await service.get(given, None, order_id)
    order = await service.bind(given, found.source, found.external_id, body.partner_id)
    await _begin(await service.retry(given, None, order_id))
    return OrderOut.of(order)


async def _begin(event: ChannelEvent) -> None:
    task = {"source": event.source, "event_id": event.event_id}
    instance = instance_of(event.source, event.event_id)
    await start(current_client(), "apply_channel_event", instance, task)


def _scope(caller: Caller) -> Scope | None:
    """The caller's own, or everything for the operator."""
    return None if "OrderPools" in caller.permissions else caller.scope
