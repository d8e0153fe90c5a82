"""Closing a month: measured, rated, reported, committed once; late data becomes an adjustment."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING

import orjson

from shared.access.model import Scope
from shared.billing.model import Adjustment, Invoice, Line, Metric, Price, PriceBook
from shared.billing.rules.adjusting import adjustments
from shared.billing.rules.rating import RatingInput, rate
from shared.catalogue.model import PaymentModel
from shared.customers import repository as customers
from shared.kit.errors import NotFound
from shared.licensing import reading
from shared.licensing.rules.billing import month_days
from shared.licensing.rules.dates import ONE_DAY
from shared.usage import rules
from shared.usage.days import FLEX, STORAGE, Day, measurements, unknown
from shared.usage.measuring import fill
from shared.usage.model import FLEX_POINTS_PER_USER, LicenceLine, Report, SaasLine
from shared.usage.refusals import UsageUnknown
from shared.usage.repository import UsageRows

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)
QUANTITIES = "quantities"
"""The price book without prices: what was used, before anybody says what it costs."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What closing a month has made: the rated quantities and the report."""

    invoice: Invoice
    report: Report
    is_new: bool


async def close(deps: "Deps", rows: UsageRows, scope: Scope, month: str) -> Closed:
    """Close the month of one partner: once, however often it is asked for (USG-01, AMB-24).

    `UsageUnknown` names what could not be read; nothing is closed then.
    """
    noted = await rows.find_month(scope, month)
    if noted is not None and noted.get("state") == "Closed":
        return await _as_closed(rows, scope, month, noted)
    first, last = month_days(rules.first_of(month))
    await fill(deps, rows, scope, first, last)
    days = await rows.days(scope, first)
    open_points = unknown(days)
    if open_points:
        await rows.note_blocked(scope, month, {"state": "Blocked", "unknown": open_points})
        raise UsageUnknown(
            f"{len(open_points)} customers could not be read for {month}.", customers=open_points
        )
    given = await rating_input(deps, scope, first, days, deps.clock.now())
    invoice = rate(given)
    report = await _report(deps, rows, scope, month, days, invoice)
    content = await rows.put_content(invoice.content)
    values = {
        "state": "Closed",
        "closed_at": given.known_at.isoformat(),
        "snapshot_date": (last + ONE_DAY).isoformat(),
        "rated": content,
        "input_hash": invoice.input_hash,
        "days": await rows.put_content(_canonical(days)),
    }
    if not await rows.close_month(scope, month, values, report):
        return await close(deps, rows, scope, month)
    log.info("%s of %s closed: %d lines", month, scope.partner_id, len(invoice.lines))
    return Closed(invoice, report, is_new=True)


async def amend(deps: "Deps", rows: UsageRows, scope: Scope, month: str) -> Sequence[Adjustment]:
    """Rate a closed month again with what is known now; differences are kept as adjustments.

    What was adjusted before is not adjusted again: the comparison is with billed plus adjusted.
    """
    noted = await rows.find_month(scope, month)
    if noted is None or noted.get("state") != "Closed":
        return ()
    billed = Invoice.model_validate_json(await rows.content(noted["rated"]))
    days = await rows.days(scope, rules.first_of(month))
    given = await rating_input(deps, scope, rules.first_of(month), days, deps.clock.now())
    before = {
        (each.line_id, each.right_quantity, each.right_amount)
        for _, content in [pair async for pair in rows.amendments(scope, month)]
        for each in map(Adjustment.model_validate, orjson.loads(content))
    }
    found = [
        each
        for each in adjustments(billed, rate(given))
        if (each.line_id, each.right_quantity, each.right_amount) not in before
    ]
    if found:
        content = orjson.dumps(
            [each.model_dump(mode="json") for each in found], option=orjson.OPT_SORT_KEYS
        )
        await rows.add_amendment(scope, month, content)
    return found


async def rating_input(
    deps: "Deps", scope: Scope, month: date, days: Iterable[Day], known_at: datetime
) -> RatingInput:
    """What the partner itself is billed by: pay-as-you-go pools one by one, and measured use."""
    book = await reading.whole_book(deps.ledgers, scope)
    pools = {
        pool.pool_id: pool.item
        for pool in book.pools.values()
        if pool.payment_model is PaymentModel.PAYG
    }
    events = await deps.ledgers.ledger(scope)
    measured = measurements(days)
    items = {*pools.values(), *(each.item for each in measured)}
    return RatingInput(
        partner_id=scope.partner_id,
        month=month,
        known_at=known_at,
        book=quantities(items),
        events=events,
        pools=pools,
        measurements=measured,
        by_pool=True,
    )


