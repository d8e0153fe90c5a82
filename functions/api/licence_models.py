"""JSON contracts of pools, subscriptions, previews and the ledger."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field

from shared.catalogue.model import Channel, PaymentModel, SubscriptionType
from shared.kit.api_model import ApiModel, Instant
from shared.kit.errors import HoldfastError
from shared.kit.etags import strong_etag
from shared.licensing.book import Book
from shared.licensing.explaining import Entry, Reason
from shared.licensing.ledger import Event
from shared.licensing.model import (
    Expiration,
    LicenceType,
    Mode,
    PaymentOption,
    Pool,
    PoolPhase,
    State,
    Subscription,
)
from shared.licensing.requests import subscription_id
from shared.licensing.rules import views
from shared.licensing.service import Preview

AsOf = Annotated[date | None, Query(alias="asOf", description="As it stood at the end of this day")]
KnownAt = Annotated[
    Instant | None, Query(alias="knownAt", description="From what was known at this instant")
]
What = Literal["quantity", "expiry"]


class OrderOut(ApiModel):
    """One purchase inside a pool."""

    id: str
    quantity: int
    end: date
    is_cancelled: bool
    is_suspended: bool
    reduce_to: int | None = Field(description="Quantity from the next renewal on")


class PoolOut(ApiModel):
    """A pool with what is left of it (LIC-01)."""

    id: str
    item: str
    name: str
    channel: Channel
    source: str
    payment_type: PaymentModel
    payment_option: PaymentOption
    is_open: bool
    unit: str
    phase: PoolPhase
    total: int
    assigned: int
    passed_on: int
    burnt: int
    available: int | None = Field(description="null: without a fixed size")
    free: int | None = Field(description="What can be given away today")
    start: date
    end: date
    orders: list[OrderOut]
    entitlements: dict[str, Any]

    @classmethod
    def of(cls, book: Book, pool: Pool) -> "PoolOut":
        """The pool as partners see it."""
        view = views.pool_view(pool, book)
        same = cls.model_fields.keys() & view.keys() - {"orders"}
        orders = [
            OrderOut(
                id=order_id,
                quantity=each.quantity,
                end=each.end,
                is_cancelled=each.cancelled,
                is_suspended=each.suspended,
                reduce_to=each.reduce_to,
            )
            for order_id, each in sorted(pool.orders.items())
        ]
        return cls(
            id=pool.pool_id,
            payment_type=pool.payment_model,
            orders=orders,
            **{name: view[name] for name in same},
        )


class LotOut(ApiModel):
    """What is left of one increase (LIC-18)."""

    day: date
    quantity: int


class SubscriptionOut(ApiModel):
    """What a customer has of one slot (LIC-01, SVC-47)."""

    id: str
    customer_id: str
    tenant_id: str
    slot: str
    service: str
    part: str | None
    item: str | None
    pool_id: str | None
    type: SubscriptionType
    state: State
    licence_type: LicenceType | None
    payment_type: PaymentModel | None
    source: str
    mode: Mode
    quantity: int
    lots: list[LotOut]
    assigned_on: date | None
    expiration: Expiration
    expires_on: date | None = Field(description="The last usable day")
    commitment_ends_on: date | None
    unlocked: int = Field(description="How many could be returned today")
    contract_end_date: date | None
    ended_on: date | None
    settings: dict[str, Any]
    modules: dict[str, Any]
    shortfall: int
    pending_decrease: int | None
    consumed: int
    protected: int
    superseded_by: LicenceType | None
    purchased_capacity_gb: int | None = None
    protected_capacity_gb: int | None = None
    storage_configured_by_customer: bool = False

    @classmethod
    def of(cls, book: Book, sub: Subscription) -> "SubscriptionOut":
        """The subscription as it stands on the book's day."""
        view = views.subscription_view(book, sub)
        same = cls.model_fields.keys() & view.keys() - {"lots"}
        return cls(
            id=subscription_id(sub.slot, sub.tenant_id),
            payment_type=sub.payment_model,
            contract_end_date=sub.contract_end,
            lots=[LotOut(day=day, quantity=left) for day, left in sorted(sub.lots.items())],
            **{name: view[name] for name in same},
        )

    @property
    def etag(self) -> str:
        """Strong: of everything that is shown."""
        return strong_etag(self.model_dump_json())


