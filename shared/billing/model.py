"""What rating reads and writes: price books, measurements, rated lines, invoices.

Money is `Decimal` in the currency of the price book, tax-free; quantities are `Decimal` in the
unit of the pool item; days are UTC calendar dates. In JSON a Decimal is a string.
"""

import hashlib
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MONTH_PATTERN = r"^2\d{3}-(0[1-9]|1[0-2])$"
"""A month as text, `2026-03`; there is always a month before and after it."""


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError("must be a finite number")
    return value


Money = Annotated[
    Decimal, AfterValidator(_finite), Field(max_digits=18, decimal_places=6, allow_inf_nan=False)
]


class Metric(StrEnum):
    """What is counted (AMB-23)."""

    ASSIGNED = "Assigned"
    CONSUMED = "Consumed"
    PROTECTED_USERS = "ProtectedUsers"
    STORED_GB = "StoredGb"


class Counting(StrEnum):
    """Which of the month's daily values counts (AMB-23)."""

    PEAK = "Peak"
    LAST_DAY = "LastDay"
    AVERAGE = "Average"


class _Data(BaseModel):
    """Stored under its own names; callers of the API may say it in camel case."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
    )


class Tier(_Data):
    """A part of the billed quantity with a price of its own, from the first unit upwards."""

    up_to: int | None = Field(default=None, ge=1)
    """Last unit of the tier; None in the last one."""
    unit_price: Money = Field(ge=0)


class Price(_Data):
    """How one pool item is priced per unit and month."""

    unit_price: Money = Field(default=Decimal(0), ge=0)
    """Price of each unit, when there are no tiers."""
    tiers: tuple[Tier, ...] = ()
    metric: Metric = Metric.ASSIGNED
    counting: Counting = Counting.PEAK
    minimum: int = Field(default=0, ge=0)
    """Units billed at least, per customer that had any in the month."""
    included: int = Field(default=0, ge=0)
    """Units of each customer that are free."""


class PriceBook(_Data):
    """Prices of one partner from a day on; a changed book is a new version, never an edit."""

    book_id: str
    version: int = Field(default=1, ge=1)
    currency: str = Field(min_length=1, max_length=12)
    """Text as the partner writes it: "EUR", "CHF", "€"."""
    decimals: int = Field(default=2, ge=0, le=4)
    prices: dict[str, Price]
    """Pool item -> price."""


class KeptBook(_Data):
    """One version of a price book as it is kept; another one stands beside it, never over it."""

    book: PriceBook
    name: str
    valid_from: str = Field(pattern=MONTH_PATTERN)
    """The first month it is valid for."""
    made_at: datetime
    made_by: str


class Profile(_Data):
    """How customers are billed: with which prices, in whose name."""

    profile_id: str
    name: str
    book_id: str
    issuer: str = ""
    """Printed at the top: name and address as the partner writes them."""
    footer: str = ""


class BilledCustomer(_Data):
    """Whether a customer gets billing reports, who receives them, by which profile (CUS-16)."""

    send_reports: bool = False
    recipients: tuple[str, ...] = ()
    profile_id: str = ""
    """Empty: the partner's profile `default`."""


class Measurement(_Data):
    """One day's measured value of one customer and item."""

    day: date
    customer_id: str
    item: str
    metric: Metric
    quantity: Decimal = Field(ge=0)
    recorded: datetime
    evidence: str = ""
    """Where the list of counted objects lies, with its hash; empty when nothing was listed."""


class Run(_Data):
    """Days on which the quantity was the same."""

    first: date
    last: date
    quantity: Decimal
    events: tuple[int, ...] = ()
    """Numbers of the ledger events that made the change at its beginning."""
    evidence: str = ""


class Step(_Data):
    """One multiplication of a line's arithmetic."""

    quantity: Decimal
    unit_price: Decimal
    amount: Decimal


class Line(_Data):
    """What one customer owes for one item in one month."""

    line_id: str
    customer_id: str
    """Empty for seats that were passed on to other partners."""
    item: str
    pool_id: str = ""
    """Only where pools are billed one by one."""
    metric: Metric
    counting: Counting
    counted: Decimal
    """The month's quantity by `counting`."""
    counted_on: date | None = None
    """First day that had it; None for an average."""
    minimum: int = 0
    included: int = 0
    billed: Decimal
    steps: tuple[Step, ...]
    amount: Decimal
    runs: tuple[Run, ...]
    rules: tuple[str, ...]


class Invoice(_Data):
    """A rated month. The same input gives the same bytes; `input_hash` names the input."""

    format: Literal["holdfast-rating-1"] = "holdfast-rating-1"
    partner_id: str
    month: str = Field(pattern=MONTH_PATTERN)
    price_book: str
    currency: str
    known_at: datetime
    input_hash: str
    lines: tuple[Line, ...]
    total: Decimal

    @cached_property
    def content(self) -> bytes:
        """Canonical JSON: sorted keys, no white space, Decimals as strings."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `content`, hex."""
        return hashlib.sha256(self.content).hexdigest()


class Adjustment(_Data):
    """What a closed month's line would be by what is known now, beside what was billed.

    It is billed in the next month; the closed month is never edited.
    """

    line_id: str
    month: str = Field(pattern=MONTH_PATTERN)
    customer_id: str
    item: str
    pool_id: str = ""
    billed_quantity: Decimal
    right_quantity: Decimal
    billed_amount: Decimal
    right_amount: Decimal
    amount: Decimal
    """`right_amount - billed_amount`; negative is a credit."""
    currency: str = ""
    """Empty for bare quantities."""
    events: tuple[int, ...]
    """Ledger events that became known after the month was rated."""


class CustomerInvoice(_Data):
    """What one customer is billed for one month; its bytes are kept and never edited."""

    format: Literal["holdfast-invoice-1"] = "holdfast-invoice-1"
    number: str
    partner_id: str
    customer_id: str
    customer_name: str
    month: str = Field(pattern=MONTH_PATTERN)
    profile: str
    issuer: str
    footer: str
    price_book: str
    currency: str
    known_at: datetime
    input_hash: str
    lines: tuple[Line, ...]
    adjustments: tuple[Adjustment, ...]
    """Late data of months billed before."""
    subtotal: Decimal
    adjusted: Decimal
    total: Decimal
    """Tax-free."""
    other_totals: dict[str, Decimal] = {}
    """Adjustments of months that were billed in another currency, summed by it."""

    @cached_property
    def content(self) -> bytes:
        """Canonical JSON: sorted keys, no white space, Decimals as strings."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `content`, hex."""
        return hashlib.sha256(self.content).hexdigest()


class CostPrice(_Data):
    """What some units of something cost."""

    per: str
    quantity: Decimal = Field(gt=0)
    """Units the price is for."""
    price: Decimal = Field(ge=0)
    source: str = ""
    """Where it is from; empty where nobody said."""
    as_of: date | None = None
    """The day of the source; None: unknown."""
    verified: bool = False
    """Whether somebody compared it with the price list."""


class CostPrices(_Data):
    """A published table of prices with its day; what is estimated by it says so."""

    name: str
    as_of: date
    currency: str
    note: str
    prices: dict[str, CostPrice]


class CostLine(_Data):
    """One estimated cost."""

    name: str
    per: str
    used: Decimal
    amount: Decimal
