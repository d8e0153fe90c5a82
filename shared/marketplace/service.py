"""Orders as people see and move them: read, explain, claim, retry; offers and keys."""

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.catalogue.model import Catalogue
from shared.kit.errors import Invalid, NotFound
from shared.marketplace import inbox, metering
from shared.marketplace.model import (
    ChannelEvent,
    Entry,
    Kind,
    Offer,
    Order,
    OrderState,
    UsageResult,
    local_event,
)
from shared.marketplace.refusals import OrderClaimed
from shared.marketplace.repository import entry

if TYPE_CHECKING:
    from shared.bootstrap import Deps

METERED_DAYS = timedelta(days=62)
"""Two months of a term: as far back as metering looks itself."""


async def get(deps: "Deps", scope: Scope | None, order_id: str) -> Order:
    """An order of the partner, any for the operator (None); `NotFound` otherwise."""
    order = await deps.orders.find(order_id) if order_id.isalnum() else None
    if order is None or (scope is not None and order.partner_id != scope.partner_id):
        raise NotFound("There is no such order.")
    return order


async def page(
    deps: "Deps", scope: Scope | None, state: OrderState | None, after: str, size: int
) -> list[Order]:
    """A page of orders after an id."""
    return await deps.orders.page(scope.partner_id if scope else None, state, after, size)


async def explain(
    deps: "Deps", scope: Scope | None, order_id: str
) -> tuple[Order, list[Entry], list[ChannelEvent]]:
    """The order, its ledger, and the deliveries that the ledger names."""
    order = await get(deps, scope, order_id)
    entries = await deps.orders.entries(order_id)
    ids = dict.fromkeys(each.event_id for each in entries if each.event_id)
    found = [await deps.orders.event(order.source, event_id) for event_id in ids]
    return order, entries, [event for event in found if event is not None]


async def metered(
    deps: "Deps", scope: Scope | None, order_id: str, since: date | None
) -> list[UsageResult]:
    """What was told of an order's use and what waits, by hour."""
    order = await get(deps, scope, order_id)
    first = since or deps.clock.now().date() - METERED_DAYS
    begin = datetime.combine(first, time(), UTC)
    answered = await metering.results(deps, order.external_id, begin)
    waiting = await metering.waiting(deps, order.source, order.external_id)
    mine = [each for each in answered if each.record.source == order.source]
    return sorted((*mine, *waiting), key=lambda each: (each.record.hour, each.record.dimension))


async def retry_metering(deps: "Deps", order_id: str) -> int:
    """Have refused units told anew; how many records."""
    order = await get(deps, None, order_id)
    return await metering.drop_refused(deps, order.external_id)


async def retry(deps: "Deps", scope: Scope | None, order_id: str) -> ChannelEvent:
    """Have the order looked at again: an event of our own, once per state of its ledger."""
    order = await get(deps, scope, order_id)
    if order.external_id.startswith("delivery-"):
        raise Invalid("Nothing can be read from this delivery; the sender has to send another.")
    event = local_event(
        order.source,
        order.external_id,
        f"retry-{order_id}-{order.entries}",
        deps.clock.now(),
        kind=Kind.ADJUSTED,
        action="Retry",
    )
    return (await inbox.keep(deps, event)).event


async def claim(deps: "Deps", scope: Scope, token: str) -> Order:
    """Bind a purchase to the partner that holds its landing token; the first one keeps it."""
    truth = await inbox.landed(deps, token)
    return await bind(deps, truth.source, truth.external_id, scope.partner_id)


async def bind(deps: "Deps", source: str, external_id: str, partner_id: str) -> Order:
    """Say whose order it is; `OrderClaimed` (409) when it is somebody else's."""
    held = await deps.orders.lease(source, external_id)
    order = held.order
    if order.partner_id not in (None, partner_id):
        await held.save(order, release=True)
        raise OrderClaimed("It was claimed before; ask us if that is wrong.")
    if order.partner_id == partner_id:
        return await held.save(order, release=True)
    bound = order.model_copy(update={"partner_id": partner_id})
    return await held.save(bound, [entry("claimed", f"by partner {partner_id}")], release=True)


async def register_offer(deps: "Deps", catalogue: Catalogue, offer: Offer) -> Offer:
    """Say what a plan stands for; `Invalid` (400) for an item the catalogue does not have."""
    if offer.sale.item not in catalogue.item_by_code:
        raise Invalid(f"There is no item {offer.sale.item[:40]!r}.", pointer="/item")
    await deps.orders.save_offer(offer)
    return offer
