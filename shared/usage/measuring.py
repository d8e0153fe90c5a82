"""Daily measurement of every customer; what cannot be read is named, never guessed (24.3)."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import Customer
from shared.customers.tenant_licences import read_licences
from shared.kit.errors import HoldfastError
from shared.licensing import ledger
from shared.licensing.book import parsed
from shared.protection import repositories
from shared.protection import repository as protection
from shared.restore import repository as restores
from shared.usage import rules
from shared.usage.days import Day, Retention, counted_users, evidence_of
from shared.usage.model import Agreement
from shared.usage.repository import UsageRows

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)
_AT_ONCE = 8
_EVENING = 12
"""Before this hour a measurement is the one of the evening before."""
_ONE_DAY = timedelta(days=1)


async def measure(
    deps: "Deps", rows: UsageRows, scope: Scope, day: date, only: Iterable[str] | None = None
) -> list[Day]:
    """Measure every connected customer of the partner for `day`, or `only` some; the days kept."""
    wanted = None if only is None else set(only)
    found = [
        each
        for each in await customers.list_all(deps.tables, scope)
        if each.is_onboarded and (wanted is None or each.customer_id in wanted)
    ]
    return await _measure(deps, rows, scope, [(customer, day) for customer in found])


async def measured_customers(deps: "Deps", scope: Scope) -> list[str]:
    """Ids of the customers that are measured."""
    every = await customers.list_all(deps.tables, scope)
    return [each.customer_id for each in every if each.is_onboarded]


def day_of(now: datetime) -> date:
    """The day that a measurement is of: a clock that comes after midnight means the day before."""
    return now.date() if now.hour >= _EVENING else now.date() - _ONE_DAY


async def fill(deps: "Deps", rows: UsageRows, scope: Scope, month: date, last: date) -> list[Day]:
    """Measure what is missing of a month up to `last`, and again what could not be read.

    All days of the month, by customer and day. One measured afterwards is marked late. Customers
    that are gone keep the days they had; what is missing of these until they left is measured, but
    what could not be read then waits for a person.
    """
    have = {(each.customer_id, each.day): each for each in await rows.days(scope, month)}
    missing = []
    for customer in await customers.list_all(deps.tables, scope):
        until = _in_use_until(customer, last)
        if until is None:
            continue
        day = max(month.replace(day=1), (customer.activation_at or customer.created_at).date())
        while day <= until:
            known = have.get((customer.customer_id, day))
            if known is None or (customer.is_onboarded and not known.is_known):
                missing.append((customer, day))
            day += _ONE_DAY
    made = await _measure(deps, rows, scope, missing)
    have |= {(each.customer_id, each.day): each for each in made}
    return [have[key] for key in sorted(have)]


def _in_use_until(customer: Customer, last: date) -> date | None:
    """Last day up to `last` that is measured of a customer; None of one that never was in use."""
    if customer.is_onboarded:
        return last
    if customer.left_at is None or customer.activation_at is None:
        return None
    return min(last, customer.left_at.date())


async def _measure(
    deps: "Deps", rows: UsageRows, scope: Scope, wanted: Iterable[tuple[Customer, date]]
) -> list[Day]:
    by_customer: dict[str, tuple[Customer, list[date]]] = {}
    for customer, day in wanted:
        by_customer.setdefault(customer.customer_id, (customer, []))[1].append(day)
    if not by_customer:
        return []
    gate, agreements = asyncio.Semaphore(_AT_ONCE), await rows.agreements(scope)

    async def one(customer: Customer, days: list[date]) -> list[Day]:
        async with gate:
            return await _of_customer(deps, rows, scope, customer, days, agreements)

    measured = await asyncio.gather(*[one(*each) for each in by_customer.values()])
    found = await _with_seats(deps, scope, [day for each in measured for day in each])
    await rows.put_days(scope, found)
    return found


async def _of_customer(
    deps: "Deps",
    rows: UsageRows,
    scope: Scope,
    customer: Customer,
    days: list[date],
    agreements: list[Agreement],
) -> list[Day]:
    """A customer's days; all share one reading of storage and tenant."""
    now, unread = deps.clock.now(), {}
    licensed: int | None = None
    tiers: dict[str, int] | None = None
    try:
        licensed = await _licensed(deps, customer)
    except HoldfastError as refused:
        unread["licensedAccounts"] = f"{refused.code}: {refused.detail}"
    try:
        tiers = await _stored(deps, customer)
    except HoldfastError as refused:
        unread["storedBytes"] = f"{refused.code}: {refused.detail}"
    objects = await protection.list_objects(deps.tables, scope, customer.customer_id)
    policies = await protection.list_policies(deps.tables, scope, customer_id=customer.customer_id)
    asked = await _restores(deps, scope, customer.customer_id, min(days), max(days))
    found = []
    for day in days:
        kept = Retention(customer.retention_years)
        retention = kept if rules.counts_retained(agreements, day) else None
        services = [str(service) for service in customer.services]
        users = counted_users(objects, policies, services, day, retention)
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
                licensed_accounts=licensed,
                stored_bytes=None if tiers is None else sum(tiers.values()),
                stored_tiers=tiers or {},
                restores=asked[day],
                evidence=await rows.put_content(evidence_of(users)) if users else "",
            )
        )
    return found


