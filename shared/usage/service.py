"""The verbs on months and reports: read, edit, submit, explain, suppose; deadlines by the clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from shared.access.model import Scope
from shared.billing.model import Adjustment, CustomerInvoice, Invoice, Line
from shared.billing.repository import valid_in
from shared.billing.rules import explaining
from shared.billing.rules.supposing import Answer, ChangePrice, Supposition, suppose
from shared.customers import repository as customers
from shared.kit.errors import Conflict, NotFound
from shared.kit.etags import check_if_match, strong_etag
from shared.kit.ids import new_id
from shared.licensing import standings
from shared.licensing.ledger import Event
from shared.licensing.repository import TABLE
from shared.usage import reselling, rules, telling
from shared.usage.days import Day
from shared.usage.inputs import partner_input, read_books, resale_input
from shared.usage.model import LicenceLine, Report
from shared.usage.repository import UsageRows

if TYPE_CHECKING:
    from shared.bootstrap import Deps


Rule = Callable[[Report], Report]
"""A pure rule of `rules`: a report in, the changed report out, or a refusal."""


class MonthOpen(Conflict):
    """The month is not closed yet."""

    code, title = "MONTH_OPEN", "The month is not closed"


@dataclass(frozen=True, slots=True)
class Explained:
    """One rated line, and why it is what it is."""

    line: Line
    explanation: explaining.Explanation
    objects: Sequence[dict[str, Any]]
    """Counted users of the day that counts, each with its reason; empty for seats."""
    input_hash: str
    parts: Sequence[Line] = ()
    """What a product's line adds up; each explains itself further."""


async def read(rows: UsageRows, scope: Scope, month: str) -> tuple[Report, str]:
    """A report and its strong ETag, with the SaaS lines inside the scope; `NotFound`."""
    report, etag = await rows.report(scope, month)
    inside = tuple(line for line in report.saas if scope.covers(line.customer_id))
    return report.model_copy(update={"saas": inside}), strong_etag(etag)


async def change(
    rows: UsageRows,
    scope: Scope,
    month: str,
    if_match: str | None,
    rule: Rule,
    *,
    required: bool = True,
) -> tuple[Report, str]:
    """Decide by a pure rule on what was read and save it under its ETag.

    `PreconditionFailed` (412) for an old tag, `ReportLocked` (409) from the rule, `LostRace` when
    somebody else was quicker.
    """
    report, etag = await rows.report(scope, month)
    check_if_match(if_match, strong_etag(etag), required=required)
    changed = rule(report)
    return changed, strong_etag(await rows.save_report(scope, changed, etag))


def manual_line(product: str, units: int, points_per_unit: Decimal) -> LicenceLine:
    """A line added by hand (USG-04)."""
    return LicenceLine(
        line_id=f"manual-{new_id(8)}",
        product=product,
        current=units,
        points_per_unit=points_per_unit,
        is_manual=True,
    )


async def confirm(
    deps: "Deps", rows: UsageRows, scope: Scope, month: str, if_match: str | None, by: str
) -> tuple[Report, str]:
    """Second step: send it; a suspension that hung on it ends (USG-09, USG-20)."""
    now = deps.clock.now()
    report, tag = await change(
        rows, scope, month, if_match, lambda each: rules.confirmed(each, by, now)
    )
    await keep_deadlines(deps, rows, scope)
    return report, tag


async def keep_deadlines(deps: "Deps", rows: UsageRows, scope: Scope) -> bool:
    """Mark what is late, and suspend or release licence management; whether it is suspended.

    USG-10, USG-20, LIC-55, AMB-40. Safe to run at any time and any number of times. A suspension
    that the operator made by hand is not touched: only a change of the deadlines' own word acts.
    """
    today = deps.clock.now().date()
    found = await rows.reports(scope)
    for each in found:
        if rules.late(each, today) and not each.is_late:
            report, etag = await rows.report(scope, each.month)
            await rows.save_report(scope, report.model_copy(update={"is_late": True}), etag)
    suspended = rules.suspends(found, today)
    if await rows.was_suspended(scope) != suspended:
        await standings.set_suspended(deps.tables[TABLE], scope, suspended=suspended)
        await rows.note_suspended(scope, suspended=suspended)
    return suspended


async def invoice(rows: UsageRows, scope: Scope, month: str) -> Invoice:
    """The closed month as it was rated; `MonthOpen` before."""
    noted = await rows.find_month(scope, month)
    if noted is None:
        raise NotFound(f"Nothing is known of {month[:16]}.")
    if noted.get("state") != "Closed":
        names = await rows.unknown(noted)
        raise MonthOpen(f"{month} is not closed: {len(names)} customers are unknown.")
    return Invoice.model_validate_json(await rows.content(noted["rated"]))


async def explain(
    deps: "Deps", rows: UsageRows, scope: Scope, month: str, line_id: str
) -> Explained:
    """Why a line of a closed month is what it is: events, objects, rules, arithmetic in points.

    A line of the report's products, or one of the rated lines that it adds up.
    """
    rated = await invoice(rows, scope, month)
    report, _ = await rows.report(scope, month)
    points = telling.points_in(report)
    is_whole = scope.customers is None
    products = report.lines if is_whole else ()
    product = next((each for each in products if each.line_id == line_id), None)
    lines = tuple(telling.in_points(line, points) for line in rated.lines)
    if product is None:
        shown = rated.model_copy(update={"lines": lines, "currency": telling.POINTS})
        return await _explained(deps, rows, scope, month, line_id, shown)
    parts = telling.parts_of(product, lines)
    told = telling.explain_product(product, parts, await _events(deps, scope))
    return Explained(telling.as_line(product, parts), told, (), rated.input_hash, parts)


