"""What licensing knows: pools with their orders, subscriptions with their lots, customer guards.

Quantities are whole numbers in the pool item's unit. Days are UTC calendar dates; the last day of
a period is inside it (AMB-50).
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from shared.catalogue.model import Channel, PaymentModel, SubscriptionType

MIN_COMMITMENT_DAYS = 31
"""Minimum of every assignment and of every increase (LIC-07, LIC-18, AMB-02)."""
TRIAL_DAYS = 30
"""Length of a trial; one per customer and service (GAP-18)."""
BATCH_MAX_CUSTOMERS = 20
"""Customers of one batch edit (CUS-35)."""


class PaymentOption(StrEnum):
    """When a pool is paid for (MKT-02)."""

    MONTHLY = "Monthly"
    ANNUAL_PAID_MONTHLY = "AnnualPaidMonthly"
    ANNUAL_UPFRONT = "AnnualUpfront"


class State(StrEnum):
    """Where a subscription stands; Suspended is not stored, it follows from the pool."""

    TRIAL = "Trial"
    ACTIVE = "Active"
    SUPERSEDED = "Superseded"
    SUSPENDED = "Suspended"
    EXPIRED = "Expired"
    SKIPPED = "Skipped"


class PoolPhase(StrEnum):
    """Where a pool stands on a day; follows from its dates, orders and counters."""

    SCHEDULED = "Scheduled"
    ACTIVE = "Active"
    OVERCOMMITTED = "Overcommitted"
    SUSPENDED = "Suspended"
    ENDED = "Ended"


class Mode(StrEnum):
    """Who decides on the quantity (LIC-41)."""

    AUTO = "AutoAdjusted"
    MANUAL = "Manual"


class Expiration(StrEnum):
    """How a subscription's end is chosen (SVC-23)."""

    SAME_AS_POOL = "SameAsPool"
    EXPIRE_NOW = "ExpireNow"
    SPECIFIED_DATE = "SpecifiedDate"


class LicenceType(StrEnum):
    """Where a licence comes from; the rank decides who prevails (AMB-09)."""

    DIRECT_POOL = "DirectPool"
    DISTRIBUTOR_POOL = "DistributorPool"
    CMP = "CMP"
    ENTERPRISE = "Enterprise"


RANK = {
    LicenceType.DIRECT_POOL: 0,
    LicenceType.DISTRIBUTOR_POOL: 0,
    LicenceType.CMP: 1,
    LicenceType.ENTERPRISE: 1,
}

AddOnState = Literal["Enabled", "Disabled", "Expired"]


