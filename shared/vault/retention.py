"""Pure rules of retention: lock ends, what has expired, what is live (sections 14 and 15)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Up to this retention the period is a month, else a quarter.
MONTHLY_UP_TO = timedelta(days=366)
DAY = timedelta(days=1)
UNLIMITED_YEARS = 5
UNLIMITED_LEAST = timedelta(days=4 * 366)
# The keeper extends in the last days of a period, so that runs rarely have to.
KEEPER_DAYS = timedelta(days=10)
# A live blob's lock that ends within this time is an alarm (V56); so is a key's (V67).
ALARM = timedelta(days=7)
KEY_LOCK = timedelta(days=14)
KEY_RENEWAL = timedelta(days=7)
CONDEMN_AGE = timedelta(days=7)
SWEEP_WAIT = timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class Point:
    """What garbage collection and lock keeping know of a snapshot."""

    n: int
    ended: datetime
    expires: datetime | None
    host: int
    needs: frozenset[str]
    """Names of base parts, host record and packs (V29)."""
    broken: tuple[str, ...] = ()
    """Damaged blobs that hide what else it needs; what is needed is not known whole then."""

    @property
    def retention(self) -> timedelta | None:
        """None = unlimited."""
        return None if self.expires is None else self.expires - self.ended


def period_end(at: datetime, retention: timedelta | None) -> datetime:
    """First instant of the next month, quarter or, for unlimited retention, year."""
    at = at.astimezone(UTC)
    months = 12 if retention is None else 1 if retention <= MONTHLY_UP_TO else 3
    index = at.year * 12 + (at.month - 1) // months * months + months
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)


def lock_until(at: datetime, retention: timedelta | None) -> datetime:
    """L: what a blob needed by a snapshot of this moment is locked until."""
    end = period_end(at, retention)
    if retention is None:
        return end.replace(year=end.year + UNLIMITED_YEARS)
    return end + retention + DAY


def keeper_target(now: datetime, retention: timedelta | None) -> datetime | None:
    """The next L, in the last ten days of a period; None before (V56)."""
    end = period_end(now, retention)
    return lock_until(end, retention) if end - now <= KEEPER_DAYS else None


def lock_wanted(
    point: Point, now: datetime, *, head: bool, enabled: bool, held: bool
) -> tuple[datetime, datetime]:
    """(lock ends before this are extended, to this) for what a live snapshot needs (V53, V56)."""
    term = point.retention
    if point.expires is None or term is None:
        return now + UNLIMITED_LEAST, lock_until(now, None)
    least, until = point.expires, lock_until(point.ended, term)
    if held or (head and enabled):
        least, until = max(least, now + 2 * ALARM), max(until, lock_until(now, term))
    target = keeper_target(now, term) if head and enabled else None
    if target is not None:
        least = until = max(until, target)
    return least, max(least, until)


def effective_expiry(
    ended: datetime, expires: datetime | None, longest: timedelta | None, *, unlimited: bool = False
) -> datetime | None:
    """V55: a longer retention extends what exists, a shorter one frees nothing early."""
    if expires is None or unlimited:
        return None
    return expires if longest is None else max(expires, ended + longest)


def is_expired(expires: datetime | None, now: datetime, *, held: bool) -> bool:
    """V57, V58."""
    return not held and expires is not None and expires <= now


def live(points: Iterable[Point], now: datetime, *, held: bool, enabled: bool) -> set[int]:
    """Not expired, or held, or the head of an object in an enabled policy (V61)."""
    known = list(points)
    newest = max((point.n for point in known), default=0)
    return {
        point.n
        for point in known
        if not is_expired(point.expires, now, held=held) or (enabled and point.n == newest)
    }


def oldest_kept(points: Iterable[Point], alive: set[int]) -> int | None:
    """Records from this number on stay, so that the chain has no holes (V45); None = all go."""
    kept = [min(point.n, point.host) for point in points if point.n in alive]
    return min(kept, default=None)


def needed(points: Iterable[Point], alive: set[int]) -> set[str]:
    """Everything a live snapshot depends on."""
    return {name for point in points if point.n in alive for name in point.needs}
