"""Outcomes, schedules and selections: the pure rules of sessions."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kit.ids import new_id, object_id
from shared.protection import rules
from shared.protection.model import (
    RUN_OVER,
    BackupType,
    Counts,
    Policy,
    ProtectedObject,
    RunState,
    Session,
    SessionState,
)

NOW = datetime(2026, 3, 1, 10, 40, tzinfo=UTC)
CUSTOMER = "0123456789abcdef"


def a_policy(**changes: object) -> Policy:
    values = {
        "policy_id": f"{CUSTOMER}-p00000001",
        "partner_id": "partner",
        "customer_id": CUSTOMER,
        "name": "All",
        "services": ["exchange", "onedrive"],
        "created_at": NOW,
        "next_run_at": NOW,
    }
    return Policy.model_validate(values | changes)


def an_object(workload: str = "mailbox", source: str = "u1", **changes: object) -> ProtectedObject:
    values = {
        "object_id": object_id(CUSTOMER, workload, source),
        "customer_id": CUSTOMER,
        "partner_id": "partner",
        "workload": workload,
        "source_id": source,
        "owner_id": "u1",
        "display_name": "Ada",
        "address": "ada@contoso.example",
        "discovered_at": NOW,
    }
    return ProtectedObject.model_validate(values | changes)


def outcome(states: dict[RunState, int], **flags: bool) -> SessionState:
    given = {"stopped": False, "disconnected": False, "error": False} | flags
    return rules.decide_outcome(states, **given)


@pytest.mark.parametrize(
    ("states", "flags", "expected"),
    [
        ({RunState.SUCCEEDED: 3}, {}, SessionState.SUCCESS),
        ({RunState.SUCCEEDED: 2, RunState.SKIPPED: 1}, {}, SessionState.SUCCESS),
        ({RunState.SUCCEEDED: 2, RunState.FAILED: 1}, {}, SessionState.WARNING),
        ({RunState.SUCCEEDED: 2, RunState.PARTIAL: 1}, {}, SessionState.WARNING),
        ({RunState.FAILED: 3}, {}, SessionState.FAILED),
        ({RunState.SUCCEEDED: 1, RunState.PENDING: 1}, {}, SessionState.WARNING),
        ({}, {"error": True}, SessionState.FAILED),
        ({}, {}, SessionState.WARNING),
        ({RunState.SUCCEEDED: 1}, {"stopped": True}, SessionState.STOPPED),
        ({RunState.SUCCEEDED: 1}, {"disconnected": True}, SessionState.DISCONNECTED),
        ({RunState.SUCCEEDED: 1, RunState.DISCONNECTED: 1}, {}, SessionState.DISCONNECTED),
        ({RunState.SUCCEEDED: 1, RunState.FAILED: 1}, {"error": True}, SessionState.WARNING),
    ],
)
def test_bkp_20_and_30_outcome_follows_from_counts(
    states: dict[RunState, int], flags: dict[str, bool], expected: SessionState
) -> None:
    assert outcome(states, **flags) is expected


@given(st.dictionaries(st.sampled_from(list(RunState)), st.integers(1, 50), min_size=1))
def test_success_needs_every_object_to_have_ended_well(states: dict[RunState, int]) -> None:
    good = {RunState.SUCCEEDED, RunState.SKIPPED}
    assert (outcome(states) is SessionState.SUCCESS) == (set(states) <= good)


@given(st.integers(0, 30_000))
def test_no_level_has_more_than_a_hundred_children(found: int) -> None:
    shards = rules.shards_for(found)
    assert shards >= 1
    assert found / shards <= max(rules.OBJECTS_PER_SHARD, found / rules.MAX_SHARDS)


def test_hashing_spreads_objects_over_groups_below_the_limit() -> None:
    ids = [object_id(CUSTOMER, "mailbox", str(n)) for n in range(5000)]
    shards = rules.shards_for(len(ids))
    sizes = [0] * shards
    for each in ids:
        sizes[rules.shard_of(each, shards)] += 1
    assert max(sizes) <= 100


@given(st.integers(0, 3_000_000), st.integers(1, 48), st.integers(0, 20_000_000))
def test_bkp_07_next_run_is_in_the_future_and_keeps_its_slot(
    due_s: int, hours: int, late_s: int
) -> None:
    due = NOW + timedelta(seconds=due_s)
    now = due + timedelta(seconds=late_s)
    following = rules.next_run(due, hours, now)
    interval = timedelta(hours=hours)
    assert now < following or following == due + interval
    assert following - now <= interval or following == due + interval
    assert (following - due) % interval == timedelta(0)


def test_bkp_04_first_run_is_one_to_two_hours_away_and_spread() -> None:
    firsts = [rules.first_run(f"{CUSTOMER}-p{new_id(8)}", NOW) for _ in range(200)]
    waits = [first - NOW for first in firsts]
    assert all(timedelta(hours=1) <= wait < timedelta(hours=2) for wait in waits)
    assert len({first.minute for first in firsts}) > 20


def test_bkp_02_scope_of_policies() -> None:
    bought = ["exchange", "onedrive"]
    mailbox, unlicensed = an_object(), an_object(source="u2", licensed=False)
    everything = a_policy()
    assert rules.covers(everything, mailbox, bought)
    assert not rules.covers(everything, unlicensed, bought)
    assert not rules.covers(a_policy(exclude=[mailbox.object_id]), mailbox, bought)
    assert not rules.covers(everything, mailbox, ["onedrive"])  # BKP-21
    chosen = a_policy(backup_type=BackupType.SELECTED_ITEMS, include=[unlicensed.object_id])
    assert rules.covers(chosen, unlicensed, bought)
    assert not rules.covers(chosen, mailbox, bought)


def test_m37_a_workload_without_permission_stands_still() -> None:
    found = [an_object(), an_object("drive", "d1")]
    selection = rules.select_objects(a_policy(), found, ["exchange", "onedrive"], ["drive"])
    assert [one.workload for one in selection.objects] == ["mailbox"]
    assert selection.excluded == 1


@pytest.mark.parametrize(
    ("state", "age", "running"),
    [
        (SessionState.RUNNING, timedelta(hours=5), True),
        (SessionState.QUEUED, timedelta(minutes=1), True),
        (SessionState.QUEUED, timedelta(minutes=11), False),
        (SessionState.SUCCESS, timedelta(0), False),
        (None, timedelta(minutes=1), True),
        (None, timedelta(minutes=11), False),
    ],
)
def test_bkp_08_claim_holds_until_its_session_is_over_or_its_starter_died(
    state: SessionState | None, age: timedelta, running: bool
) -> None:
    session = None
    if state is not None:
        session = Session(
            session_id="s",
            policy_id="p",
            partner_id="partner",
            customer_id=CUSTOMER,
            trigger="Manual",
            state=state,
            created_at=NOW - age,
            updated_at=NOW - age,
        )
    policy = a_policy(running_session_id="s", running_since=NOW - age)
    assert rules.is_running(policy, session, NOW) is running
    assert not rules.is_running(a_policy(), session, NOW)


def test_bkp_23_expiry_is_whole_years_and_survives_a_leap_day() -> None:
    assert rules.expires(NOW, 1) == NOW.replace(year=2027)
    assert rules.expires(NOW, None) is None
    leap = datetime(2028, 2, 29, 3, tzinfo=UTC)
    assert rules.expires(leap, 1) == datetime(2029, 3, 1, 3, tzinfo=UTC)
    assert rules.expires(leap, 4) == leap.replace(year=2032)


counts = st.builds(
    Counts,
    protected=st.integers(0, 9),
    unchanged=st.integers(0, 9),
    skipped=st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    failed=st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9)),
)


@given(counts, counts)
def test_v36_sums_of_counts_stay_sums(one: Counts, other: Counts) -> None:
    assert one.plus(other).listed == one.listed + other.listed


def test_progress_is_unknown_until_objects_are() -> None:
    assert rules.progress({}, RUN_OVER, 0) == 0
    assert rules.progress({RunState.SUCCEEDED: 1, RunState.PENDING: 3}, RUN_OVER, 4) == 25
