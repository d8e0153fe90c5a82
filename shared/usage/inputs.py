"""What rating is handed: the ledger, the measurements, the pools that count, a price book."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.billing.model import Counting, Metric, Price, PriceBook
from shared.billing.rules.rating import RatingInput
from shared.catalogue.model import PaymentModel
from shared.catalogue.service import catalogue
from shared.licensing import reading
from shared.usage import rules
from shared.usage.days import FLEX, STORAGE, Day, measurements
from shared.usage.telling import POINTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.bootstrap import Deps
    from shared.licensing.ledger import Event
    from shared.usage.repository import UsageRows

QUANTITIES = "quantities"
"""The price book without prices: what was used, before anybody says what it costs."""
POINT_DECIMALS = 4
METRICS: Mapping[str, Metric] = {FLEX: Metric.PROTECTED_USERS, STORAGE: Metric.STORED_GB}
"""What is measured without a pool; pool items say themselves what is billed of them."""


@dataclass(frozen=True, slots=True)
class Books:
    """What of the licences a month depends on, read once."""

    payg: Mapping[str, str]
    """Pay-as-you-go pools of the partner -> item; what a reseller was passed, others pay for."""
    every: Mapping[str, str]
    """All pools -> item: what customers are billed by."""
    events: "Sequence[Event]"


@dataclass(frozen=True, slots=True)
class Read:
    """What of a partner a month depends on, read once for all that rates it."""

    books: Books
    days: "Sequence[Day]"


async def read_month(
    deps: "Deps", rows: "UsageRows", scope: Scope, month: str, books: Books | None = None
) -> Read:
    """The licences (unless they are given) and the measured days of a month."""
    days = await rows.days(scope, rules.first_of(month))
    return Read(books or await read_books(deps, scope), days)


async def read_books(deps: "Deps", scope: Scope) -> Books:
    """The pools and the ledger of a partner."""
    book = await reading.whole_book(deps.ledgers, scope)
    every = {pool.pool_id: pool.item for pool in book.pools.values()}
    payg = {
        pool.pool_id: pool.item
        for pool in book.pools.values()
        if pool.payment_model is PaymentModel.PAYG and pool.parent_pool is None
    }
    return Books(payg, every, await deps.ledgers.ledger(scope))


def partner_input(
    books: Books,
    scope: Scope,
    month: date,
    days: Iterable[Day],
    known_at: datetime,
    counting: Counting,
    points: Mapping[str, Decimal] = MappingProxyType({}),
) -> RatingInput:
    """What the partner itself is billed by: pay-as-you-go pools one by one, and measured use.

    Bare quantities; with `points` (product -> points of one unit) also what they weigh.
    """
    measured = measurements(days)
    items = {*books.payg.values(), *METRICS}
    return RatingInput(
        partner_id=scope.partner_id,
        month=month,
        known_at=known_at,
        book=quantities(items, counting, points),
        events=books.events,
        pools=books.payg,
        measurements=[each for each in measured if each.item in items],
        by_pool=True,
    )


def resale_input(
    books: Books,
    scope: Scope,
    month: date,
    days: Iterable[Day],
    known_at: datetime,
    prices: PriceBook,
    customers: frozenset[str] = frozenset(),
) -> RatingInput:
    """What its customers are billed by: every pool, one line per item.

    What is measured for everybody (Flex, Storage) counts only where it has a price; an item that
    was assigned and has none is refused by rating. `customers` empty: all.
    """
    measured = [each for each in measurements(days) if each.item in prices.prices]
    return RatingInput(
        partner_id=scope.partner_id,
        month=month,
        known_at=known_at,
        book=prices,
        events=books.events,
        pools=books.every,
        measurements=measured,
        customers=customers,
    )


def quantities(
    items: Iterable[str],
    counting: Counting = Counting.PEAK,
    points: Mapping[str, Decimal] = MappingProxyType({}),
) -> PriceBook:
    """The price book of quantities, each by the metric of its item (AMB-23), bare or in points."""
    prices = {
        item: Price(
            unit_price=points.get(item, Decimal(0)), metric=metric_of(item), counting=counting
        )
        for item in sorted(set(items))
    }
    currency, decimals = (POINTS, POINT_DECIMALS) if points else ("-", 0)
    return PriceBook(book_id=QUANTITIES, currency=currency, decimals=decimals, prices=prices)


def metric_of(item: str) -> Metric:
    """What is counted of an item: as the catalogue says, seats where it says nothing."""
    if item in METRICS:
        return METRICS[item]
    known = catalogue().item_by_code.get(item)
    return Metric.CONSUMED if known and known.metric == "consumed" else Metric.ASSIGNED
