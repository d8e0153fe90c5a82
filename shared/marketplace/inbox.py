"""A delivery at the door: proven, kept once, answered; what follows is a process's work."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.licensing.book import Book
from shared.licensing.refusals import NotPoolable, Refusal
from shared.licensing.rules import purchases
from shared.marketplace import mapping, signed
from shared.marketplace.channels import SIGNED
from shared.marketplace.model import (
    ChannelEvent,
    EventState,
    Hook,
    Kind,
    Order,
    OrderState,
    Status,
    local_event,
)
from shared.marketplace.refusals import DocumentReused, OrderBusy
from shared.marketplace.repository import entry

if TYPE_CHECKING:
    from shared.bootstrap import Deps
    from shared.marketplace.model import ChannelSubscription


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a delivery at the door."""

    event: ChannelEvent
    is_new: bool
    refusal: Refusal | None = None
    """What a rule says of a signed document: its sender is told at once."""

    @property
    def is_due(self) -> bool:
        """Whether a process has to apply it; a repeated delivery asks again, which is harmless."""
        return self.event.state is EventState.RECEIVED and not self.event.fault


def instance_of(source: str, event_id: str, again: str = "") -> str:
    """The instance id of the process that applies an event; `again` for another try."""
    return f"marketplace:{source}:{event_id}" + (f":{again}" if again else "")


async def receive(deps: "Deps", source: str, hook: Hook) -> Received:
    """Verify and keep a webhook. `CallerUnproven` (401), `CallerForeign` (403), `Unavailable`.

    What is not understood is kept as a parked order of its own: visible, with its reason.
    """
    event = await deps.channels.adapter(source).verify_and_parse(hook)
    return await keep(deps, event)


async def receive_document(deps: "Deps", hook: Hook) -> Received:
    """The same for a signed document, whose sender can be told what is wrong with it."""
    orders = deps.orders
    adapter = signed.Signed(
        SIGNED, deps.channels.keys, orders.table, deps.settings.public_url, deps.clock
    )
    event = await adapter.verify_and_parse(hook)
    refusal = None if event.fault else await _ruled_out(deps, event)
    if refusal is not None:
        event = event.model_copy(
            update={
                "event_id": f"body-{event.digest[:40]}",
                "external_id": f"delivery-{event.digest[:40]}",
                "fault": refusal.detail,
                "fault_code": refusal.code,
            }
        )
    kept = await keep(deps, event)
    if not kept.is_new and kept.event.digest != event.digest:
        raise DocumentReused("Give every document an id of its own.", pointer="/documentId")
    return Received(kept.event, kept.is_new, refusal)


async def landed(deps: "Deps", token: str) -> "ChannelSubscription":
    """A landing: the purchase behind the token, kept as an event of its own (1.4)."""
    from shared.marketplace.microsoft import landing_event_id

    truth = await deps.channels.microsoft().resolve(token)
    event = local_event(
        truth.source,
        truth.external_id,
        landing_event_id(token),
        deps.clock.now(),
        kind=Kind.ORDERED,
        action="Landing",
    )
    await keep(deps, event)
    return truth


async def keep(deps: "Deps", event: ChannelEvent) -> Received:
    """Insert it under its id; the one that is there wins."""
    known = await deps.orders.receive(event)
    if known is not None:
        return Received(known, is_new=False)
    if event.fault:
        await _park_delivery(deps, event)
        event = event.model_copy(update={"state": EventState.PARKED, "reason": event.fault})
    return Received(event, is_new=True)


async def _park_delivery(deps: "Deps", event: ChannelEvent) -> None:
    """An order that stands for a body from which none can be read."""
    try:
        leased = await deps.orders.lease(event.source, event.external_id)
    except OrderBusy:
        return  # the same body at the same time: the other delivery parks it
    order: Order = leased.order.model_copy(
        update={
            "state": OrderState.PARKED,
            "code": event.fault_code,
            "reason": event.fault[:1000],
            "parked_event": event.event_id,
        }
    )
    told = entry("parked", f"{event.fault_code}: {event.fault}"[:1000], event.event_id)
    await leased.save(order, [told], release=True)
    await deps.orders.mark(event, EventState.PARKED, event.fault)


async def _ruled_out(deps: "Deps", event: ChannelEvent) -> Refusal | None:
    """What no state of the books could make right: payment option and term (MKT-02, LIC-29).

    An item that is not sold on the channel is not refused but parked (MKT-06).
    """
    from shared.catalogue.service import catalogue
    from shared.marketplace.documents import OrderDocument, subscription_of

    truth = subscription_of(OrderDocument.model_validate_json(event.raw), event.source, "")
    if truth.status is Status.CANCELLED or truth.sale is None or truth.end is None:
        return None
    now = deps.clock.now()
    order = Order(
        order_id="x", source=event.source, external_id="x", created_at=now, updated_at=now
    )
    # Asked as on its first day: a document may come late, and its term may even be over.
    book = Book(catalogue(), min(now.date(), truth.end))
    try:
        purchases.purchase(book, mapping.purchase_of(order, truth, truth.sale))
    except NotPoolable:
        return None
    except Refusal as refused:
        return refused
    return None
