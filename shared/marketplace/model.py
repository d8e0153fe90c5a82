"""What channels say and what is kept of it: events, the channel's truth, orders, usage."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.catalogue.model import Channel, PaymentModel
from shared.kit.ids import ALPHABET, CUSTOMER_LENGTH
from shared.licensing.model import PaymentOption
from shared.marketplace.dimensions import Dimension

MICROSOFT, CLOUDBLUE = "microsoft", "cloudblue"
_KEY = re.compile(r"[A-Za-z0-9._-]{1,120}")


class Kind(StrEnum):
    """What an event is about; what is not understood is `UNKNOWN` and never an error."""

    ORDERED = "ordered"
    CHANGED = "changed"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    RENEWED = "renewed"
    CANCELLED = "cancelled"
    TRANSFERRED = "transferred"
    ADJUSTED = "adjusted"
    UNKNOWN = "unknown"


class EventState(StrEnum):
    """How far an event has come."""

    RECEIVED = "Received"
    APPLIED = "Applied"
    PARKED = "Parked"
    IGNORED = "Ignored"
    """Shown, but nothing follows from it."""


class OrderState(StrEnum):
    """The state table "Order" of features.md 24.2."""

    RECEIVED = "Received"
    PARKED = "Parked"
    ACCEPTED = "Accepted"
    ACTIVE = "Active"
    CHANGE_SCHEDULED = "ChangeScheduled"
    CHANGE_REFUSED = "ChangeRefused"
    SUSPENDED = "Suspended"
    CANCELLED = "Cancelled"
    ENDED = "Ended"


class Status(StrEnum):
    """What a channel's subscription is to us; the channel's own word is kept beside it."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