async def explain_resale(
    deps: "Deps", rows: UsageRows, scope: Scope, month: str, customer_id: str, line_id: str
) -> Explained:
    """Why a line of a customer's invoice is what it is, with its prices."""
    content = await reselling.document(rows, scope, month, customer_id)
    billed = CustomerInvoice.model_validate_json(content)
    return await _explained(deps, rows, scope, month, line_id, billed)


async def _explained(
    deps: "Deps",
    rows: UsageRows,
    scope: Scope,
    month: str,
    line_id: str,
    rated: Invoice | CustomerInvoice,
) -> Explained:
    line = next((each for each in rated.lines if each.line_id == line_id), None)
    if line is None or not scope.covers(line.customer_id):
        raise NotFound(f"{month} has no line {line_id[:32]!r}.")
    events = await _events(deps, scope)
    counted = next((run for run in line.runs if run.first == line.counted_on), None)
    objects = []
    if counted is not None and counted.evidence:
        objects = orjson.loads(await rows.content(counted.evidence))
    told = explaining.explain(line, events, rated.currency)
    return Explained(line, told, objects, rated.input_hash)


async def _events(deps: "Deps", scope: Scope) -> dict[int, Event]:
    whole = Scope(scope.partner_id)
    return {event.seq: event for event in await deps.ledgers.ledger(whole)}


async def simulate_resale(
    deps: "Deps",
    rows: UsageRows,
    scope: Scope,
    month: str,
    book_id: str,
    changes: Sequence[Supposition],
) -> Answer:
    """What-if with prices: every customer by one price book; nothing is written."""
    await _check_customers(deps, scope, changes)
    versions = await deps.prices.versions(scope, book_id)
    prices = valid_in(versions, book_id, month)
    if prices is None:
        raise NotFound(f"There is no price book {book_id[:64]!r} that is valid in {month}.")
    first = rules.first_of(month)
    days, books = await rows.days(scope, first), await read_books(deps, scope)
    return suppose(resale_input(books, scope, first, days, deps.clock.now(), prices), changes)


async def simulate(
    deps: "Deps",
    rows: UsageRows,
    scope: Scope,
    month: str,
    changes: Sequence[Supposition],
) -> Answer:
    """What-if: the month rated as it is and as it would be, in points; nothing is written.

    `NotFound` for a change of a customer that is not there.
    """
    await _check_customers(deps, scope, changes)
    first = rules.first_of(month)
    days, books = await rows.days(scope, first), await read_books(deps, scope)
    agreement = rules.agreement_for(await rows.agreements(scope), month)
    counting = agreement.counting if agreement else rules.COUNTING
    points = telling.points_of(agreement)
    given = partner_input(books, scope, first, days, deps.clock.now(), counting, points)
    return suppose(given, changes)


async def _check_customers(deps: "Deps", scope: Scope, changes: Sequence[Supposition]) -> None:
    for each in changes:
        if not isinstance(each, ChangePrice):
            await customers.get(deps.tables, scope, each.customer_id)


async def adjustments(
    rows: UsageRows, scope: Scope, month: str = "", kind: str = "usage"
) -> list[tuple[Adjustment, str]]:
    """Adjustments of closed months, all or of one, oldest first, each with the month it is in."""
    return [
        (found, each.billed_in)
        async for each in rows.amendments(scope, month, kind=kind)
        for found in each.adjustments
        if scope.covers(found.customer_id)
    ]


READ = ("licensed_accounts", "stored_bytes", "protected_users", "restores")
"""What is read from outside for a day."""


async def accept_unknown(
    rows: UsageRows, scope: Scope, month: str, customer_id: str, by: str
) -> int:
    """A person takes the newest known values of a customer for its unknown days; days changed.

    Values of the month before are taken where this one has none; who took what is kept with the
    day. `NotFound` when nothing of the customer is unknown in the month.
    """
    if not scope.covers(customer_id):
        raise NotFound(f"Nothing of this customer is unknown in {month}.")
    first = rules.first_of(month)
    earlier = await rows.days(scope, rules.first_of(rules.month_before(month)), customer_id)
    known = next((day for day in reversed(earlier) if day.is_known), None)
    taken = []
    for day in await rows.days(scope, first, customer_id):
        if day.is_known:
            known = day
            continue
        taken.append(_accepted(day, known, by))
    if not taken:
        raise NotFound(f"Nothing of this customer is unknown in {month}.")
    await rows.put_days(scope, taken)
    return len(taken)


def _accepted(day: Day, known: Day | None, by: str) -> Day:
    own = day.model_dump(include=set(READ))
    older = known.model_dump(include=set(READ)) if known else {}
    values = {name: own[name] if own[name] is not None else older.get(name) for name in READ}
    if known and day.stored_bytes is None:
        values["stored_tiers"] = known.stored_tiers
    source = f"{by}, values of {known.day}" if known else f"{by}, without older values"
    return day.model_copy(update={**values, "accepted_by": source})
