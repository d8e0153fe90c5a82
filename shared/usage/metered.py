"""What was measured, told to marketplaces whose plans have dimensions (marketplace-auth.md 1.7).

Not evenings are told but the difference between what is owed for a period and what was told of
it. So a run may be repeated, come late, or die: the next one tells what is missing. Nothing is
ever subtracted.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import batched
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.kit.errors import HoldfastError
from shared.kit.tables import Row
from shared.licensing import reading
from shared.marketplace import metering, usage_files
from shared.marketplace.dimensions import Dimension, months_after, period_before, period_of
from shared.marketplace.model import CLOUDBLUE, Offer, Order, UsageRecord
from shared.usage import measuring, rules
from shared.usage.attributing import BEGUN, ONE_DAY, Metered, attributed, owing
from shared.usage.days import Day

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)
_DONE = "meteredDays"
"""Partition of the table Marketplace: partner -> the last evening that was told completely."""
RECORDS_PER_FILE = 200


async def tell_everywhere(deps: "Deps") -> dict[str, int]:
    """Queue what is owed of evenings that are over: partner -> records; one's trouble stays its.

    A partner is looked at until every customer of the last evening is known; then the next day.
    """
    found = await _metered(deps)
    table, queued = deps.orders.table, {}
    last = deps.clock.now().date() - ONE_DAY
    done = {row.key: row.values["day"] async for row in table.query(_DONE)}
    for partner_id, orders in found.items():
        if done.get(partner_id, "") >= last.isoformat():
            continue
        try:
            count, is_complete = await tell(deps, Scope(partner_id), orders, last)
        except Exception:  # the next hour tells it, and nobody else waits for it
            log.exception("metering of %s waits for the next hour", partner_id)
            continue
        if is_complete:
            await table.upsert(Row(_DONE, partner_id, {"day": last.isoformat()}))
        if count:
            queued[partner_id] = count
    return queued


async def tell(
    deps: "Deps", scope: Scope, orders: Sequence[Metered], last: date
) -> tuple[int, bool]:
    """Queue what a partner's orders owe up to a day; how many records, and whether all is known."""
    hourly = [each for each in orders if each.order.source != CLOUDBLUE and each.runs_on(last)]
    if not hourly:
        return 0, True
    periods = {each.order.order_id: _periods(each, last) for each in hourly}
    first = min(begin for two in periods.values() for begin, _ in two)
    days = await _days(deps, scope, first, last)
    pools = (await reading.whole_book(deps.ledgers, scope)).pools
    values = attributed(orders, days, pools)
    hour = metering.whole_hour(deps.clock.now()) - timedelta(hours=1)
    queued = 0
    for each in hourly:
        since = datetime.combine(periods[each.order.order_id][0][0], time(), UTC)
        told = await metering.told(deps, each.order, since)
        for dimension in each.dimensions:
            mine = values.get((each.order.order_id, dimension.dimension), {})
            shares = owing(each.order, dimension, mine, periods[each.order.order_id], told)
            record = _record(each, dimension, shares, min(hour, _latest(each, hour)))
            queued += bool(shares) and await metering.queue(deps, record)
    wanted = set(await measuring.measured_customers(deps, scope))
    known = {day.customer_id for day in days if day.day == last and day.is_known}
    return queued, wanted <= known


async def send_files(deps: "Deps") -> dict[str, str]:
    """CloudBlue's usage files of last month, by partner and product: file -> how it stands.

    A month that the partner has not closed waits; what was sent is never sent again.
    """
    month = rules.month_before(rules.month_of(deps.clock.now().date()))
    rows, sent = await deps.usage(), {}
    for partner_id, orders in (await _metered(deps)).items():
        scope = Scope(partner_id)
        noted = await rows.find_month(scope, month)
        if noted is None or noted.get("state") != "Closed":
            continue
        for product, records in (await _of_month(deps, scope, orders, month)).items():
            for number, part in enumerate(batched(records, RECORDS_PER_FILE, strict=False)):
                name = f"{month}~{partner_id}~{product}~{number}"
                sent[name] = await _sent(deps, name, list(part), product)
    return sent


async def _sent(deps: "Deps", name: str, records: list[UsageRecord], product: str) -> str:
    try:
        status, reference = await usage_files.submit_month(deps, name, records, product)
    except HoldfastError as fault:
        log.exception("usage file %s was not sent", name)
        return fault.code
    return f"{status} {reference}"


def _periods(one: Metered, last: date) -> list[tuple[date, date]]:
    """First and last days of the running period and of the one before it."""
    anchor = one.first or last
    last = min(last, one.last or last)
    begin = period_of(anchor, last)
    before = period_before(anchor, begin)
    return [(before, begin - ONE_DAY), (begin, last)]


def _latest(one: Metered, hour: datetime) -> datetime:
    """The last hour that may be told of an order: usage has to predate its end."""
    if one.last is None:
        return hour
    return datetime.combine(one.last + ONE_DAY, time(), UTC) - timedelta(hours=1)


def _record(
    one: Metered, dimension: Dimension, shares: dict[date, Decimal], hour: datetime
) -> UsageRecord:
    return UsageRecord(
        source=one.order.source,
        external_id=one.order.external_id,
        plan_id=one.order.plan_id,
        dimension=dimension.dimension,
        hour=hour,
        quantity=sum(shares.values(), Decimal(0)),
        shares=shares,
    )


async def _of_month(
    deps: "Deps", scope: Scope, orders: Sequence[Metered], month: str
) -> dict[str, list[UsageRecord]]:
    """Product -> the records of a closed month."""
    monthly = [each for each in orders if each.order.source == CLOUDBLUE]
    if not monthly:
        return {}
    first = rules.first_of(month)
    last = months_after(first, 1) - ONE_DAY
    pools = (await reading.whole_book(deps.ledgers, scope)).pools
    values = attributed(orders, await _days(deps, scope, first, last), pools)
    found: dict[str, list[UsageRecord]] = {}
    for each in monthly:
        for dimension in each.dimensions:
            mine = values.get((each.order.order_id, dimension.dimension), {})
            shares = owing(each.order, dimension, mine, [(first, last)], {})
            if not shares:
                continue
            begin = datetime.combine(first, time(), UTC)
            record = _record(each, dimension, shares, begin)
            until = datetime.combine(last + ONE_DAY, time(), UTC)
            told = record.model_copy(update={"until": until})
            found.setdefault(each.order.offer_id, []).append(told)
    for records in found.values():
        records.sort(key=lambda each: (each.external_id, each.dimension))
    return found


async def _metered(deps: "Deps") -> dict[str, list[Metered]]:
    """Partner -> its orders on plans with dimensions."""
    found: dict[str, list[Metered]] = {}
    for offer in await deps.orders.offers():
        if not offer.dimensions:
            continue
        for order in await _begun(deps, offer):
            found.setdefault(order.partner_id or "", []).append(Metered(order, offer.dimensions))
    return found


async def _begun(deps: "Deps", offer: Offer) -> list[Order]:
    return [
        order
        for order in await deps.orders.of_plan(offer)
        if order.partner_id and order.state in BEGUN and order.item
    ]


async def _days(deps: "Deps", scope: Scope, first: date, last: date) -> list[Day]:
    rows, found, month = await deps.usage(), [], first.replace(day=1)
    while month <= last:
        found += [day for day in await rows.days(scope, month) if first <= day.day <= last]
        month = months_after(month, 1)
    return found
