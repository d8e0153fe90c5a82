"""Daily quantities of a month, as runs of equal days: what counted at the end of each day."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from shared.billing.model import Measurement, Run
from shared.licensing.ledger import Event
from shared.licensing.rules.billing import month_days
from shared.licensing.rules.dates import ONE_DAY

Account = tuple[str, str, str]
"""Customer, pool item, pool."""


def assigned_runs(
    events: Iterable[Event], pools: Mapping[str, str], month: date
) -> dict[Account, tuple[Run, ...]]:
    """Seats assigned at the end of each day of the month, by customer and pool.

    `pools` maps the pools that count to their items. An end by date takes effect on the first day
    that is not usable, so its last day still counts (AMB-50).
    """
    first, last = month_days(month)
    deltas: dict[Account, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    causes: dict[Account, dict[date, list[int]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        if event.effective > last:
            continue
        day = max(event.effective, first)
        for move in event.moves:
            for account, sign in ((move.source, -1), (move.target, 1)):
                if account.startswith("sub~") and move.pool in pools:
                    key = (account.split("~")[1], pools[move.pool], move.pool)
                    deltas[key][day] += sign * move.quantity
                    causes[key][day].append(event.seq)
    found = {key: _runs(by_day, causes[key], last) for key, by_day in sorted(deltas.items())}
    return {key: runs for key, runs in found.items() if runs}


def passed_runs(
    events: Sequence[Event], pools: Mapping[str, str], month: date
) -> dict[Account, tuple[Run, ...]]:
    """Seats passed on to other partners at the end of each day, by pool, without a customer.

    Who passed them on pays for them, used or not, until the pool ends (MKT-19, RES-07): what is
    still out then never comes home in the ledger.
    """
    first, last = month_days(month)
    ends = {e.subject.partition("~")[2]: e.effective for e in events if e.kind == "PoolEnded"}
    deltas: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    causes: dict[str, dict[date, list[int]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        for move in event.moves:
            for account, sign in ((move.source, -1), (move.target, 1)):
                if account == f"passed~{move.pool}" and move.pool in pools:
                    day = max(event.effective, first)
                    deltas[move.pool][day] += sign * move.quantity
                    causes[move.pool][day].append(event.seq)
    found = {}
    for pool, by_day in sorted(deltas.items()):
        until = min(last, ends[pool] - ONE_DAY) if pool in ends else last
        if runs := _runs(by_day, causes[pool], until) if until >= first else ():
            found["", pools[pool], pool] = runs
    return found


def merged(runs: Sequence[tuple[Run, ...]], month: date) -> tuple[Run, ...]:
    """The sum of several accounts, day by day."""
    _, last = month_days(month)
    deltas: dict[date, Decimal] = defaultdict(Decimal)
    causes: dict[date, list[int]] = defaultdict(list)
    for each in runs:
        for run in each:
            deltas[run.first] += run.quantity
            deltas[run.last + ONE_DAY] -= run.quantity
            causes[run.first].extend(run.events)
    return _runs(deltas, causes, last)


def measured_runs(measurements: Iterable[Measurement], month: date) -> tuple[Run, ...]:
    """Measured values of one customer, item and metric; of two of a day the later known counts."""
    first, last = month_days(month)
    days: dict[date, Measurement] = {}
    for each in sorted(measurements, key=lambda m: (m.recorded, m.quantity, m.evidence)):
        if first <= each.day <= last:
            days[each.day] = each
    found: list[Run] = []
    for day in sorted(days):
        value = days[day]
        latest = found[-1] if found else None
        if latest and latest.last + ONE_DAY == day and latest.quantity == value.quantity:
            found[-1] = latest.model_copy(update={"last": day})
        elif value.quantity:
            found.append(Run(first=day, last=day, quantity=value.quantity, evidence=value.evidence))
    return tuple(found)


def _runs(
    deltas: Mapping[date, int] | Mapping[date, Decimal],
    causes: Mapping[date, Sequence[int]],
    last: date,
) -> tuple[Run, ...]:
    """Runs of a step function given by its changes; days without anything are left out."""
    found: list[Run] = []
    held = Decimal(0)
    days = sorted(day for day in deltas if day <= last)
    for index, day in enumerate(days):
        held += deltas[day]
        until = days[index + 1] - ONE_DAY if index + 1 < len(days) else last
        if held > 0:
            events = tuple(sorted(set(causes.get(day, ()))))
            found.append(Run(first=day, last=until, quantity=held, events=events))
    return tuple(found)
