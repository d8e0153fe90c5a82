"""Daily measurement of every customer; what cannot be read is named, never guessed (24.3)."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import Customer
from shared.customers.tenant_licences import read_licences
from shared.kit.errors import HoldfastError
from shared.licensing import ledger
from shared.licensing.book import parsed
from shared.protection import repository as protection
from shared.restore import repository as restores
from shared.usage.days import Day, counted_users, evidence_of
from shared.usage.repository import UsageRows

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)
_AT_ONCE = 8
_ONE_DAY = timedelta(days=1)


async def measure(deps: "Deps", rows: UsageRows, scope: Scope, day: date) -> list[Day]:
    """Measure every connected customer of the partner for `day` and keep it; the days written."""
    found = [each for each in await customers.list_all(deps.tables, scope) if each.is_onboarded]
    return await _measure(deps, rows, scope, [(customer, day) for customer in found])


async def fill(deps: "Deps", rows: UsageRows, scope: Scope, month: date, last: date) -> list[Day]:
    """Measure what is missing of a month up to `last`, and again what could not be read.

    A day measured afterwards is marked late. Customers that are gone keep the days they had.
    """
    have = {(each.customer_id, each.day): each for each in await rows.days(scope, month)}
    missing = []
    for customer in await customers.list_all(deps.tables, scope):
        if not customer.is_onboarded:
            continue
        day = max(month.replace(day=1), (customer.activation_at or customer.created_at).date())
        while day <= last:
            known = have.get((customer.customer_id, day))
            if known is None or not known.is_known:
                missing.append((customer, day))
            day += _ONE_DAY
    return await _measure(deps, rows, scope, missing)


async def _measure(
    deps: "Deps", rows: UsageRows, scope: Scope, wanted: Iterable[tuple[Customer, date]]
) -> list[Day]:
    by_customer: dict[str, tuple[Customer, list[date]]] = {}
    for customer, day in wanted:
        by_customer.setdefault(customer.customer_id, (customer, []))[1].append(day)
    if not by_customer:
        return []
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(customer: Customer, days: list[date]) -> list[Day]:
        async with gate:
            return await _of_customer(deps, rows, scope, customer, days)

    measured = await asyncio.gather(*[one(*each) for each in by_customer.values()])
    found = await _with_seats(deps, scope, [day for each in measured for day in each])
    await rows.put_days(scope, found)
    return found


async def _of_customer(
    deps: "Deps", rows: UsageRows, scope: Scope, customer: Customer, days: list[date]
) -> list[Day]:
    """A customer's days; all share one reading of storage and tenant."""
    now, unread = deps.clock.now(), {}
    values: dict[str, int | None] = {}
    for name, read in (
        ("licensedAccounts", _licensed(deps, customer)),
        ("storedBytes", _stored(deps, customer)),
    ):
        try:
            values[name] = await read
        except HoldfastError as refused:
            unread[name] = f"{refused.code}: {refused.detail}"
    found = []
    objects = await protection.list_objects(deps.tables, scope, customer.customer_id)
    policies = await protection.list_policies(deps.tables, scope, customer_id=customer.customer_id)
    for day in days:
        users = counted_users(objects, policies, [str(s) for s in customer.services], day)
        begin = datetime.combine(day, time(), UTC)
        asked = restores.created_between(
            deps.tables, scope, customer.customer_id, begin, begin + _ONE_DAY
        )
        found.append(
            Day(
                customer_id=customer.customer_id,
                customer_name=customer.display_name,
                external_id=customer.external_id or "",
                day=day,
                recorded=now,
                is_late=now.date() > day,
                unread=unread,
                protected_users=len(users),
                licensed_accounts=values.get("licensedAccounts"),
                stored_bytes=values.get("storedBytes"),
                restores=len([at async for at in asked]),
                evidence=await rows.put_content(evidence_of(users)) if users else "",
            )
        )
    return found


async def _with_seats(deps: "Deps", scope: Scope, days: list[Day]) -> list[Day]:
    """What the ledger says of each day; the ledger is read once."""
    events = await deps.ledgers.ledger(scope)
    seats: dict[tuple[str, date], tuple[dict[str, int], dict[str, int]]] = {}
    for day in sorted({each.day for each in days}):
        _, subs, _ = parsed(ledger.fold(ledger.known(events, as_of=day)))
        for sub in subs.values():
            if sub.item is None:
                continue
            assigned, consumed = seats.setdefault((sub.customer_id, day), ({}, {}))
            if sub.quantity:
                assigned[sub.item] = assigned.get(sub.item, 0) + sub.quantity
            if sub.consumed:
                consumed[sub.item] = consumed.get(sub.item, 0) + sub.consumed
    return [
        each.model_copy(
            update=dict(
                zip(
                    ("assigned", "consumed"),
                    seats.get((each.customer_id, each.day), ({}, {})),
                    strict=True,
                )
            )
        )
        for each in days
    ]


async def _licensed(deps: "Deps", customer: Customer) -> int:
    found = await read_licences(deps, customer.tenant_id) if customer.tenant_id else None
    if found is None:
        raise Unread("The licences of the tenant were not read; see its consent health.")
    return found["Microsoft365"]


async def _stored(deps: "Deps", customer: Customer) -> int:
    if not customer.repository_id:
        return 0
    stores = await deps.vault_stores(customer.repository_id)
    try:
        return sum([blob.size async for blob in stores[0].list()])
    except Exception as broken:
        log.exception("the vault of %s was not measured", customer.customer_id)
        raise Unread("The vault could not be listed.") from broken


class Unread(HoldfastError):
    """Something could not be read for a measurement."""

    code, status, title = "USAGE_UNREAD", 503, "Usage could not be read"
