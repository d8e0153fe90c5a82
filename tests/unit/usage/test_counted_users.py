"""AMB-31, BKP-29: whether users count whose restore points are only kept, and until when."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from shared.kit import ids
from shared.protection.model import Point, Policy, ProtectedObject
from shared.usage import rules
from shared.usage.days import Retention, counted_users
from shared.usage.model import Agreement, CountedUsers

CUSTOMER = "c" * 16
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
LAST = datetime(2026, 2, 27, 9, tzinfo=UTC)
MARCH = date(2026, 3, 31)


def mailbox(**changed: Any) -> ProtectedObject:
    point = Point(n=1, status="complete", ended_at=LAST, items=1, root="r", record="r")
    good: dict[str, Any] = {
        "object_id": ids.object_id(CUSTOMER, "mailbox", "ada"), "partner_id": "p",
        "customer_id": CUSTOMER, "workload": "mailbox", "source_id": "ada", "owner_id": "ada",
        "display_name": "Ada", "address": "ada@c.example", "last_point": point,
        "discovered_at": BEGAN,
    }  # fmt: skip
    return ProtectedObject.model_validate(good | changed)


def policy(**changed: Any) -> Policy:
    good: dict[str, Any] = {
        "policy_id": ids.policy_id(CUSTOMER), "partner_id": "p", "customer_id": CUSTOMER,
        "name": "P", "services": ["exchange"], "enabled": False, "created_at": BEGAN,
        "next_run_at": BEGAN,
    }  # fmt: skip
    return Policy.model_validate(good | changed)


def counted(
    day: date = MARCH,
    retention: Retention | None = Retention(1),
    *policies: Policy,
    **changed: Any,
) -> list[str]:
    found = counted_users(
        [mailbox(**changed)], policies or [policy()], ["exchange"], day, retention
    )
    return [one.reason for one in found]


def test_amb_31_pure_retention_counts_only_where_it_is_agreed() -> None:
    assert counted(retention=None) == []
    assert counted() == ["kept by retention since 2026-02-27"]


@pytest.mark.parametrize(
    ("day", "of_customer", "of_policy", "counts"),
    [
        (date(2027, 2, 27), 1, None, True),
        (date(2027, 2, 28), 1, None, False),  # the restore point is gone
        (date(2027, 2, 28), 1, 2, True),  # the policy's own term goes first
        (date(2040, 1, 1), 1, 0, True),  # a policy without end
        (date(2040, 1, 1), None, None, True),
    ],
)
def test_bkp_29_until_the_retained_data_are_gone(
    day: date, of_customer: int | None, of_policy: int | None, counts: bool
) -> None:
    kept = policy(retention_years=of_policy)
    assert bool(counted(day, Retention(of_customer), kept)) is counts


def test_bkp_29_or_until_the_user_is_excluded_or_its_data_erased() -> None:
    assert counted(MARCH, Retention(1), policy(exclude=["user:ada"])) == []
    assert counted(last_point=None) == []
    assert counted(licensed=False) == []


def test_amb_31_the_agreement_of_the_month_decides() -> None:
    plain = Agreement(number="1", aggregator="A", valid_from=date(2026, 1, 1))
    later = Agreement(
        number="2", aggregator="A", valid_from=date(2026, 3, 1),
        counted_users=CountedUsers.RETAINED,
    )  # fmt: skip
    found = [rules.counts_retained([plain, later], date(2026, month, 1)) for month in (1, 2, 3, 4)]
    assert found == [False, False, True, True]
    assert rules.counts_retained([], MARCH) is False
