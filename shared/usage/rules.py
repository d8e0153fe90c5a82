"""Rules of the monthly usage report: totals, edits, submission, lateness (USG-02 to USG-20)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from shared.billing.model import Counting
from shared.licensing.rules.billing import month_days
from shared.licensing.rules.dates import ONE_DAY
from shared.usage.model import (
    LATE_MONTHS_BEFORE_SUSPENSION,
    Agreement,
    CountedUsers,
    LicenceLine,
    Report,
    ReportState,
    Totals,
)
from shared.usage.refusals import LineUnknown, ReportLocked

EDITABLE = frozenset({ReportState.PENDING_REVIEW, ReportState.REJECTED})
OUTSTANDING = EDITABLE | {ReportState.COLLECTING, ReportState.SAVED}
"""States in which the month has not been sent to the aggregator."""
SENT = frozenset({ReportState.SUBMITTED, ReportState.ACCEPTED})
"""States in which the aggregator has it; one that was sent back is the partner's again."""
ZERO = Decimal(0)
COUNTING = Counting.PEAK
"""Where no agreement says which of the month's daily values counts (AMB-23)."""
MANUAL_LINES = 50
"""Lines that can be added by hand to one report."""


def totals(report: Report) -> Totals:
    """Sums of a report: what is reported, and the commitment's part in it (USG-07, AMB-25).

    Corrections of earlier months count in the month that reports them.
    """
    software = sum((line.points for line in report.lines), ZERO)
    saas = sum((line.points for line in report.saas), ZERO)
    software += sum((each.points for each in report.corrections if not each.is_saas), ZERO)
    saas += sum((each.points for each in report.corrections if each.is_saas), ZERO)
    reported, commit = software + saas, report.minimum_commit
    enforcement = max(ZERO, commit - reported)
    return Totals(
        software=software,
        saas=saas,
        reported=reported,
        minimum_commit=commit,
        subtotal=reported,
        enforcement=enforcement,
        overage=max(ZERO, reported - commit),
        total=reported + enforcement,
    )


def commitment_for(agreement: Agreement, month: str) -> Decimal:
    """The minimum of a month: the newest commitment that began by then (USG-18)."""
    begun = [each for each in agreement.commitments if each.since <= month]
    return max(begun, key=lambda each: each.since).points if begun else ZERO


def agreement_for(agreements: Iterable[Agreement], month: str) -> Agreement | None:
    """The agreement that holds on the month's last day; of several the one that began last."""
    _, last = month_days(first_of(month))
    valid = [
        each
        for each in agreements
        if each.valid_from <= last and (each.valid_to is None or each.valid_to >= first_of(month))
    ]
    return max(valid, key=lambda each: (each.valid_from, each.number), default=None)


def counts_retained(agreements: Iterable[Agreement], day: date) -> bool:
    """Whether users count whose restore points are only kept (AMB-31): as the agreement says."""
    found = agreement_for(agreements, month_of(day))
    return found is not None and found.counted_users is CountedUsers.RETAINED


def first_of(month: str) -> date:
    """First day of a month written `2026-03`."""
    return date.fromisoformat(f"{month}-01")


def month_of(day: date) -> str:
    """The month of a day, written `2026-03`."""
    return f"{day.year:04d}-{day.month:02d}"


def month_before(month: str) -> str:
    """The month before."""
    return month_of(first_of(month) - ONE_DAY)


def month_after(month: str) -> str:
    """The month after."""
    return month_of(month_days(first_of(month))[1] + ONE_DAY)


def due_on(month: str) -> date:
    """A report of a month is late when the following month has ended (AMB-40)."""
    return month_days(first_of(month_after(month)))[1]


