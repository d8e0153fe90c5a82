"""A month of the calendar, and what whole pools owe (RES-07); use is rated by `billing`."""

from collections.abc import Iterable
from datetime import date

from shared.licensing.model import Pool
from shared.licensing.rules import dates


def month_days(month: date) -> tuple[date, date]:
    """First and last day of the month that `month` lies in."""
    first = month.replace(day=1)
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first, following - dates.ONE_DAY


def reseller_lines(pools: Iterable[Pool]) -> list[tuple[str, int]]:
    """Whole pools by owner: who passed on pays for all, who received pays nothing (RES-07)."""
    return [(pool.pool_id, pool.total) for pool in pools if pool.parent_pool is None]
