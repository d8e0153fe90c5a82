"""Contracts of months, usage reports, explanations and what-if questions."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from fastapi import Path
from pydantic import Field, StringConstraints

from functions.api.access_models import Name, Text
from shared.billing.model import Adjustment, Counting, Line, Metric, Run, Step
from shared.billing.rules.supposing import Answer, Difference, Supposition
from shared.kit.api_model import ApiModel, Instant
from shared.usage import rules
from shared.usage.model import (
    MONTH_PATTERN,
    Correction,
    LicenceLine,
    Report,
    ReportState,
    SaasLine,
    Totals,
)
from shared.usage.service import Explained

Month = Annotated[str, Path(pattern=MONTH_PATTERN, description="For example 2026-03")]
LineId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z-]+$")]
Units = Annotated[int, Field(ge=0, le=10_000_000, strict=True)]
Points = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=12, decimal_places=4)]
Reason = Annotated[str, StringConstraints(min_length=3, max_length=500, pattern=r"^[^\x00-\x1f]+$")]
MOST_CHANGES = 50


class TotalsOut(ApiModel):
    """Sums in points (USG-07)."""

    software: Decimal
    saas: Decimal
    reported: Decimal
    minimum_commit: Decimal
    subtotal: Decimal = Field(description="What is reported, before the minimum")
    enforcement: Decimal = Field(description="What is missing to the minimum")
    overage: Decimal = Field(description="What exceeds the minimum")
    total: Decimal

    @classmethod
    def of(cls, totals: Totals) -> "TotalsOut":
        """The sums as partners see them."""
        return cls(**totals.model_dump())


class LicenceLineOut(ApiModel):
    """One rented product (USG-03)."""

    line_id: str
    product: str
    licensed: int
    previous: int | None
    auto: int
    current: int
    points_per_unit: Decimal
    points: Decimal
    is_manual: bool

    @classmethod
    def of(cls, line: LicenceLine) -> "LicenceLineOut":
        """The line with its points."""
        return cls(**line.model_dump(), points=line.points)


class SaasLineOut(ApiModel):
    """One customer's use of one plan (USG-13)."""

    line_id: str
    customer_id: str
    customer_name: str
    crm_id: str
    start: date | None
    product: str
    unit: str
    units: int
    previous: int | None
    points_per_unit: Decimal
    points: Decimal
    is_deleted: bool

    @classmethod
    def of(cls, line: SaasLine) -> "SaasLineOut":
        """The line with its points."""
        return cls(**line.model_dump(), points=line.points)


class CorrectionOut(ApiModel):
    """Units of an earlier month that became known after it was closed."""

    month: str
    line_id: str
    customer_id: str
    product: str
    units: Decimal
    points_per_unit: Decimal
    points: Decimal

    @classmethod
    def of(cls, each: Correction) -> "CorrectionOut":
        """The correction with its points."""
        return cls(**each.model_dump(exclude={"is_saas"}), points=each.points)


class ReportSummaryOut(ApiModel):
    """A usage report in a list (USG-08)."""

    month: str
    number: str
    state: ReportState
    agreement: str
    aggregator: str
    due_on: date
    is_late: bool
    needs_action: bool = Field(description="Not sent to the aggregator yet")

    @classmethod
    def of(cls, report: Report) -> "ReportSummaryOut":
        """The header only."""
        same = ("month", "number", "state", "agreement", "aggregator", "due_on", "is_late")
        values = {name: getattr(report, name) for name in same}
        return cls(**values, needs_action=report.state in rules.OUTSTANDING)


class ReportOut(ReportSummaryOut):
    """A usage report (USG-02)."""

    usage_confirmed: bool
    confirmed_by: str
    confirmed_at: Instant | None
    purchase_order: str
    comment: str
    administrator: str
    rejection_reason: str
    snapshot: str = Field(description="SHA-256 of the rated month behind it")
    lines: list[LicenceLineOut]
    saas_usage: list[SaasLineOut] | None = Field(description="Null when there is none")
    corrections: list[CorrectionOut] = Field(description="Late data of closed months")
    totals: TotalsOut

    @classmethod
    def of(cls, report: Report) -> "ReportOut":
        """The whole report."""
        same = (
            "usage_confirmed",
            "confirmed_by",
            "confirmed_at",
            "purchase_order",
            "comment",
            "administrator",
            "rejection_reason",
            "snapshot",
        )
        return cls(
            **dict(ReportSummaryOut.of(report)),
            **{name: getattr(report, name) for name in same},
            lines=[LicenceLineOut.of(line) for line in report.lines],
            saas_usage=[SaasLineOut.of(line) for line in report.saas] or None,
            corrections=[CorrectionOut.of(each) for each in report.corrections],
            totals=TotalsOut.of(rules.totals(report)),
        )


class LineEdit(ApiModel):
    """The new current usage of a licence line."""

    line_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    current: Units


class ReportEdit(ApiModel):
    """What may be edited during review; members that are left out stay."""

    purchase_order: Annotated[Text, StringConstraints(max_length=100)] | None = None
    comment: Text | None = None
    lines: Annotated[list[LineEdit], Field(max_length=1000)] = []