class _Entity(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Order(_Entity):
    """One purchase inside a pool."""

    quantity: int
    end: date
    cancelled: bool = False
    suspended: bool = False
    reduce_to: int | None = None
    """Quantity from the next renewal on: monthly marketplace orders only (LIC-27)."""


class Transfer(_Entity):
    """Seats on their way between a reseller's pool and a partner's (RES-04, RES-09)."""

    partner_id: str
    quantity: int
    direction: Literal["out", "back"]
    since: date
    actor: str = ""
    """Who asked: a run that was cut off is ended in the same name."""


class Pool(_Entity):
    """A quantity of one pool item that a partner owns (LIC-01)."""

    pool_id: str
    item: str
    name: str = ""
    channel: Channel
    source: str
    """Who sold it: "Direct", or the marketplace's or distributor's name."""
    payment_model: PaymentModel
    payment_option: PaymentOption
    is_open: bool = False
    """Without a fixed size: pay-as-you-go that was provisioned without a number."""
    total: int = 0
    assigned: int = 0
    passed_on: int = 0
    burnt: int = 0
    start: date
    end: date
    contract_effective: date
    orders: dict[str, Order] = {}
    entitlements: dict[str, Any] = {}
    """What was bought beside the quantity, e.g. retentionYears, retentionUnlimited (SVC-33)."""
    recorded_phase: Literal["Scheduled", "Active", "Ended"] = "Scheduled"
    """What the ledger has noted; decisions go by the dates."""
    parent_partner: str | None = None
    parent_pool: str | None = None
    parent_end: date | None = None
    """Last day of the reseller's pool: this pool never outlives it (RES-08)."""
    children: dict[str, str] = {}
    """Partner -> its pool fed from this one (RES-05)."""
    transfers: dict[str, Transfer] = {}
    """Seats under way; empty when nothing is."""
    moved_on: date | None = None
    """Latest effective day of a change of the total: nothing later told takes effect before it."""

    @property
    def available(self) -> int:
        """What nobody holds; negative only when overcommitted (24.1 b)."""
        return self.total - self.assigned - self.passed_on - self.burnt


class Subscription(_Entity):
    """What one customer has of one slot in one tenant."""

    customer_id: str
    tenant_id: str = ""
    """The tenant of the customer; empty while it has only one (SVC-44)."""
    slot: str
    service: str
    part: str | None = None
    item: str | None = None
    pool_id: str | None = None
    type: SubscriptionType = SubscriptionType.SUBSCRIPTION
    state: State = State.ACTIVE
    licence_type: LicenceType | None = None
    payment_model: PaymentModel | None = None
    source: str = ""
    mode: Mode = Mode.MANUAL
    lots: dict[date, int] = {}
    """Day of an increase -> what is left of it; each has its own lock (LIC-18)."""
    assigned_on: date | None = None
    expiration: Expiration = Expiration.SAME_AS_POOL
    expires_on: date | None = None
    """The chosen last day; None follows the pool. `dates.expires_on` gives the day that counts."""
    contract_end: date | None = None
    """For the contract between partner and customer; without effect (SVC-24)."""
    settings: dict[str, Any] = {}
    shortfall: int = 0
    """What an automatic increase could not take from the pool (LIC-45)."""
    pending_decrease: int | None = None
    """The quantity wanted once the lock ends (LIC-44)."""
    consumed: int = 0
    """What was used up for good: Fly only (LIC-38)."""
    protected: int = 0
    """Protected users or capacity, as last reported (LIC-53, SVC-35)."""
    released: int = 0
    """The quantity it had before its seats returned."""
    superseded_by: LicenceType | None = None
    superseded_on: date | None = None
    ended_on: date | None = None
    moved_on: date | None = None
    """Latest effective day on which seats came or went."""

    @property
    def key(self) -> str:
        """Row key of the subscription."""
        return sub_key(self.customer_id, self.slot, self.tenant_id)

    @property
    def quantity(self) -> int:
        """Sum of the lots (24.1 c)."""
        return sum(self.lots.values())


class Override(_Entity):
    """A licence from outside the pools that prevails over pooled ones (LIC-35)."""

    licence_type: LicenceType
    since: date


class Guard(_Entity):
    """What holds over all subscriptions of one customer."""

    customer_id: str
    payment_model: PaymentModel | None = None
    """The one payment model of its active subscriptions (LIC-24)."""
    sources: dict[str, str] = {}
    """Pool item -> pool: one source each (LIC-22)."""
    add_ons: dict[str, AddOnState] = {}
    overrides: dict[str, Override] = {}
    """Pool item -> licence of higher rank."""
    trials: dict[str, date] = {}
    """Service -> day its trial began: one each (GAP-18)."""
    hide_expired: bool = False

    @property
    def key(self) -> str:
        """Row key of the guard."""
        return guard_key(self.customer_id)


class Head(_Entity):
    """Where a partner's ledger stands; every change moves it."""

    partner_id: str
    seq: int = 0
    hash: str = ""
    recorded: datetime | None = None
    next_due: date | None = None
    """No row of the partner is due before this day: what a nightly sweep looks at first."""
    ended: tuple[str, ...] = ()
    """Pools that have ended since a sweep last looked through the subscriptions of each."""
    follows: bool = False
    """Whether a subscription follows its tenant, or has done so."""
    automated_on: date | None = None
    automated: int = 0
    """Seats that automation has moved on `automated_on`: what the mass-change brake counts."""


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """What licensing must know of a customer; the caller reads it where it lives."""

    customer_id: str
    management_mode: Literal["Partner", "Customer"] = "Partner"
    is_connected: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """What licensing must know of the partner."""

    licence_management_suspended: bool = False
    """After two months without a usage report (LIC-55)."""
    tier2_enabled: bool = False
    is_reseller: bool = False


def pool_key(pool_id: str) -> str:
    """Row key of a pool."""
    return f"pool~{pool_id}"


def sub_key(customer_id: str, slot: str, tenant_id: str = "") -> str:
    """Row key of a subscription."""
    return f"sub~{customer_id}~{slot}" + (f"~{tenant_id}" if tenant_id else "")


def guard_key(customer_id: str) -> str:
    """Row key of a customer's guard."""
    return f"guard~{customer_id}"
