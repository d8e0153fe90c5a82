"""What callers read and send of orders: the order, its ledger, its deliveries, its metering."""

from datetime import date
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from shared.catalogue.model import Channel
from shared.kit.api_model import ApiModel, Instant
from shared.marketplace.model import (
    ChannelEvent,
    Entry,
    EventState,
    Order,
    OrderState,
    UsageResult,
    UsageStatus,
)

Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


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


class MeteredOut(ApiModel):
    """Units of one dimension in one hour (of a file: in one month), and what became of them."""

    dimension: str
    plan_id: str
    hour: Instant
    until: Instant | None = Field(description="End of what it is about, where it is not an hour")
    quantity: str
    periods: dict[str, str] = Field(description="First day of a month of the term -> its units")
    status: UsageStatus
    channel_status: str = Field(description="The marketplace's own word")
    reference: str | None = Field(description="Its id of the event or of the file")
    reason: str | None
    counted: str | None = Field(description="What it holds instead, where it says so")
    is_dropped: bool = Field(description="Refused, and told anew since")

    @classmethod
    def of(cls, result: UsageResult) -> "MeteredOut":
        """As it is shown."""
        record = result.record
        return cls(
            dimension=record.dimension,
            plan_id=record.plan_id,
            hour=record.hour,
            until=record.until,
            quantity=f"{record.quantity.normalize():f}",
            periods={
                day.isoformat(): f"{units.normalize():f}" for day, units in record.shares.items()
            },
            status=result.status,
            channel_status=result.channel_status,
            reference=result.reference or None,
            reason=result.said or None,
            counted=None if result.counted is None else f"{result.counted.normalize():f}",
            is_dropped=result.is_dropped,
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


class DroppedOut(ApiModel):
    """How many refused records are told anew."""

    records: int
