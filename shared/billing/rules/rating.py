"""Rating: one pure function of ledger events, measurements, price book and month.

The same input gives the same bytes. Amounts are rounded once per line, half to even, so the total
is the sum of what is printed. Rules: LIC-31, LIC-32, USG-14, USG-16, MKT-15, MKT-19, AMB-23.
"""

import calendar
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

import orjson

from shared.billing.model import (
    Counting,
    Invoice,
    Line,
    Measurement,
    Metric,
    Price,
    PriceBook,
    Run,
    Step,
)
from shared.billing.refusals import PriceMissing
from shared.billing.rules import days
from shared.licensing.ledger import Event

_EXACT = Context(prec=50, rounding=ROUND_HALF_EVEN)
_AVERAGE = Decimal("0.000001")
PASSED_ON = ("LIC-31", "MKT-19", "RES-07", "AMB-23")
"""Of a line without a customer: seats that other partners have of a pool."""
_COUNTING_RULE = {
    Counting.PEAK: "the highest daily value of the month",
    Counting.LAST_DAY: "the value of the month's last day",
    Counting.AVERAGE: "the average over the days of the month",
}


@dataclass(frozen=True, slots=True)
class RatingInput:
    """Everything a rated month depends on."""

    partner_id: str
    month: date
    """Any day of the month."""
    known_at: datetime
    """Nothing recorded later counts."""
    book: PriceBook
    events: Sequence[Event]
    pools: Mapping[str, str]
    """Pool -> its item: the pools that are billed here."""
    measurements: Sequence[Measurement] = ()
    by_pool: bool = False
    """One line per pool (what the partner is billed), or per item (what its customers are)."""
    customers: frozenset[str] = field(default_factory=frozenset)
    """Only these customers; empty means all."""


def rate(given: RatingInput) -> Invoice:
    """The month's invoice; `PriceMissing` names items that were used and have no price."""
    accounts = _accounts(given)
    _check_prices(given.book, {item for _, item, _ in accounts})
    lines = tuple(
        line
        for (customer, item, pool), runs in sorted(accounts.items())
        if (line := _line(given, customer, item, pool, runs)) is not None
    )
    return Invoice(
        partner_id=given.partner_id,
        month=month_text(given.month),
        price_book=f"{given.book.book_id}/{given.book.version}",
        currency=given.book.currency,
        known_at=given.known_at,
        input_hash=input_hash(given),
        lines=lines,
        total=sum((line.amount for line in lines), Decimal(0).scaleb(-given.book.decimals)),
    )


def month_text(month: date) -> str:
    """`2026-03` for any day of March 2026."""
    return f"{month.year:04d}-{month.month:02d}"


def known(given: RatingInput) -> list[Event]:
    """The events that were recorded in time; suppositions have no recording time and count."""
    return [e for e in given.events if e.recorded is None or e.recorded <= given.known_at]


def input_hash(given: RatingInput) -> str:
    """SHA-256 over everything the result depends on, in canonical form."""
    measured = sorted(
        (each.model_dump(mode="json") for each in given.measurements),
        key=lambda each: orjson.dumps(each, option=orjson.OPT_SORT_KEYS),
    )
    body = {
        "partner": given.partner_id,
        "month": month_text(given.month),
        "knownAt": given.known_at.isoformat(),
        "book": given.book.model_dump(mode="json"),
        "pools": dict(given.pools),
        "byPool": given.by_pool,
        "customers": sorted(given.customers),
        "events": [e.hash or e.model_dump(mode="json") for e in known(given)],
        "measurements": measured,
    }
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def counted(runs: Sequence[Run], counting: Counting, month: date) -> tuple[Decimal, date | None]:
    """The month's quantity and the first day that had it (AMB-23)."""
    length = calendar.monthrange(month.year, month.month)[1]
    if not runs:
        return Decimal(0), None
    if counting is Counting.PEAK:
        highest = max(runs, key=lambda run: (run.quantity, -run.first.toordinal()))
        return highest.quantity, highest.first
    if counting is Counting.LAST_DAY:
        final = runs[-1]
        held = final.last.day == length
        return (final.quantity, final.last) if held else (Decimal(0), None)
    held_days = sum(((run.last - run.first).days + 1) * run.quantity for run in runs)
    average = _EXACT.divide(Decimal(held_days), Decimal(length))
    return average.quantize(_AVERAGE, context=_EXACT), None


