"""The monthly usage report of a partner and the rental agreement it is made under.

Points and units are `Decimal`; a month is written `2026-03`; days are UTC calendar dates.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from shared.billing.model import MONTH_PATTERN as MONTH_PATTERN
from shared.billing.model import Counting

FLEX_POINTS_PER_USER = Decimal("2.5")
"""`FlexPointsPerUser` (features.md 0)."""
LATE_MONTHS_BEFORE_SUSPENSION = 2
"""`UnsubmittedMonthsBeforeSuspension` (features.md 0)."""


class ReportState(StrEnum):
    """Where a report stands (features.md 24.2)."""

    COLLECTING = "Collecting"
    PENDING_REVIEW = "PendingReview"
    SAVED = "Saved"
    SUBMITTED = "SubmittedToAggregator"
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class CountedUsers(StrEnum):
    """Which users consume a licence in a month (AMB-31)."""

    PROTECTED = "Protected"
    """Processed in the month, or kept in an enabled policy."""
    RETAINED = "Retained"
    """Also whose restore points are only kept: until these are gone, or the user is excluded."""


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Commitment(_Data):
    """A minimum commitment in points from a month on (USG-18)."""

    points: Decimal = Field(ge=0)
    since: str = Field(pattern=MONTH_PATTERN)


class Agreement(_Data):
    """A rental agreement: who collects the reports, what a unit weighs, what is owed at least."""

    number: str
    aggregator: str
    commitments: tuple[Commitment, ...] = ()
    points_per_unit: dict[str, Decimal] = {}
    """Product -> points of one unit; Flex has its own default."""
    counting: Counting = Counting.PEAK
    """Which of the month's daily values is reported (AMB-23)."""
    counted_users: CountedUsers = CountedUsers.PROTECTED
    """Which users are counted on the days it holds for (AMB-31)."""
    valid_from: date
    valid_to: date | None = None


class LicenceLine(_Data):
    """One rented product (USG-03, USG-04)."""

    line_id: str
    product: str
    licensed: int = Field(default=0, ge=0)
    """Units the partner holds a licence for."""
    previous: int | None = None
    """What was reported last month; None when there was no such line (USG-17)."""
    auto: int = Field(default=0, ge=0)
    """What was measured."""
    current: int = Field(ge=0)
    """What is reported: starts at `auto`, may be edited before submission."""
    points_per_unit: Decimal = Field(ge=0)
    is_manual: bool = False

    @property
    def points(self) -> Decimal:
        """Current usage times points per unit (USG-05)."""
        return self.current * self.points_per_unit


class SaasLine(_Data):
    """One customer's use of one plan (USG-06, USG-13)."""

    customer_id: str
    customer_name: str
    crm_id: str = ""
    start: date | None = None
    """First day of the customer's subscription."""
    product: str
    unit: str
    units: int = Field(ge=0)
    previous: int | None = None
    points_per_unit: Decimal = Field(ge=0)
    is_deleted: bool = False
    """Deleted during the month: it stays and is billed (USG-12)."""
    line_id: str = ""
    """Of the rated line that explains the units."""

    @property
    def points(self) -> Decimal:
        """Reported units times points per unit."""
        return self.units * self.points_per_unit


class Correction(_Data):
    """Units of an earlier month that became known after it was closed; negative is a credit."""

    month: str
    customer_id: str
    product: str
    units: Decimal
    points_per_unit: Decimal = Field(ge=0)
    is_saas: bool
    line_id: str
    """Of the rated line of that month."""

    @property
    def points(self) -> Decimal:
        """Units times points per unit."""
        return self.units * self.points_per_unit


class Totals(_Data):
    """The sums of a report, in points (USG-07)."""

    software: Decimal
    saas: Decimal
    reported: Decimal
    minimum_commit: Decimal
    subtotal: Decimal
    """What is reported, before the minimum."""
    enforcement: Decimal
    """What is missing to the minimum."""
    overage: Decimal
    """What exceeds the minimum."""
    total: Decimal


class Report(_Data):
    """One partner's month (USG-02); its key is partner and month, so a second one cannot be."""

    partner_id: str
    month: str = Field(pattern=MONTH_PATTERN)
    number: str
    agreement: str
    aggregator: str
    state: ReportState = ReportState.PENDING_REVIEW
    minimum_commit: Decimal = Decimal(0)
    """As it was for this month: a later change of the agreement does not reach it (USG-18)."""
    lines: tuple[LicenceLine, ...] = ()
    saas: tuple[SaasLine, ...] = ()
    corrections: tuple[Correction, ...] = ()
    """Late data of closed months: they stay as they were submitted."""
    purchase_order: str = Field(default="", max_length=100)
    comment: str = Field(default="", max_length=1000)
    administrator: str = ""
    """Who reports: the user that saved it last."""
    usage_confirmed: bool = False
    confirmed_by: str = ""
    confirmed_at: datetime | None = None
    rejection_reason: str = ""
    due_on: date
    """Last day on which it is not late (AMB-40)."""
    is_late: bool = False
    snapshot: str = ""
    """SHA-256 of the month's rated content: what every SaaS line is explained from."""
