"""One customer's day: what was measured, what could not be read, and which users count and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from shared.billing.model import Measurement, Metric
from shared.protection import rules as protection_rules
from shared.protection import selectors
from shared.protection.model import SERVICE_OF, Policy, ProtectedObject

FLEX = "Flex"
"""Item of the protected users of the Microsoft 365 plan (USG-06, USG-14)."""
STORAGE = "Storage"
"""Item of what the vault of a customer stores, in GB of 10^9 bytes."""
GB = Decimal(10**9)
_GB_STEP = Decimal("0.000001")
_PERSONAL = frozenset({"exchange", "onedrive"})


class Day(BaseModel):
    """One row: a customer on a day. A value that could not be read is None and named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    customer_id: str
    customer_name: str
    external_id: str = ""
    day: date
    recorded: datetime
    is_late: bool = False
    """Measured after its day, from what was there then."""
    accepted_by: str = ""
    """Who took an older value for what could not be read, and when it was taken from."""
    unread: dict[str, str] = {}
    """Value -> why it could not be read."""
    assigned: dict[str, int] = {}
    consumed: dict[str, int] = {}
    pools: dict[str, str] = {}
    """Item -> the pool its seats are from."""
    protected_users: int | None = None
    licensed_accounts: int | None = None
    stored_bytes: int | None = None
    stored_tiers: dict[str, int] = {}
    """Access tier -> bytes of the above; empty: nobody asked, all is in the hot one."""
    restores: int | None = None
    evidence: str = ""
    """Blob with the counted users and why each counts; its name is its SHA-256."""

    @property
    def is_known(self) -> bool:
        """Whether everything was read, or a person took something older for it."""
        return not self.unread or bool(self.accepted_by)


@dataclass(frozen=True, slots=True)
class Retention:
    """That users count as long as restore points of theirs are kept (AMB-31)."""

    years: int | None
    """The customer's term, where no policy has one of its own; None: without end."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One user that counts, and why (AMB-31)."""

    user_id: str
    name: str
    address: str
    reason: str
    objects: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """As the evidence has it."""
        return {
            "userId": self.user_id,
            "name": self.name,
            "address": self.address,
            "reason": self.reason,
            "objects": list(self.objects),
        }


def counted_users(
    objects: Iterable[ProtectedObject],
    policies: Sequence[Policy],
    services: Iterable[str],
    day: date,
    retention: Retention | None = None,
) -> list[Counted]:
    """Users that count on a day (USG-14, AMB-31, LIC-53).

    A user counts when kept in an enabled policy or processed in the month of `day`. Pure retention
    counts only where `retention` is given: until the last restore point expires, or a policy
    excludes the user. Shared mailboxes never do (they have no licence of their own).
    """
    enabled, bought = [policy for policy in policies if policy.enabled], set(services)
    found: dict[str, tuple[ProtectedObject, str, list[str]]] = {}
    for each in objects:
        if SERVICE_OF.get(each.workload) not in _PERSONAL or not each.licensed:
            continue
        reason = _reason(each, enabled, bought, day)
        if not reason and retention is not None:
            reason = _retained(each, policies, bought, day, retention)
        if reason:
            _, first, names = found.setdefault(each.owner_id, (each, reason, []))
            names.append(each.object_id)
            found[each.owner_id] = (each, min(first, reason), names)
    return [
        Counted(user, each.display_name, each.address, reason, tuple(sorted(names)))
        for user, (each, reason, names) in sorted(found.items())
    ]


def evidence_of(users: Sequence[Counted]) -> bytes:
    """The list of counted users, canonical, so that an unchanged day is the same blob."""
    return orjson.dumps([user.as_data() for user in users], option=orjson.OPT_SORT_KEYS)


def measurements(days: Iterable[Day]) -> list[Measurement]:
    """What rating reads of measured days."""
    found = []
    for day in days:
        values: list[tuple[str, Metric, Decimal | None]] = [
            (item, Metric.CONSUMED, Decimal(count)) for item, count in day.consumed.items()
        ]
        users = None if day.protected_users is None else Decimal(day.protected_users)
        values.append((FLEX, Metric.PROTECTED_USERS, users))
        if day.stored_bytes is not None:
            stored = (Decimal(day.stored_bytes) / GB).quantize(_GB_STEP)
            values.append((STORAGE, Metric.STORED_GB, stored))
        found += [
            Measurement(
                day=day.day,
                customer_id=day.customer_id,
                item=item,
                metric=metric,
                quantity=quantity,
                recorded=day.recorded,
                evidence=day.evidence if metric is Metric.PROTECTED_USERS else "",
            )
            for item, metric, quantity in values
            if quantity is not None
        ]
    return found


def unknown(days: Iterable[Day]) -> dict[str, dict[str, str]]:
    """Customer -> what is not known of it, on how many days, and why.

    A month cannot close while there is any.
    """
    found: dict[str, dict[str, tuple[date, date, int, str]]] = {}
    for day in days:
        if day.is_known:
            continue
        for name, why in day.unread.items():
            of = found.setdefault(day.customer_id, {})
            first, last, count, _ = of.get(name, (day.day, day.day, 0, why))
            of[name] = (min(first, day.day), max(last, day.day), count + 1, why)
    return {
        customer: {name: _told(*each) for name, each in sorted(names.items())}
        for customer, names in sorted(found.items())
    }


def _told(first: date, last: date, count: int, why: str) -> str:
    if count == 1:
        return f"{first}: {why}"
    return f"{count} days from {first} to {last}: {why}"


def _reason(
    each: ProtectedObject, enabled: Sequence[Policy], services: set[str], day: date
) -> str | None:
    for policy in enabled:
        if each.state == "active" and protection_rules.covers(policy, each, services):
            return f"kept in the enabled policy {policy.name} ({policy.policy_id})"
    point = each.last_point
    if point and (point.ended_at.year, point.ended_at.month) == (day.year, day.month):
        return f"processed on {point.ended_at.date()}"
    return None


def _retained(
    each: ProtectedObject,
    policies: Sequence[Policy],
    services: set[str],
    day: date,
    retention: Retention,
) -> str | None:
    point = each.last_point
    if point is None or any(selectors.names(policy.exclude, each) for policy in policies):
        return None
    terms = [
        protection_rules.kept_years(policy.retention_years, retention.years)
        for policy in policies
        if protection_rules.covers(policy, each, services)
    ]
    longest = None if None in terms else max([t for t in terms if t is not None], default=None)
    if not terms:
        longest = retention.years
    expires = protection_rules.expires(point.ended_at, longest)
    if expires is not None and expires.date() < day:
        return None
    return f"kept by retention since {point.ended_at.date()}"