async def _restores(
    deps: "Deps", scope: Scope, customer_id: str, first: date, last: date
) -> Counter[date]:
    """Restores asked for by day: one reading for all of them."""
    begin = datetime.combine(first, time(), UTC)
    end = datetime.combine(last + _ONE_DAY, time(), UTC)
    asked = restores.created_between(deps.tables, scope, customer_id, begin, end)
    return Counter([at.date() async for at in asked])


async def _with_seats(deps: "Deps", scope: Scope, days: list[Day]) -> list[Day]:
    """What the ledger says of each day; the ledger is read once."""
    events = await deps.ledgers.ledger(scope)
    seats: dict[tuple[str, date], dict[str, dict[str, Any]]] = {}
    for day in sorted({each.day for each in days}):
        _, subs, _ = parsed(ledger.fold(ledger.known(events, as_of=day)))
        for sub in subs.values():
            if sub.item is None:
                continue
            held = seats.setdefault((sub.customer_id, day), _no_seats())
            used = sub.consumed or sub.protected
            for name, count in (("assigned", sub.quantity), ("consumed", used)):
                if count:
                    held[name][sub.item] = held[name].get(sub.item, 0) + count
            if sub.pool_id and sub.quantity:
                held["pools"][sub.item] = sub.pool_id
    return [
        each.model_copy(update=seats.get((each.customer_id, each.day), _no_seats()))
        for each in days
    ]


def _no_seats() -> dict[str, dict[str, Any]]:
    return {"assigned": {}, "consumed": {}, "pools": {}}


async def _licensed(deps: "Deps", customer: Customer) -> int | None:
    """Licensed accounts of the tenant; None for a customer without one: nothing is unknown."""
    if customer.tenant_id is None:
        return None
    found = await read_licences(deps, customer.tenant_id)
    if found is None:
        raise Unread("The licences of the tenant were not read; see its consent health.")
    return found["Microsoft365"]


async def _stored(deps: "Deps", customer: Customer) -> dict[str, int]:
    """Bytes by tier in all repositories of a customer; one never written to holds nothing."""
    found: Counter[str] = Counter()
    for one in await repositories.list_of(deps, customer):
        try:
            stores = await deps.vault_stores(one.vault_id, region=one.region)
            async for blob in stores.vault.list():
                found[blob.tier] += blob.size
        except Exception as broken:
            if getattr(broken, "error_code", "") == "ContainerNotFound":
                continue
            log.exception("the vault of %s was not measured", customer.customer_id)
            raise Unread("The vault could not be listed.") from broken
    return dict(found)


class Unread(HoldfastError):
    """Something could not be read for a measurement."""

    code, status, title = "USAGE_UNREAD", 503, "Usage could not be read"