class ChangedOut(ApiModel):
    """What a change did."""

    subscription: SubscriptionOut
    events: list[int] = Field(description="Numbers in the ledger; empty when nothing changed")
    notices: list[dict[str, Any]] = Field(description="What somebody should be told")


class AddOnOut(ApiModel):
    """An add-on of a customer."""

    code: str
    state: Literal["Enabled", "Disabled", "Expired"]


class ServiceOut(ApiModel):
    """A service or add-on with its state (SVC-47)."""

    service: str
    slot: str
    tenant: str
    state: str


class RefusalOut(ApiModel):
    """Why not: the same members as the problem document of the change itself."""

    code: str
    status: int
    detail: str
    rule: str | None
    first_allowed_on: date | None
    errors: list[dict[str, Any]]


class PreviewOut(ApiModel):
    """What a change would do now; nothing was changed."""

    is_allowed: bool
    effects: list[str] = Field(description="One sentence per event")
    rules: list[str]
    changes: list[dict[str, Any]] = Field(description="row, field, before, after")
    refusal: RefusalOut | None = None

    @classmethod
    def of(cls, told: Preview) -> "PreviewOut":
        """The preview as partners see it."""
        return cls(
            is_allowed=told.allowed,
            effects=list(told.effects),
            rules=list(told.rules),
            changes=list(told.changes),
            refusal=_refusal(told.refusal) if told.refusal else None,
        )


def _refusal(refused: HoldfastError) -> RefusalOut:
    return RefusalOut(
        code=refused.code,
        status=refused.status,
        detail=refused.detail,
        rule=refused.extra.get("rule"),
        first_allowed_on=refused.extra.get("firstAllowedOn"),
        errors=refused.errors,
    )


class MoveOut(ApiModel):
    """Seats from one account to another."""

    source: str
    target: str
    quantity: int
    pool: str
    lot: date | None


class EventOut(ApiModel):
    """One event of the ledger, chained by its hash."""

    seq: int
    kind: str
    subject: str
    effective: date
    recorded: Instant | None
    actor: str
    command: str
    rules: list[str]
    note: str
    moves: list[MoveOut]
    sets: dict[str, dict[str, Any]]
    previous: str
    hash: str

    @classmethod
    def of(cls, event: Event) -> "EventOut":
        """The event as partners see it."""
        moves = [MoveOut(**move.model_dump()) for move in event.moves]
        return cls(**event.model_dump(exclude={"moves"}), moves=moves)


class ReasonOut(ApiModel):
    """One event's part in a number or a date."""

    seq: int
    day: date
    recorded: Instant | None
    actor: str
    sentence: str
    rules: list[str]
    delta: int | None
    value: Any = Field(description="The number or the day after this event")

    @classmethod
    def of(cls, reason: Reason) -> "ReasonOut":
        """The reason as partners see it."""
        return cls(**{name: getattr(reason, name) for name in cls.model_fields})


class EntryOut(ApiModel):
    """One modification (LIC-49)."""

    seq: int
    at: Instant | None
    effective: date
    actor: str
    action: str
    subject: str
    before: dict[str, Any]
    after: dict[str, Any]
    rules: list[str]

    @classmethod
    def of(cls, entry: Entry) -> "EntryOut":
        """The entry as partners see it."""
        return cls(**{name: getattr(entry, name) for name in cls.model_fields})


class ExplainedOut(ApiModel):
    """Every event that made a number or a day, oldest first."""

    what: What
    reasons: list[ReasonOut]


class HistoryOut(ApiModel):
    """Modifications, oldest first."""

    value: list[EntryOut]
