"""What one slice may spend at Microsoft 365: its share of the tenant's quotas, pure (M25).

Two workers never share a budget, so that no counter has to be kept by all of them. The reserve for
restores is left aside; what a mailbox may spend is its own and is not divided.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from shared.microsoft365.quotas import Quotas, day_budget, share_point_band
from shared.protection.model import ObjectRun, RunState, Session
from shared.protection.tasks import SliceBudget

SHARE_POINT = frozenset({"drive", "site"})
"""Workloads that draw on one budget of resource units per tenant."""
AT_WORK = frozenset({RunState.RUNNING, RunState.RETRYING})
DAY = timedelta(hours=24)


def slice_budget(
    quotas: Quotas,
    workload: str,
    seats: int,
    *,
    sharing: int,
    sessions: int,
    seconds: int,
    day_left: int,
    spent: int,
) -> SliceBudget:
    """One slice's share; `sharing`: slices of the session that draw on the tenant's SharePoint."""
    if workload == "mailbox":
        rate, burst = quotas.mailbox.per_second, quotas.mailbox.burst
        requests = min(quotas.mailbox.requests, int(rate * seconds) + burst)
        return SliceBudget(seconds=seconds, requests=requests, sessions=sessions)
    if workload == "team":
        requests = int(quotas.teams.per_team * seconds)
        return SliceBudget(seconds=seconds, requests=requests, sessions=sessions)
    heads = max(1, sharing) * max(1, sessions)
    minute = share_point_rate(quotas, seats) * seconds
    left = max(0, day_left - spent)
    return SliceBudget(
        seconds=seconds,
        ru=int(min(minute / heads, left / max(1, sharing))),
        sessions=sessions,
        day_left=day_left,
    )


def share_point_rate(quotas: Quotas, seats: int) -> float:
    """Resource units a second that all our slices of a tenant may spend together (M26)."""
    return share_point_band(quotas, seats).per_minute * quotas.share_point.share / 60


def day_left(quotas: Quotas, seats: int, spent_by_others: int, sessions: int) -> int:
    """What a session may spend of the tenant's day, the reserve for restores left aside."""
    return max(0, day_budget(quotas, seats) - spent_by_others) // max(1, sessions)


def drawing(runs: Iterable[ObjectRun]) -> int:
    """Slices at work that draw on the tenant's SharePoint."""
    return sum(run.state in AT_WORK and run.workload in SHARE_POINT for run in runs)


def next_budget(
    quotas: Quotas, session: Session, workload: str, before: SliceBudget, seconds: int
) -> SliceBudget:
    """The budget of an object's following slice, as things stand in the session by now."""
    if before.day_left is None and workload in SHARE_POINT:
        return before
    return slice_budget(
        quotas,
        workload,
        session.seats,
        sharing=session.drawing,
        sessions=before.sessions,
        seconds=seconds,
        day_left=before.day_left or 0,
        spent=session.graph.ru,
    )


def goes_on(started: datetime, spent: int, budget: SliceBudget, rate: float) -> datetime:
    """When a slice that spent its budget early is followed by the next one.

    As late as the units it spent take at the rate that is its share by now: others may have ended.
    """
    heads = max(1, budget.sessions)
    return started + timedelta(seconds=min(budget.seconds, spent * heads / max(rate, 0.001)))
