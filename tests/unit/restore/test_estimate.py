"""The floor of a restore's time follows from the published quotas (performance.md section 1)."""

import pytest

from shared.microsoft365.quotas import load_quotas
from shared.restore.estimate import DAY, Load, estimate

QUOTAS = load_quotas()
GB = 1_000_000_000


def test_writing_one_mailbox_is_bound_by_150_mb_in_5_minutes() -> None:
    found = estimate("mailbox", Load(items=1000, bytes=50 * GB), QUOTAS)
    assert found.limited_by == "upload"
    assert found.seconds == pytest.approx(50 / 1.8 * 3600, rel=0.01)  # 28 hours


def test_many_small_mails_are_bound_by_requests() -> None:
    found = estimate("mailbox", Load(items=100_000, bytes=GB), QUOTAS)
    assert (found.limited_by, found.requests) == ("requests", 200_000)
    assert found.seconds == (200_000 - QUOTAS.mailbox.burst) / QUOTAS.mailbox.per_second
    replaced = estimate("mailbox", Load(items=100_000, bytes=GB), QUOTAS, replace=True)
    assert replaced.requests == 300_000


def test_files_are_bound_by_the_resource_units_of_a_day() -> None:
    found = estimate("drive", Load(items=1_000_000, bytes=GB), QUOTAS)
    assert found.limited_by == "dayBudget"
    assert found.resource_units == 5_000_000
    assert found.seconds > 4 * DAY  # 1.2 million units a day
    larger = estimate("drive", Load(items=1_000_000, bytes=GB), QUOTAS, seats=60_000)
    assert larger.seconds < found.seconds / 4


def test_permissions_cost_five_units_more() -> None:
    plain = estimate("drive", Load(items=1000), QUOTAS)
    shared = estimate("drive", Load(items=1000, grants=1000), QUOTAS)
    assert plain.resource_units == 5000
    assert shared.resource_units == 10_000
    # About one invitation or link a second, whatever the units would allow.
    assert (shared.limited_by, shared.seconds) == ("sharing", 1011)


def test_large_files_are_bound_by_bytes() -> None:
    found = estimate("drive", Load(items=10, large=10, bytes=4000 * GB), QUOTAS)
    assert (found.limited_by, found.seconds) == ("ingress", 10 * 3600)


def test_nothing_takes_no_time() -> None:
    for workload in ("mailbox", "drive"):
        found = estimate(workload, Load(), QUOTAS)
        assert (found.requests, found.seconds) == (0, 0)