class ManualLine(ApiModel):
    """A product that was not measured (USG-04)."""

    product: Name
    units: Units
    points_per_unit: Points


class Rejection(ApiModel):
    """Why the aggregator sent it back (USG-11)."""

    reason: Reason


class StepOut(ApiModel):
    """One multiplication."""

    quantity: Decimal
    unit_price: Decimal
    amount: Decimal

    @classmethod
    def of(cls, step: Step) -> "StepOut":
        """As it was rated."""
        return cls(**step.model_dump())


class RunOut(ApiModel):
    """Days with the same quantity."""

    first: date
    last: date
    quantity: Decimal
    events: list[int]

    @classmethod
    def of(cls, run: Run) -> "RunOut":
        """As it was rated."""
        return cls(first=run.first, last=run.last, quantity=run.quantity, events=list(run.events))


class RatedLineOut(ApiModel):
    """One rated line."""

    line_id: str
    customer_id: str
    item: str
    pool_id: str | None
    metric: Metric
    counting: Counting
    counted: Decimal
    counted_on: date | None
    billed: Decimal
    amount: Decimal

    @classmethod
    def of(cls, line: Line) -> "RatedLineOut":
        """The line without its history."""
        same = cls.model_fields.keys() - {"pool_id"}
        return cls(**{name: getattr(line, name) for name in same}, pool_id=line.pool_id or None)


class ExplainedEvent(ApiModel):
    """A ledger event behind a line."""

    seq: int
    kind: str
    effective: date
    recorded: Instant | None
    actor: str
    rules: list[str]
    hash: str


class CountedObject(ApiModel):
    """A user that counts, and why."""

    user_id: str
    name: str
    address: str
    reason: str
    objects: list[str]


class ExplanationOut(ApiModel):
    """A line in sentences and as data."""

    line: RatedLineOut
    sentences: list[str]
    arithmetic: str
    rules: list[str]
    runs: list[RunOut]
    steps: list[StepOut]
    events: list[ExplainedEvent]
    objects: list[CountedObject]
    input_hash: str
    parts: list[RatedLineOut] = Field(
        description="What a product's line adds up; each id explains itself further"
    )

    @classmethod
    def of(cls, told: Explained) -> "ExplanationOut":
        """The explanation as partners see it."""
        return cls(
            line=RatedLineOut.of(told.line),
            sentences=list(told.explanation.sentences),
            arithmetic=told.explanation.arithmetic,
            rules=list(told.explanation.rules),
            runs=[RunOut.of(run) for run in told.line.runs],
            steps=[StepOut.of(step) for step in told.line.steps],
            events=[
                ExplainedEvent(
                    seq=event.seq,
                    kind=event.kind,
                    effective=event.effective,
                    recorded=event.recorded,
                    actor=event.actor,
                    rules=list(event.rules),
                    hash=event.hash,
                )
                for event in told.explanation.events
            ],
            objects=[CountedObject.model_validate(each) for each in told.objects],
            input_hash=told.input_hash,
            parts=[RatedLineOut.of(line) for line in told.parts],
        )


class Question(ApiModel):
    """A what-if question about one month."""

    month: Annotated[str, StringConstraints(pattern=MONTH_PATTERN)] = Field(examples=["2026-03"])
    changes: Annotated[list[Supposition], Field(min_length=1, max_length=MOST_CHANGES)]


class DifferenceOut(ApiModel):
    """A line as it is and as it would be."""

    line_id: str
    now: RatedLineOut | None
    then: RatedLineOut | None
    amount: Decimal

    @classmethod
    def of(cls, found: Difference) -> "DifferenceOut":
        """The difference as partners see it."""
        return cls(
            line_id=found.line_id,
            now=RatedLineOut.of(found.now) if found.now else None,
            then=RatedLineOut.of(found.then) if found.then else None,
            amount=found.amount,
        )


class AnswerOut(ApiModel):
    """What would change, in the currency of the price book or in points; nothing is written."""

    now_total: Decimal
    then_total: Decimal
    amount: Decimal
    currency: str
    differences: list[DifferenceOut]

    @classmethod
    def of(cls, answer: Answer) -> "AnswerOut":
        """The answer as partners see it."""
        return cls(
            now_total=answer.now.total,
            then_total=answer.then.total,
            amount=answer.amount,
            currency=answer.now.currency,
            differences=[DifferenceOut.of(each) for each in answer.differences],
        )


class AdjustmentOut(ApiModel):
    """Late data of a closed month."""

    line_id: str
    month: str
    customer_id: str
    item: str
    pool_id: str | None
    billed_quantity: Decimal
    right_quantity: Decimal
    billed_amount: Decimal
    right_amount: Decimal
    amount: Decimal
    currency: str | None = Field(description="Null for bare quantities")
    events: list[int]
    billed_in: str | None = Field(description="The month that bills it; null until it closes")

    @classmethod
    def of(cls, found: Adjustment, billed_in: str) -> "AdjustmentOut":
        """The adjustment as partners see it."""
        values = found.model_dump() | {"pool_id": found.pool_id or None}
        values |= {"billed_in": billed_in or None, "currency": found.currency or None}
        return cls(**values | {"events": list(found.events)})
