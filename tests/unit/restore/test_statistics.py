"""Restores per customer and month (RST-06, RPT-21)."""

from decimal import Decimal

from shared.restore.statistics import month_before, summarise


def test_rst_06_average_change_and_highest() -> None:
    counts = {"2026-11": {"a": 4, "b": 0}, "2026-10": {"a": 1, "b": 1}}
    found = summarise("2026-11", counts, 2)
    assert (found.restores, found.average, found.change) == (4, Decimal("2.00"), 2)
    assert (found.highest, found.highest_restores) == ("a", 4)
    assert [(one.month, one.restores) for one in found.history] == [("2026-11", 4), ("2026-10", 2)]


def test_rpt_21_six_this_and_four_last_month_is_two_more() -> None:
    counts = {"2026-01": {"a": 6}, "2025-12": {"a": 4}}
    assert summarise("2026-01", counts, 1).change == 2


def test_rst_06_nobody_is_highest_without_restores_and_equals_go_by_id() -> None:
    assert summarise("2026-01", {"2026-01": {"a": 0}}, 1).highest is None
    assert summarise("2026-01", {}, 1).average == Decimal("0.00")
    assert summarise("2026-01", {"2026-01": {"b": 2, "a": 2}}, 1).highest == "a"
    assert summarise("2026-01", {"2026-01": {"a": 1, "b": 1, "c": 0}}, 1).average == Decimal("0.67")


def test_months_wrap_around_the_year() -> None:
    assert [month_before("2026-01"), month_before("2026-11")] == ["2025-12", "2026-10"]
