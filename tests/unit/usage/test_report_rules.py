"""Rules of the monthly usage report, by the numbers of the specification."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.usage import rules
from shared.usage.model import Agreement, Commitment, LicenceLine, Report, ReportState, SaasLine
from shared.usage.refusals import LineUnknown, ReportLocked

NOW = datetime(2026, 4, 3, tzinfo=UTC)


def licence(product: str, current: int, points: str, *, manual: bool = False) -> LicenceLine:
    return LicenceLine(
        line_id=product,
        product=product,
        auto=current,
        current=current,
        points_per_unit=Decimal(points),
        is_manual=manual,
    )


def flex(customer: str, units: int) -> SaasLine:
    return SaasLine(
        customer_id=customer,
        customer_name=customer,
        product="Flex",
        unit="User",
        units=units,
        points_per_unit=Decimal("2.5"),
    )


def report(month: str = "2026-03", **changes: object) -> Report:
    values = {
        "partner_id": "p1",
        "month": month,
        "number": f"p1-{month}",
        "agreement": "RA-1",
        "aggregator": "A",
        "due_on": rules.due_on(month),
        **changes,
    }
    return Report.model_validate(values)


def test_usg_05_points_are_units_times_points_per_unit() -> None:
    lines = (licence("a", 1, "11"), licence("b", 118, "5"), licence("c", 1, "3"))
    assert [line.points for line in lines] == [11, 590, 3]
    assert rules.totals(report(lines=lines)).software == 604


def test_usg_06_flex_users_are_two_and_a_half_points() -> None:
    assert [flex("c", units).points for units in (14, 21, 31)] == [
        Decimal("35.0"),
        Decimal("52.5"),
        Decimal("77.5"),
    ]


@pytest.mark.parametrize(
    ("software", "saas", "commit", "enforcement", "overage", "total"),
    [(604, 512, 200, 0, 916, 1116), (150, 0, 200, 50, 0, 200), (0, 0, 0, 0, 0, 0)],
)
def test_usg_07_totals_and_commitment(
    software: int, saas: int, commit: int, enforcement: int, overage: int, total: int
) -> None:
    found = rules.totals(
        report(
            lines=(licence("a", software, "1"),),
            saas=(flex("c", 0), flex("d", saas).model_copy(update={"points_per_unit": 1})),
            minimum_commit=Decimal(commit),
        )
    )
    assert (found.enforcement, found.overage, found.total) == (enforcement, overage, total)


def test_usg_18_a_later_commitment_leaves_earlier_months_alone() -> None:
    agreement = Agreement(
        number="RA-1",
        aggregator="A",
        valid_from=date(2025, 1, 1),
        commitments=(
            Commitment(points=Decimal(200), since="2025-01"),
            Commitment(points=Decimal(300), since="2026-05"),
        ),
    )
    assert [rules.commitment_for(agreement, f"2026-0{n}") for n in (4, 5)] == [200, 300]
    assert rules.commitment_for(agreement, "2024-12") == 0
    assert rules.agreement_for([agreement], "2024-12") is None


def test_usg_03_current_usage_is_edited_and_points_follow() -> None:
    before = report(lines=(licence("a", 118, "5"),))
    after = rules.edited(before, usage={"a": 120}, purchase_order="PO 1")
    assert (after.lines[0].points, after.lines[0].auto, after.purchase_order) == (600, 118, "PO 1")
    with pytest.raises(LineUnknown) as refused:
        rules.edited(before, usage={"a": 1, "z": 2})
    assert refused.value.errors[0]["pointer"] == "/lines/z"


def test_usg_04_a_product_is_added_once_and_only_added_lines_leave() -> None:
    before = report(lines=(licence("a", 1, "1"),))
    added = rules.with_line(before, licence("p", 2, "3", manual=True))
    assert rules.totals(added).software == 7
    assert rules.without_line(added, "p") == before
    for wrong in (
        lambda: rules.with_line(added, licence("p", 1, "1", manual=True)),
        lambda: rules.without_line(added, "a"),
    ):
        with pytest.raises(LineUnknown):
            wrong()


def test_usg_09_11_19_two_steps_back_and_rejection() -> None:
    saved = rules.saved(report(), "ann")
    assert rules.reopened(saved).state is ReportState.PENDING_REVIEW
    sent = rules.confirmed(saved, "ann", NOW)
    assert (sent.usage_confirmed, sent.confirmed_by, sent.confirmed_at) == (True, "ann", NOW)
    back = rules.rejected(sent, "PO missing")
    assert (back.state, back.rejection_reason, back.usage_confirmed) == (
        ReportState.REJECTED,
        "PO missing",
        False,
    )
    again = rules.confirmed(rules.saved(rules.edited(back, comment="x"), "ann"), "ann", NOW)
    assert rules.accepted(again).state is ReportState.ACCEPTED


STEPS: dict[str, tuple[Callable[[Report], Report], set[ReportState]]] = {
    "edit": (lambda r: rules.edited(r, comment="x"), set(rules.EDITABLE)),
    "save": (lambda r: rules.saved(r, "ann"), set(rules.EDITABLE)),
    "back": (rules.reopened, {ReportState.SAVED}),
    "confirm": (lambda r: rules.confirmed(r, "ann", NOW), {ReportState.SAVED}),
    "accept": (rules.accepted, {ReportState.SUBMITTED}),
    "reject": (lambda r: rules.rejected(r, "no"), {ReportState.SUBMITTED}),
}


@pytest.mark.parametrize("state", ReportState)
@pytest.mark.parametrize("step", STEPS)
def test_usg_09_every_step_in_every_state(step: str, state: ReportState) -> None:
    act, allowed = STEPS[step]
    if state in allowed:
        assert act(report(state=state))
    else:
        with pytest.raises(ReportLocked):
            act(report(state=state))


def test_usg_10_20_two_consecutive_late_months_suspend_until_handed_in() -> None:
    april, may = report("2026-04"), report("2026-05")
    assert (april.due_on, may.due_on) == (date(2026, 5, 31), date(2026, 6, 30))
    assert not rules.late(april, date(2026, 5, 31))
    assert rules.late(april, date(2026, 6, 1))
    assert not rules.suspends([april, may], date(2026, 6, 30))
    assert rules.suspends([april, may], date(2026, 7, 1))
    assert not rules.suspends([april, report("2026-06")], date(2026, 9, 1))
    handed_in = rules.confirmed(rules.saved(april, "ann"), "ann", NOW)
    assert not rules.suspends([handed_in, may], date(2026, 7, 1))


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_months_follow_one_another(day: date) -> None:
    month = rules.month_of(day)
    assert rules.month_before(rules.month_after(month)) == month
    assert rules.first_of(month) <= day < rules.first_of(rules.month_after(month))
    assert rules.due_on(month) < rules.first_of(rules.month_after(rules.month_after(month)))