def edited(
    report: Report,
    *,
    usage: Mapping[str, int] | None = None,
    purchase_order: str | None = None,
    comment: str | None = None,
) -> Report:
    """Line id -> new current usage, and the two free texts (USG-02, USG-03).

    `ReportLocked` outside review; `LineUnknown` names the wrong line and changes nothing.
    """
    _require(report, EDITABLE, "edited")
    by_id = {line.line_id: line for line in report.lines}
    for line_id in usage or {}:
        if line_id not in by_id:
            raise LineUnknown(
                f"The report has no licence line {line_id!r}.", pointer=f"/lines/{line_id}"
            )
    lines = tuple(
        line.model_copy(update={"current": (usage or {}).get(line.line_id, line.current)})
        for line in report.lines
    )
    changes: dict[str, object] = {"lines": lines}
    if purchase_order is not None:
        changes["purchase_order"] = purchase_order
    if comment is not None:
        changes["comment"] = comment
    return report.model_copy(update=changes)


def with_line(report: Report, line: LicenceLine) -> Report:
    """A product added by hand (USG-04); the same product has one line only."""
    _require(report, EDITABLE, "given a line")
    if any(each.product == line.product for each in report.lines):
        raise LineUnknown(
            f"The report has a line for {line.product} already; edit that one.", pointer="/product"
        )
    if sum(each.is_manual for each in report.lines) >= MANUAL_LINES:
        raise LineUnknown(f"A report takes {MANUAL_LINES} added lines.", pointer="/product")
    return report.model_copy(update={"lines": (*report.lines, line)})


def without_line(report: Report, line_id: str) -> Report:
    """A line added by hand is taken away again; collected lines stay."""
    _require(report, EDITABLE, "relieved of a line")
    if not any(line.line_id == line_id and line.is_manual for line in report.lines):
        raise LineUnknown("Only a line that was added by hand can be removed.", pointer="/lineId")
    return report.model_copy(
        update={"lines": tuple(line for line in report.lines if line.line_id != line_id)}
    )


def saved(report: Report, administrator: str) -> Report:
    """First step: submit usage (USG-09)."""
    _require(report, EDITABLE, "submitted")
    return report.model_copy(update={"state": ReportState.SAVED, "administrator": administrator})


def reopened(report: Report) -> Report:
    """Back to review before confirming (USG-09)."""
    _require(report, {ReportState.SAVED}, "reopened")
    return report.model_copy(update={"state": ReportState.PENDING_REVIEW})


def confirmed(report: Report, by: str, at: datetime) -> Report:
    """Second step: sent to the aggregator, read-only from now on (USG-09, USG-19)."""
    _require(report, {ReportState.SAVED}, "confirmed")
    return report.model_copy(
        update={
            "state": ReportState.SUBMITTED,
            "usage_confirmed": True,
            "confirmed_by": by,
            "confirmed_at": at,
            "rejection_reason": "",
        }
    )


def accepted(report: Report) -> Report:
    """The aggregator took it."""
    _require(report, {ReportState.SUBMITTED}, "accepted")
    return report.model_copy(update={"state": ReportState.ACCEPTED})


def rejected(report: Report, reason: str) -> Report:
    """The aggregator sent it back: editable again, the reason visible (USG-11)."""
    _require(report, {ReportState.SUBMITTED}, "rejected")
    return report.model_copy(
        update={
            "state": ReportState.REJECTED,
            "rejection_reason": reason,
            "usage_confirmed": False,
            "confirmed_by": "",
            "confirmed_at": None,
        }
    )


def late(report: Report, today: date) -> bool:
    """Whether the report is outstanding after its last day (AMB-40); once late it stays marked."""
    return report.is_late or (report.state in OUTSTANDING and today > report.due_on)


def suspends(reports: Sequence[Report], today: date) -> bool:
    """Whether two consecutive months are overdue: licence management stops (USG-10, USG-20).

    A report that was handed in late no longer counts.
    """
    overdue = sorted(
        report.month for report in reports if report.state in OUTSTANDING and today > report.due_on
    )
    streak, previous = 0, ""
    for month in overdue:
        streak = streak + 1 if previous and month_after(previous) == month else 1
        previous = month
        if streak >= LATE_MONTHS_BEFORE_SUSPENSION:
            return True
    return False


def _require(report: Report, states: Iterable[ReportState], what: str) -> None:
    allowed = set(states)
    if report.state not in allowed:
        raise ReportLocked(
            f"The report of {report.month} is {report.state.value}; it can be {what} only while "
            f"{' or '.join(sorted(allowed))}.",
            state=report.state.value,
        )
