"""Closing a month: measured, rated, reported, committed once (USG-01, AMB-24)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import orjson

from shared.access.model import Scope
from shared.billing.model import Invoice
from shared.billing.rules.rating import rate
from shared.customers import repository as customers
from shared.kit.errors import NotFound
from shared.licensing.rules.billing import month_days
from shared.licensing.rules.dates import ONE_DAY
from shared.usage import rules
from shared.usage.days import Day, unknown
from shared.usage.inputs import Read, partner_input, read_books
from shared.usage.measuring import fill
from shared.usage.model import Report
from shared.usage.refusals import MonthRunning, UsageUnknown
from shared.usage.reporting import Known, report_of
from shared.usage.repository import MOST_AMENDMENTS, Amendment, UsageRows

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Closed:
    """What closing a month has made: the rated quantities and the report."""

    invoice: Invoice
    report: Report
    is_new: bool
    read: Read | None = None
    """What it was made of, so that billing need not read it again; None of an older close."""


async def close(deps: "Deps", rows: UsageRows, scope: Scope, month: str) -> Closed:
    """Close the month of one partner: once, however often it is asked for (USG-01, AMB-24).

    `UsageUnknown` names what could not be read; nothing is closed then. `MonthRunning` before its
    end. What of earlier months became known since is put into this one's report as corrections.
    """
    noted = await rows.find_month(scope, month)
    if noted is not None and noted.get("state") == "Closed":
        return await _as_closed(rows, scope, month, noted)
    first, last = month_days(rules.first_of(month))
    if deps.clock.now() < month_end(month):
        raise MonthRunning(f"{month} ends on {last}.")
    days = await fill(deps, rows, scope, first, last)
    open_points = unknown(days)
    if open_points:
        await rows.note_blocked(scope, month, open_points)
        raise UsageUnknown(
            f"{len(open_points)} customers could not be read for {month}.",
            customers=dict(list(open_points.items())[:NAMED]),
        )
    agreement = rules.agreement_for(await rows.agreements(scope), month)
    counting = agreement.counting if agreement else rules.COUNTING
    known_at = deps.clock.now()
    books = await read_books(deps, scope)
    invoice = rate(partner_input(books, scope, first, days, known_at, counting))
    late = await unbilled(rows, scope, month, "usage")
    report = report_of(
        invoice,
        month,
        days,
        await _customers(deps, scope),
        agreement,
        await _previous(rows, scope, rules.month_before(month)),
        [found for each in late for found in each.adjustments],
    )
    values = {
        "state": "Closed",
        "closed_at": known_at.isoformat(),
        "snapshot_date": (last + ONE_DAY).isoformat(),
        "rated": await rows.put_content(invoice.content),
        "input_hash": invoice.input_hash,
        "days": await rows.put_content(_canonical(days)),
        "counting": counting.value,
    }
    if not await rows.close_month(scope, month, values, report, late):
        return await close(deps, rows, scope, month)  # somebody else was quicker: what they made
    log.info("%s of %s closed: %d lines", month, scope.partner_id, len(invoice.lines))
    return Closed(invoice, report, is_new=True, read=Read(books, days))


NAMED = 100
"""Customers named in a refusal; `GET /usage-months` names all."""


async def unbilled(rows: UsageRows, scope: Scope, month: str, kind: str) -> list[Amendment]:
    """Amendments of earlier months that nothing has billed yet, as many as one commit takes."""
    found = [
        each
        async for each in rows.amendments(scope, kind=kind)
        if not each.billed_in and each.month < month
    ]
    return found[:MOST_AMENDMENTS]


def month_end(month: str) -> datetime:
    """The instant at which a month is over."""
    return datetime.combine(month_days(rules.first_of(month))[1] + ONE_DAY, time(), UTC)


async def _customers(deps: "Deps", scope: Scope) -> dict[str, Known]:
    return {
        each.customer_id: Known(
            each.display_name,
            each.external_id or "",
            each.activation_at.date() if each.activation_at else None,
            not each.is_onboarded,
        )
        for each in await customers.list_all(deps.tables, scope)
    }


async def _previous(rows: UsageRows, scope: Scope, month: str) -> Report | None:
    try:
        return (await rows.report(scope, month))[0]
    except NotFound:  # the first month, or one that is still held up
        return None


async def _as_closed(rows: UsageRows, scope: Scope, month: str, noted: Mapping[str, str]) -> Closed:
    invoice = Invoice.model_validate_json(await rows.content(noted["rated"]))
    report, _ = await rows.report(scope, month)
    return Closed(invoice, report, is_new=False)


async def closed_days(rows: UsageRows, noted: Mapping[str, str]) -> list[Day]:
    """The measured days of a closed month as they were when it closed: one blob."""
    kept = orjson.loads(await rows.content(noted["days"]))
    return [Day.model_validate(each) for each in kept]


def _canonical(days: Sequence[Day]) -> bytes:
    return orjson.dumps([day.model_dump(mode="json") for day in days], option=orjson.OPT_SORT_KEYS)
