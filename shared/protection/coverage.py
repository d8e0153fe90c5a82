"""Coverage: what a customer has, what of it is protected, and why the rest is not (BKP-28)."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.protection import repository, rules, selectors
from shared.protection.model import (
    DELETED_STATES,
    PERSONAL,
    REMOVED,
    BackupType,
    Point,
    Policy,
    ProtectedObject,
    RunState,
    services_of,
)

if TYPE_CHECKING:
    from shared.bootstrap import Deps

MISSED_RUNS = 2
"""Intervals without a restore point before one counts as outdated."""
_FAILED = frozenset({RunState.FAILED, RunState.DISCONNECTED})


class Reason(StrEnum):
    """Why an object is not protected; the first that applies."""

    SERVICE_NOT_CHOSEN = "ServiceNotChosen"
    USER_DELETED = "UserDeleted"
    SITE_DELETED = "SiteDeleted"
    TEAM_DELETED = "TeamDeleted"
    NO_POLICY = "NoPolicy"
    EXCLUDED = "Excluded"
    NOT_LICENSED = "NotLicensed"
    POLICY_DISABLED = "PolicyDisabled"
    UNAVAILABLE = "Unavailable"
    NEVER_BACKED_UP = "NeverBackedUp"
    LAST_BACKUP_FAILED = "LastBackupFailed"
    OUTDATED = "Outdated"


_DELETED = {
    "mailbox": Reason.USER_DELETED,
    "drive": Reason.USER_DELETED,
    "site": Reason.SITE_DELETED,
    "team": Reason.TEAM_DELETED,
}


@dataclass(frozen=True, slots=True)
class Covered:
    """One object; no reason means protected."""

    found: ProtectedObject
    policy_ids: list[str]
    reason: Reason | None


@dataclass(slots=True)
class Coverage:
    """The whole customer in numbers."""

    objects: int = 0
    protected: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    licensed_users: int = 0
    protected_users: int = 0
    """Licensed users of whom every object is protected."""
    complete: int = 0
    """Objects whose newest restore point holds every item that was listed."""
    partial: int = 0
    """Objects whose newest restore point lacks the content of some item, each named there."""
    items: int = 0
    """Items of the newest restore points, folders included."""
    counted: int = 0
    """Objects of which Microsoft told how many items there are when all of it was listed."""
    declared: int = 0
    """What Microsoft counted in these."""
    held: int = 0
    """What was held of these then."""
    gaps: int = 0
    """Objects with more missing than what may have changed meanwhile (vault.md V40)."""

    def add_point(self, point: Point) -> None:
        """Count an object's newest restore point."""
        self.items += point.items
        self.complete += point.status == "complete"
        self.partial += point.status != "complete"
        if (told := point.completeness) is not None:
            self.counted += 1
            self.declared += told.declared
            self.held += told.held
            self.gaps += told.is_alarming


def cover(
    found: ProtectedObject, policies: Iterable[Policy], services: Iterable[str], now: datetime
) -> Covered:
    """Whether an object is protected now: pure."""
    bought, every = set(services), list(policies)
    covering = [policy for policy in every if rules.covers(policy, found, bought)]
    enabled = [policy for policy in covering if policy.enabled]
    names = [policy.policy_id for policy in covering]
    if not covering:
        reason: Reason | None = _uncovered(found, every, bought)
    elif found.state in DELETED_STATES:
        reason = _DELETED[found.workload]
    elif not enabled:
        reason = Reason.POLICY_DISABLED
    elif found.last_run_state in _FAILED:
        reason = Reason.LAST_BACKUP_FAILED
    elif found.state != "active":
        reason = Reason.UNAVAILABLE
    elif found.last_point is None:
        reason = Reason.NEVER_BACKED_UP
    else:
        patience = min(timedelta(hours=policy.interval_hours) for policy in enabled) * MISSED_RUNS
        is_old = now - found.last_point.ended_at > patience
        reason = Reason.OUTDATED if is_old else None
    return Covered(found, names, reason)


async def report(deps: "Deps", scope: Scope, customer_id: str) -> Coverage:
    """Everything of the customer in numbers."""
    total = Coverage()
    users: defaultdict[str, list[bool]] = defaultdict(list)
    for one in await _covered(deps, scope, customer_id):
        total.objects += 1
        total.protected += one.reason is None
        if one.reason is not None:
            total.reasons[one.reason] += 1
        if one.found.last_point is not None:
            total.add_point(one.found.last_point)
        if one.found.workload not in PERSONAL:
            continue
        if one.found.licensed and one.reason is not Reason.SERVICE_NOT_CHOSEN:
            users[one.found.owner_id].append(one.reason is None)
    total.licensed_users = len(users)
    total.protected_users = sum(all(each) for each in users.values())
    return total


async def list_covered(
    deps: "Deps",
    scope: Scope,
    customer_id: str,
    *,
    protected: bool | None,
    after: str,
    limit: int,
) -> tuple[list[Covered], str | None]:
    """A page of objects, all or those that are (not) protected, and where the next starts."""
    page: list[Covered] = []
    for one in await _covered(deps, scope, customer_id, after):
        if protected is not None and protected != (one.reason is None):
            continue
        if len(page) == limit:
            return page, repository.object_key(page[-1].found)
        page.append(one)
    return page, None


async def _covered(deps: "Deps", scope: Scope, customer_id: str, after: str = "") -> list[Covered]:
    customer = await customers.get(deps.tables, scope, customer_id)
    policies = await repository.list_policies(deps.tables, scope, customer_id=customer_id)
    found = await repository.list_objects(deps.tables, scope, customer_id, after=after)
    services, now = [str(service) for service in customer.services], deps.clock.now()
    return [cover(one, policies, services, now) for one in found if one.state != REMOVED]


def _uncovered(found: ProtectedObject, policies: list[Policy], bought: set[str]) -> Reason:
    services = services_of(found) & bought
    if not services:
        return Reason.SERVICE_NOT_CHOSEN
    if found.state in DELETED_STATES:
        return _DELETED[found.workload]
    of_service = [one for one in policies if services & set(one.services)]
    if any(selectors.names(policy.exclude, found) for policy in of_service):
        return Reason.EXCLUDED
    whole = [one for one in of_service if one.backup_type is BackupType.ENTIRE_ORGANIZATION]
    return Reason.NOT_LICENSED if whole and not found.licensed else Reason.NO_POLICY
