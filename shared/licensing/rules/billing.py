"""What a month of the ledger owes: peaks of days, per pool and customer (LIC-31, 32, RES-07)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from shared.catalogue.model import PaymentModel
from shared.licensing.ledger import Event
from shared.licensing.model import Pool
from shared.licensing.rules import dates


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a month: the peak of the daily quantities (AMB-23)."""

    pool_id: str
    customer_id: str
    quantity: int
    events: tuple[int, ...]
    """Numbers of the ledger events that made it."""


def month_days(month: date) -> tuple[date, date]:
    """First and last day of the month that `month` lies in."""
    first = month.replace(day=1)
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first, following - dates.ONE_DAY


def payg_lines(events: Sequence[Event], pools: Iterable[Pool], month: date) -> list[Line]:
    """Lines of pay-as-you-go pools: what was assigned at its highest, per customer (LIC-31, 32)."""
    payg = {pool.pool_id for pool in pools if pool.payment_model is PaymentModel.PAYG}
    first, last = month_days(month)
    deltas: dict[tuple[str, str], dict[date, int]] = defaultdict(lambda: defaultdict(int))
    causes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in events:
        for move in event.moves:
            for account, sign in ((move.source, -1), (move.target, 1)):
                if account.startswith("sub~") and move.pool in payg and event.effective <= last:
                    line = (move.pool, account.split("~")[1])
                    deltas[line][event.effective] += sign * move.quantity
                    causes[line].append(event.seq)
    found = []
    for (pool_id, customer_id), by_day in sorted(deltas.items()):
        peak = _peak(by_day, first)
        if peak:
            numbers = tuple(sorted(set(causes[pool_id, customer_id])))
            found.append(Line(pool_id, customer_id, peak, numbers))
    return found


def reseller_lines(pools: Iterable[Pool]) -> list[tuple[str, int]]:
    """Whole pools by owner: who passed on pays for all, who received pays nothing (RES-07)."""
    return [(pool.pool_id, pool.total) for pool in pools if pool.parent_pool is None]


def _peak(by_day: dict[date, int], first: date) -> int:
    """Highest quantity at the end of a day of the month, or held on the day it ended."""
    held = sum(delta for day, delta in by_day.items() if day < first)
    peak = held
    for day in sorted(day for day in by_day if day >= first):
        held += by_day[day]
        peak = max(peak, held)
    return peak
