"""Contracts of price books, billing profiles and billing reports."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from functions.api.access_models import Email, Name, Text
from functions.api.usage_models import MOST_CHANGES, AdjustmentOut, StepOut
from shared.billing.model import (
    MONTH_PATTERN,
    BilledCustomer,
    Counting,
    CustomerInvoice,
    KeptBook,
    Line,
    Metric,
    Price,
    Profile,
    Tier,
)
from shared.billing.rules.supposing import Supposition
from shared.kit.api_model import ApiModel, Instant

MonthText = Annotated[str, StringConstraints(pattern=MONTH_PATTERN)]
Item = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[0-9A-Za-z-]+$")]
BookName = Annotated[
    str, StringConstraints(min_length=1, max_length=40, pattern=r"^[0-9A-Za-z-]+$")
]
Currency = Annotated[
    str, StringConstraints(min_length=1, max_length=12, pattern=r"^[^\x00-\x1f]+$")
]
MOST_PRICES = 200
MOST_TIERS = 20
MOST_RECIPIENTS = 20


class PriceModel(Price):
    """The price of an item per unit and month."""

    tiers: Annotated[tuple[Tier, ...], Field(max_length=MOST_TIERS)] = ()
    minimum: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    included: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class PriceBookIn(ApiModel):
    """Prices from a month on, tax-free."""

    name: Name
    currency: Currency = Field(examples=["EUR"])
    decimals: Annotated[int, Field(ge=0, le=4)] = 2
    valid_from: MonthText = Field(examples=["2026-03"])
    prices: Annotated[dict[Item, PriceModel], Field(min_length=1, max_length=MOST_PRICES)]


class PriceBookOut(ApiModel):
    """A version of a price book."""

    id: str
    version: int
    name: str
    currency: str
    decimals: int
    valid_from: str
    prices: dict[str, dict[str, Any]]
    made_at: Instant
    made_by: str

    @classmethod
    def of(cls, kept: KeptBook) -> "PriceBookOut":
        """As it is kept."""
        prices = {
            item: price.model_dump(mode="json", by_alias=True)
            for item, price in kept.book.prices.items()
        }
        return cls(
            id=kept.book.book_id,
            version=kept.book.version,
            name=kept.name,
            currency=kept.book.currency,
            decimals=kept.book.decimals,
            valid_from=kept.valid_from,
            prices=prices,
            made_at=kept.made_at,
            made_by=kept.made_by,
        )


class ProfileModel(ApiModel):
    """How customers are billed."""

    name: Name
    book_id: BookName
    issuer: Text = ""
    footer: Text = ""


class ProfileOut(ProfileModel):
    """A billing profile."""

    id: str

    @classmethod
    def of(cls, profile: Profile) -> "ProfileOut":
        """As it is kept."""
        values = profile.model_dump()
        return cls(id=values.pop("profile_id"), **values)


class BilledModel(ApiModel):
    """How one customer is billed (CUS-16)."""

    send_billing_reports: bool = False
    recipients: Annotated[list[Email], Field(max_length=MOST_RECIPIENTS)] = []
    profile_id: BookName | None = Field(default=None, description="Null: the profile `default`")

    @classmethod
    def of(cls, billed: BilledCustomer) -> "BilledModel":
        """As it is kept."""
        return cls(
            send_billing_reports=billed.send_reports,
            recipients=list(billed.recipients),
            profile_id=billed.profile_id or None,
        )


class BillingSummaryOut(ApiModel):
    """One customer's total of a month."""

    customer_id: str
    customer_name: str
    total: Decimal
    currency: str
    digest: str

    @classmethod
    def of(cls, customer_id: str, place: dict[str, Any]) -> "BillingSummaryOut":
        """As the month's index has it."""
        return cls(
            customer_id=customer_id,
            customer_name=place["name"],
            total=Decimal(place["total"]),
            currency=place["currency"],
            digest=place["digest"],
        )


class BilledLineOut(ApiModel):
    """One item of a billing report."""

    line_id: str
    item: str
    metric: Metric
    counting: Counting
    counted: Decimal
    counted_on: date | None
    billed: Decimal
    steps: list[StepOut] = Field(description="Quantity times unit price, tier by tier")
    amount: Decimal

    @classmethod
    def of(cls, line: Line) -> "BilledLineOut":
        """The line without its history."""
        same = cls.model_fields.keys() - {"steps"}
        steps = [StepOut.of(step) for step in line.steps]
        return cls(**{name: getattr(line, name) for name in same}, steps=steps)


class BillingReportOut(ApiModel):
    """What a customer is billed for a month; tax-free."""

    number: str
    month: str
    customer_id: str
    customer_name: str
    profile: str
    issuer: str
    footer: str
    price_book: str = Field(description="Book and version")
    currency: str
    known_at: Instant
    input_hash: str = Field(description="SHA-256 of everything the amounts depend on")
    digest: str = Field(description="SHA-256 of the document")
    lines: list[BilledLineOut]
    adjustments: list[AdjustmentOut]
    subtotal: Decimal
    adjusted: Decimal
    total: Decimal
    other_totals: dict[str, Decimal] = Field(
        description="Late data of months billed in another currency"
    )

    @classmethod
    def of(cls, invoice: CustomerInvoice) -> "BillingReportOut":
        """The invoice as its readers see it."""
        own = {"digest", "lines", "adjustments"}
        return cls(
            **{name: getattr(invoice, name) for name in cls.model_fields.keys() - own},
            digest=invoice.digest,
            lines=[BilledLineOut.of(line) for line in invoice.lines],
            adjustments=[AdjustmentOut.of(each, invoice.month) for each in invoice.adjustments],
        )


class PricedQuestion(ApiModel):
    """A what-if question about one month and one price book."""

    month: MonthText = Field(examples=["2026-03"])
    price_book: BookName
    changes: Annotated[list[Supposition], Field(min_length=1, max_length=MOST_CHANGES)]
