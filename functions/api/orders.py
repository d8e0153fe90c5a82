"""Orders of channels: what came, what became of it and why; offers and keys by the operator."""

from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BeforeValidator

from functions.api.orders_models import (
    BindIn,
    DeliveryOut,
    DroppedOut,
    EntryOut,
    MeteredOut,
    OrderExplainedOut,
    OrderOut,
    RetryOut,
    TokenIn,
)
from functions.api.paging import Pages
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from functions.binding import WITH_DURABLE, current_client
from functions.starting import start
from shared.access.model import Caller, Scope
from shared.bootstrap import deps
from shared.marketplace import documents, service
from shared.marketplace.inbox import instance_of
from shared.marketplace.model import (
    ChannelEvent,
    OrderState,
)

router = Router(tags=["orders"])
Reader = Annotated[Caller, Depends(requires("licences.read"))]
Writer = Annotated[Caller, Depends(requires("licences.write"))]
Operator = Annotated[Caller, Depends(requires("pools.order"))]
MOST = 100
_STATES = {state.lower(): state for state in OrderState}
AnyCase = BeforeValidator(lambda text: _STATES.get(str(text).lower(), text))
"""States are found however they are written."""


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


@router.get(
    "/orders/{order_id}/metering",
    operation_id="orders_metering",
    summary="What was told of its use?",
)
async def metering_of(
    order_id: str,
    caller: Reader,
    since: Annotated[date | None, Query(description="Hours from this day on; else 62 days")] = None,
) -> PageOf[MeteredOut]:
    """Units per dimension and hour as the marketplace has answered them, and what waits."""
    found = await service.metered(deps(), _scope(caller), order_id, since)
    return PageOf(value=[MeteredOut.of(each) for each in found])


@router.post(
    "/orders/{order_id}/metering:retry",
    operation_id="orders_metering_retry",
    summary="Tell refused units anew",
)
async def retry_metering(order_id: str, _: Operator) -> DroppedOut:
    """After a dimension was corrected: what was refused is told again after the next evening."""
    return DroppedOut(records=await service.retry_metering(deps(), order_id))


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
