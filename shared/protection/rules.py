"""Decisions about sessions and schedules: pure, no clock, no storage."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.protection import selectors
from shared.protection.model import (
    REMOVED,
    BackupType,
    Policy,
    ProtectedObject,
    RunState,
    Session,
    SessionState,
    services_of,
)

OBJECTS_PER_SHARD = 50
"""Mean objects in one group; hashing keeps groups below the 100 children of a level."""
MAX_SHARDS = 400
CLAIM_PATIENCE = timedelta(minutes=10)
"""How long a session may be claimed or queued before nobody believes that it will start."""
FIRST_RUN_AFTER = timedelta(hours=1)
"""A new policy runs in the second hour of its life: an operator can look at it first."""


def decide_outcome(
    states: Mapping[RunState, int], *, stopped: bool, disconnected: bool, error: bool
) -> SessionState:
    """How a session ends, from the states of its objects (BKP-09, BKP-20, BKP-30).

    Disconnected wins over everything: the tenant lets nobody in. An error before any object was
    known is Failed (discovery); later the objects that never reached an end count as failed. A
    session that found nothing to protect is a Warning: silence is no success.
    """
    if disconnected or states.get(RunState.DISCONNECTED, 0):
        return SessionState.DISCONNECTED
    if stopped:
        return SessionState.STOPPED
    total = sum(states.values())
    if not total:
        return SessionState.FAILED if error else SessionState.WARNING
    good = states.get(RunState.SUCCEEDED, 0) + states.get(RunState.SKIPPED, 0)
    partial = states.get(RunState.PARTIAL, 0)
    if not good + partial:
        return SessionState.FAILED
    return SessionState.SUCCESS if good == total else SessionState.WARNING


def leftover(*, stopped: bool, disconnected: bool) -> RunState:
    """What becomes of an object that never reached an end of its own."""
    if disconnected:
        return RunState.DISCONNECTED
    return RunState.STOPPED if stopped else RunState.FAILED


def progress(states: Mapping[RunState, int], over: Iterable[RunState], found: int) -> int:
    """Percent of the objects that have ended; 0 while their number is unknown."""
    if found <= 0:
        return 0
    ended = sum(states.get(state, 0) for state in over)
    return min(100, ended * 100 // found)


def shards_for(found: int) -> int:
    """How many ObjectRuns partitions, and so groups, a session of `found` objects gets."""
    return min(MAX_SHARDS, max(1, -(-found // OBJECTS_PER_SHARD)))


def shard_of(object_id: str, shards: int) -> int:
    """The partition of an object: the same for the same id and number of shards."""
    return int(hashlib.sha256(object_id.encode()).hexdigest()[:8], 16) % max(1, shards)


def slot(policy_id: str) -> timedelta:
    """The policy's place inside the hour, so that a fleet does not start at once."""
    digest = hashlib.sha256(policy_id.encode()).digest()
    return timedelta(seconds=int.from_bytes(digest[:4]) % 3600)


def first_run(policy_id: str, created: datetime) -> datetime:
    """The first due time: at the policy's slot, one to two hours after its creation (BKP-04)."""
    earliest = created + FIRST_RUN_AFTER
    at = _hour(earliest) + slot(policy_id)
    return at if at >= earliest else at + timedelta(hours=1)


def next_run(due: datetime, interval_hours: int, now: datetime) -> datetime:
    """The due time after `due` (BKP-07); missed ones collapse into one."""
    interval = timedelta(hours=interval_hours)
    after = due + interval
    if after <= now:
        after += interval * ((now - after) // interval + 1)
    return after


def covers(policy: Policy, protected: ProtectedObject, services: Iterable[str]) -> bool:
    """Whether a policy protects an object (BKP-02, BKP-06, BKP-21).

    `services` are the customer's; a service that was not chosen at onboarding is never processed.
    An object without a licence is not part of an entire organisation.
    """
    if not services_of(protected) & set(policy.services) & set(services):
        return False
    if selectors.names(policy.exclude, protected):
        return False
    if policy.backup_type is BackupType.SELECTED_ITEMS:
        return selectors.names(policy.include, protected)
    return protected.licensed


@dataclass(frozen=True, slots=True)
class Selection:
    """The objects of a session, and how many the policy left out."""

    objects: list[ProtectedObject]
    excluded: int


def select_objects(
    policy: Policy, found: Iterable[ProtectedObject], services: Iterable[str], off: Iterable[str]
) -> Selection:
    """Covered objects in a stable order; `off` are workloads whose permission is missing (M37)."""
    chosen, excluded, missing, bought = [], 0, set(off), set(services)
    for one in sorted(found, key=lambda each: (each.workload, each.object_id)):
        if one.state == REMOVED:
            continue
        if covers(policy, one, bought) and one.workload not in missing:
            chosen.append(one)
        else:
            excluded += 1
    return Selection(chosen, excluded)


def is_running(policy: Policy, session: Session | None, now: datetime) -> bool:
    """Whether a policy's claim on a session still holds (one running session per policy, BKP-08).

    A claim whose session row never appeared, and a session that stayed Queued, are given up after
    `CLAIM_PATIENCE`: their starter died between two steps.
    """
    if policy.running_session_id is None:
        return False
    if session is None:
        since = policy.running_since
        return since is not None and now - since < CLAIM_PATIENCE
    if session.is_over:
        return False
    if session.state is SessionState.QUEUED:
        return now - session.created_at < CLAIM_PATIENCE
    return True


def kept_years(of_policy: int | None, of_customer: int | None) -> int | None:
    """Years a restore point is kept, None without end (BKP-23): the policy's word goes first."""
    return of_customer if of_policy is None else of_policy or None


def expires(ended: datetime, retention_years: int | None) -> datetime | None:
    """When a snapshot stops being offered (vault.md section 14); None = never."""
    if retention_years is None:
        return None
    try:
        return ended.replace(year=ended.year + retention_years)
    except ValueError:  # 29 February
        return ended.replace(year=ended.year + retention_years, month=3, day=1)


def scheduled_tail(policy_id: str) -> str:
    """The last four characters of a scheduled session's id: the same for every attempt."""
    return hashlib.sha256(policy_id.encode()).hexdigest()[:4]


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