def charge(price: Price, billed: Decimal) -> tuple[tuple[Step, ...], Decimal]:
    """The multiplications of a billed quantity, tier by tier, and their exact sum."""
    if not price.tiers:
        steps: tuple[Step, ...] = (_step(billed, price.unit_price),)
        return steps, steps[0].amount
    found, below = [], Decimal(0)
    for tier in price.tiers:
        top = billed if tier.up_to is None else min(billed, Decimal(tier.up_to))
        if top > below:
            found.append(_step(top - below, tier.unit_price))
            below = top
    return tuple(found), sum((step.amount for step in found), Decimal(0))


def line_id(customer: str, item: str, pool: str) -> str:
    """Stable id of a line within any month: 16 hex digits."""
    return hashlib.sha256(f"{customer}\0{item}\0{pool}".encode()).hexdigest()[:16]


def _step(quantity: Decimal, unit_price: Decimal) -> Step:
    return Step(
        quantity=quantity, unit_price=unit_price, amount=_EXACT.multiply(quantity, unit_price)
    )


def _line(
    given: RatingInput, customer: str, item: str, pool: str, runs: tuple[Run, ...]
) -> Line | None:
    price = given.book.prices[item]
    quantity, on = counted(runs, price.counting, given.month)
    if not runs:
        return None
    billed = max(quantity - price.included, Decimal(price.minimum), Decimal(0))
    steps, exact = charge(price, billed)
    cent = Decimal(1).scaleb(-given.book.decimals)
    return Line(
        line_id=line_id(customer, item, pool),
        customer_id=customer,
        item=item,
        pool_id=pool,
        metric=price.metric,
        counting=price.counting,
        counted=quantity,
        counted_on=on,
        minimum=price.minimum,
        included=price.included,
        billed=billed,
        steps=steps,
        amount=exact.quantize(cent, context=_EXACT),
        runs=runs,
        rules=_rules(price) if customer else PASSED_ON,
    )


def _rules(price: Price) -> tuple[str, ...]:
    assigned = ("LIC-31", "LIC-32") if price.metric is Metric.ASSIGNED else ("USG-14",)
    return (*assigned, "USG-16", "AMB-23")


def _accounts(given: RatingInput) -> dict[days.Account, tuple[Run, ...]]:
    """Runs by customer, item and (where asked) pool, each from the metric its price names."""
    wanted = given.customers
    by_item: dict[days.Account, list[tuple[Run, ...]]] = defaultdict(list)
    holders: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (customer, item, pool), runs in days.assigned_runs(
        known(given), given.pools, given.month
    ).items():
        if not wanted or customer in wanted:
            name = pool if given.by_pool else ""
            by_item[customer, item, name].append(runs)
            holders[customer, item].append(name)
    found = {
        key: runs[0] if len(runs) == 1 else days.merged(runs, given.month)
        for key, runs in by_item.items()
        if _metric(given.book, key[1]) is Metric.ASSIGNED
    }
    if given.by_pool and not wanted:  # by its quantity, whatever is counted at those who have it
        found |= days.passed_runs(known(given), given.pools, given.month)
    series: dict[days.Account, list[Measurement]] = defaultdict(list)
    for each in given.measurements:
        fits = each.recorded <= given.known_at and _metric(given.book, each.item) is each.metric
        held = holders.get((each.customer_id, each.item), [])
        if each.metric is Metric.CONSUMED and not held:
            continue  # used of what is not billed here
        if fits and (not wanted or each.customer_id in wanted):
            series[each.customer_id, each.item, min(held, default="")].append(each)
    for key, values in series.items():
        runs = days.measured_runs(values, given.month)
        if runs:
            found[key] = runs
    return found


def _metric(book: PriceBook, item: str) -> Metric:
    price = book.prices.get(item)
    return price.metric if price else Metric.ASSIGNED


def _check_prices(book: PriceBook, items: set[str]) -> None:
    missing = sorted(items - book.prices.keys())
    if missing:
        raise PriceMissing(
            f"The price book {book.book_id} has no price for {', '.join(missing)}. "
            "Add one; 0 means free.",
            items=missing,
        )


def counting_text(counting: Counting) -> str:
    """How the month's quantity is found, in words."""
    return _COUNTING_RULE[counting]