class _Kept(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ChannelEvent(_Kept):
    """One delivery, as it was received; append-only (marketplace-auth.md 2.4)."""

    source: str
    """microsoft, cloudblue, or the source of the key it was signed with."""
    event_id: str
    """The channel's operation id: the same id is the same event."""
    external_id: str
    """The channel's subscription."""
    kind: Kind
    action: str = ""
    """The channel's own word."""
    plan_id: str | None = None
    quantity: int | None = None
    status: str | None = None
    effective_at: datetime | None = None
    received_at: datetime
    needs_answer: bool = False
    digest: str = ""
    """SHA-256 of the body."""
    raw: str = ""
    """The body, cut where it is too long to keep."""
    fault: str = ""
    """Why nothing can follow from it: malformed bodies are shown, not lost."""
    fault_code: str = "MALFORMED"
    sequence: int | None = None
    """Of signed documents: the highest one is the truth."""
    state: EventState = EventState.RECEIVED
    reason: str = ""
    deliveries: int = 1


class Buyer(_Kept):
    """For whom something was bought."""

    partner_id: str | None = None
    tenant_ids: tuple[str, ...] = ()
    """Home tenants that may name the partner: the purchaser's, then the beneficiary's."""
    customer_name: str | None = None
    customer_tenant_id: str | None = None


class ChannelSubscription(_Kept):
    """What the channel says is true now; every event leads to one of these."""

    source: str
    external_id: str
    buyer: Buyer
    offer_id: str = ""
    plan_id: str = ""
    quantity: int | None = None
    status: Status
    channel_status: str = ""
    start: date | None = None
    end: date | None = None
    """Last day of the term, inside it."""
    term_unit: str = ""
    auto_renew: bool = True
    name: str = ""
    ended_on: date | None = None
    sale: "Sale | None" = None
    """What a signed document says itself instead of a registered plan."""

    @property
    def fingerprint(self) -> str:
        """Equal for truths from which the same follows."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class Sale(_Kept):
    """What a plan stands for among the pools."""

    item: str
    channel: Channel
    source: str
    """The name pools carry: who sold it."""
    payment_model: PaymentModel = PaymentModel.PREPAID
    payment_option: PaymentOption
    entitlements: dict[str, Any] = {}


class Offer(_Kept):
    """A plan of a channel, registered by the operator."""

    source: str
    offer_id: str
    plan_id: str
    sale: Sale
    dimensions: tuple[Dimension, ...] = ()
    """What the marketplace bills by use, beside the plan's price."""


class Order(_Kept):
    """One purchase on one channel, from its first sign to its end."""

    order_id: str
    source: str
    external_id: str
    state: OrderState = OrderState.RECEIVED
    code: str = ""
    """Why it is parked, or why a change was refused: a stable code."""
    reason: str = ""
    parked_event: str = ""
    """The event that waits for a person, also where the order lives on beside it."""
    partner_id: str | None = None
    customer_id: str | None = None
    channel: Channel | None = None
    item: str | None = None
    offer_id: str = ""
    plan_id: str = ""
    quantity: int | None = None
    """What the pools hold of it."""
    channel_quantity: int | None = None
    """What the channel says; differs after a reduction that cannot take effect."""
    channel_status: str = ""
    start: date | None = None
    end: date | None = None
    anchor: date | None = None
    """First day of its first term: months of metering are counted from it."""
    generation: int = 0
    """How often a new pool order had to be begun: after a late renewal or another item."""
    entries: int = 0
    fingerprint: str = ""
    created_at: datetime
    updated_at: datetime
    leased_until: datetime | None = None
    leased_by: str = ""

    @property
    def is_parked(self) -> bool:
        """Whether a person has to decide: `code` and `reason` say what."""
        return self.state is OrderState.PARKED or bool(self.parked_event)

    @property
    def licence_order(self) -> str:
        """The order's id in the licence ledger."""
        return f"{self.order_id}.{self.generation}" if self.generation else self.order_id


class Entry(_Kept):
    """One line of an order's own ledger; append-only."""

    number: int
    at: datetime
    what: str
    """received, answered, activated, applied, refused, parked, retried, claimed."""
    event_id: str = ""
    said: str
    """A sentence."""
    pool_id: str | None = None
    events: tuple[int, ...] = ()
    """Numbers of the licence ledger's events."""
    notices: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as it came in."""

    body: bytes
    headers: dict[str, str]
    """Lower-case names."""

    @property
    def digest(self) -> str:
        """Names the body."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Asked:
    """A change that waits for our answer, as the channel states it."""

    event_id: str
    external_id: str
    action: str
    plan_id: str | None
    quantity: int | None
    status: Status | None = None
    """What the subscription will be if we agree; None: what it is."""
    is_first: bool = False
    """A purchase: it waits as long as it takes, so what is unclear is parked, not refused."""
    missing: str = ""
    """What the channel left out and has to be asked for."""


@dataclass(frozen=True, slots=True)
class ChannelAnswer:
    """What we tell the channel about a change."""

    event_id: str
    external_id: str
    outcome: str
    """accepted, rejected, needs_info."""
    reason: str = ""


class UsageRecord(_Kept):
    """Units of one meter used in one hour beyond what is included."""

    source: str
    external_id: str
    plan_id: str
    dimension: str
    hour: datetime
    """The hour it was used in; minutes are cut off."""
    quantity: Decimal
    until: datetime | None = None
    """End of what it is about, where that is not an hour."""
    shares: dict[date, Decimal] = {}
    """First day of a period -> the units that belong to it."""


class UsageStatus(StrEnum):
    """What a channel said of a usage record."""

    WAITING = "Waiting"
    """Not asked yet."""
    ACCEPTED = "Accepted"
    MISMATCH = "Mismatch"
    """Another quantity was accepted before: a person has to look."""
    EXPIRED = "Expired"
    """Older than a day: its units go into a later hour."""
    RETRY = "Retry"
    HELD = "Held"
    """The subscription is suspended: it waits here and is asked again when it may be reinstated."""
    REJECTED = "Rejected"


class UsageResult(_Kept):
    """The answer to one usage record."""

    record: UsageRecord
    status: UsageStatus
    channel_status: str = ""
    reference: str = ""
    said: str = ""
    counted: Decimal | None = None
    """What the channel holds instead, where it says so."""
    is_dropped: bool = False
    """Refused, and told anew since."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row of a channel's list that is not understood: shown, and the walk goes on."""

    source: str
    said: str


@dataclass(slots=True)
class Walked:
    """What a reconciliation found."""

    seen: int = 0
    started: list[tuple[str, str]] = field(default_factory=list)
    """Source and event of everything that is to be applied."""
    unreadable: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def order_id_of(source: str, external_id: str) -> str:
    """The order of a channel's subscription: always the same."""
    digest = hashlib.sha256(f"{source}\0{external_id}".encode()).digest()
    return "".join(ALPHABET[byte & 31] for byte in digest[:CUSTOMER_LENGTH])


def key_of(text: str) -> str:
    """Text as a row key: itself where it is fit for one."""
    if _KEY.fullmatch(text):
        return text
    return "h-" + hashlib.sha256(text.encode()).hexdigest()[:40]


def local_event(source: str, external_id: str, event_id: str, at: datetime, **more: Any) -> Any:
    """An event that we cause ourselves: a landing, a retry, a difference found in a list."""
    return ChannelEvent(
        source=source, event_id=event_id, external_id=external_id, received_at=at, **more
    )
