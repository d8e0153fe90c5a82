"""Restores in numbers: per customer and month (RST-06, RPT-21)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.restore import repository

if TYPE_CHECKING:
    from shared.bootstrap import Deps

MAX_MONTHS = 24


@dataclass(frozen=True, slots=True)
class Month:
    """One month: restores asked for, whatever became of them."""

    month: str
    restores: int
    average: Decimal
    """Per customer, two digits."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """A month among those before it."""

    month: str
    restores: int
    average: Decimal
    change: int
    """Restores more than in the month before; negative for fewer."""
    highest: str | None
    """The customer with most restores; of equals the first by id. None without any."""
    highest_restores: int
    by_customer: dict[str, int]
    history: list[Month]
    """The months asked for, newest first; the month itself is the first."""


def summarise(month: str, counts: Mapping[str, Mapping[str, int]], months: int) -> Statistics:
    """Numbers from month -> customer -> restores, zeros included: pure."""
    history, at = list[Month](), month
    for _ in range(months):
        held = counts.get(at, {})
        total = sum(held.values())
        history.append(Month(at, total, _average(total, len(held))))
        at = month_before(at)
    mine = dict(sorted(counts.get(month, {}).items()))
    most = max(mine.values(), default=0)
    before = sum(counts.get(month_before(month), {}).values())
    return Statistics(
        month=month,
        restores=history[0].restores,
        average=history[0].average,
        change=history[0].restores - before,
        highest=next((one for one, number in mine.items() if number == most), None)
        if most
        else None,
        highest_restores=most,
        by_customer=mine,
        history=history,
    )


def month_before(month: str) -> str:
    """2026-01 -> 2025-12."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year - 1}-12" if number == 1 else f"{year}-{number - 1:02d}"


async def count(deps: "Deps", scope: Scope, month: str, months: int) -> Statistics:
    """The restores of every customer the caller sees; end users' own restores count as well."""
    wanted, at = [month], month
    for _ in range(months):  # one more than shown: the change of the oldest is not, its own is
        at = month_before(at)
        wanted.append(at)
    begin, end = _first(wanted[-1]), _first(_month_after(month))
    counts: dict[str, dict[str, int]] = {name: {} for name in wanted}
    for customer in await customers.list_all(deps.tables, scope):
        for name in wanted:
            counts[name][customer.customer_id] = 0
        created = repository.created_between(deps.tables, scope, customer.customer_id, begin, end)
        async for moment in created:
            counts[f"{moment:%Y-%m}"][customer.customer_id] += 1
    return summarise(month, counts, months)


def _average(total: int, customers_seen: int) -> Decimal:
    if not customers_seen:
        return Decimal("0.00")
    return (Decimal(total) / customers_seen).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _month_after(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year + 1}-01" if number == 12 else f"{year}-{number + 1:02d}"


def _first(month: str) -> datetime:
    return datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)