def quantities(items: Iterable[str]) -> PriceBook:
    """The price book of bare quantities: Flex by protected users, storage by GB, else assigned."""
    metrics: Mapping[str, Metric] = {FLEX: Metric.PROTECTED_USERS, STORAGE: Metric.STORED_GB}
    prices = {
        item: Price(unit_price=Decimal(0), metric=metrics.get(item, Metric.ASSIGNED))
        for item in sorted(set(items))
    }
    return PriceBook(book_id=QUANTITIES, currency="-", decimals=0, prices=prices)


async def _report(
    deps: "Deps", rows: UsageRows, scope: Scope, month: str, days: Sequence[Day], invoice: Invoice
) -> Report:
    agreement = rules.agreement_for(await rows.agreements(scope), month)
    previous = await _previous(rows, scope, rules.month_before(month))
    present = {each.customer_id: each for each in await customers.list_all(deps.tables, scope)}
    names = {day.customer_id: (day.customer_name, day.external_id) for day in days}
    points = {FLEX: FLEX_POINTS_PER_USER, **(agreement.points_per_unit if agreement else {})}
    saas = []
    for line in invoice.lines:
        if line.metric is not Metric.PROTECTED_USERS:
            continue
        customer = present.get(line.customer_id)
        name, external = names.get(line.customer_id, (line.customer_id, ""))
        saas.append(
            SaasLine(
                customer_id=line.customer_id,
                customer_name=name,
                crm_id=external,
                start=customer.activation_at.date()
                if customer and customer.activation_at
                else None,
                product=line.item,
                unit="User",
                units=int(line.billed),
                previous=previous.get(f"{line.customer_id}~{line.item}"),
                points_per_unit=points.get(line.item, Decimal(0)),
                is_deleted=customer is None or not customer.is_onboarded,
                line_id=line.line_id,
            )
        )
    return Report(
        partner_id=scope.partner_id,
        month=month,
        number=f"{month}-{scope.partner_id}",
        agreement=agreement.number if agreement else "",
        aggregator=agreement.aggregator if agreement else "",
        minimum_commit=rules.commitment_for(agreement, month) if agreement else Decimal(0),
        lines=_licence_lines(invoice.lines, points, previous),
        saas=tuple(saas),
        due_on=rules.due_on(month),
        snapshot=invoice.digest,
    )


def _licence_lines(
    lines: Iterable[Line], points: Mapping[str, Decimal], previous: Mapping[str, int]
) -> tuple[LicenceLine, ...]:
    """One line per rented product: pay-as-you-go items over all customers."""
    units: dict[str, Decimal] = {}
    for line in lines:
        if line.metric is Metric.ASSIGNED:
            units[line.item] = units.get(line.item, Decimal(0)) + line.billed
    return tuple(
        LicenceLine(
            line_id=item,
            product=item,
            licensed=int(count),
            previous=previous.get(item),
            auto=int(count),
            current=int(count),
            points_per_unit=points.get(item, Decimal(0)),
        )
        for item, count in sorted(units.items())
    )


async def _previous(rows: UsageRows, scope: Scope, month: str) -> dict[str, int]:
    """What was reported the month before: by product, and by customer and product (USG-17)."""
    if await rows.find_month(scope, month) is None:
        return {}
    try:
        report, _ = await rows.report(scope, month)
    except NotFound:  # noted as blocked: there is no report of it yet
        return {}
    told = {line.product: line.current for line in report.lines}
    return told | {f"{line.customer_id}~{line.product}": line.units for line in report.saas}


async def _as_closed(rows: UsageRows, scope: Scope, month: str, noted: Mapping[str, str]) -> Closed:
    invoice = Invoice.model_validate_json(await rows.content(noted["rated"]))
    report, _ = await rows.report(scope, month)
    return Closed(invoice, report, is_new=False)


def _canonical(days: Sequence[Day]) -> bytes:
    return orjson.dumps([day.model_dump(mode="json") for day in days], option=orjson.OPT_SORT_KEYS)


def month_end(month: str) -> datetime:
    """The instant at which a month is over."""
    return datetime.combine(month_days(rules.first_of(month))[1] + ONE_DAY, time(), UTC)
