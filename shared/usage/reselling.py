"""What customers are billed: rated at the close, kept as bytes, adjusted by late data."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from shared.access.model import Scope
from shared.billing.model import Adjustment, CustomerInvoice, Invoice, PriceBook, Profile
from shared.billing.refusals import PriceMissing
from shared.billing.repository import DEFAULT, valid_in
from shared.billing.rules.invoicing import invoices
from shared.billing.rules.rating import rate
from shared.customers import repository as customers
from shared.kit.errors import NotFound
from shared.usage import amending, rules
from shared.usage.closing import closed_days, unbilled
from shared.usage.days import Day
from shared.usage.inputs import Books, Read, read_books, read_month, resale_input
from shared.usage.repository import UsageRows

if TYPE_CHECKING:
    from shared.bootstrap import Deps

_KEY = "resale~"


@dataclass(frozen=True, slots=True)
class Group:
    """The customers of one billing profile, and the prices of the month."""

    profile: Profile
    book: PriceBook
    customers: frozenset[str]


async def bill(
    deps: "Deps", rows: UsageRows, scope: Scope, month: str, read: Read | None = None
) -> dict[str, Any]:
    """Rate a closed month with the price books valid in it and keep the invoices: once.

    It rates what the close has measured and knew; `read` is that, where it has just run.

    Its state: `Billed`, `Unpriced` with the items that have no price (no invoice is kept then; add
    them and it is tried again), or `NoPrices` while the partner has no profile for the month.
    """
    told = await _bill(deps, rows, scope, month, read)
    await rows.note_unpriced(scope, month, told.get("items", ()))
    return told


async def unpriced(rows: UsageRows, scope: Scope) -> dict[str, list[str]]:
    """Closed months nobody is billed for yet -> the items without a price at the last try."""
    found = await rows.unpriced(scope)
    return {m: items for m, items in found.items() if not await rows.noted(scope, _KEY + m)}


async def _bill(
    deps: "Deps", rows: UsageRows, scope: Scope, month: str, read: Read | None
) -> dict[str, Any]:
    noted = await rows.noted(scope, _KEY + month)
    if noted is not None:
        return {"state": "Billed", "invoices": noted["count"]}
    closed = await rows.find_month(scope, month)
    if closed is None or closed.get("state") != "Closed":
        raise NotFound(f"{month[:16]} is not closed.")
    if read is None:
        read = Read(await read_books(deps, scope), await closed_days(rows, closed))
    books, days = read.books, read.days
    names = {day.customer_id: day.customer_name for day in days}
    present = await customers.list_all(deps.tables, scope)
    names |= {each.customer_id: each.display_name for each in present}
    everybody = {*names, *_holders(books)}
    groups = await groups_of(deps, scope, month, everybody)
    if not groups:
        return {"state": "NoPrices"}
    known_at = datetime.fromisoformat(closed["closed_at"])
    late = await unbilled(rows, scope, month, "resale")
    told = [found for each in late for found in each.adjustments]
    made: list[CustomerInvoice] = []
    rated: list[dict[str, Any]] = []
    try:
        for group in groups:
            invoice = _rated(books, scope, month, days, known_at, group)
            own = [each for each in told if each.customer_id in group.customers]
            made += invoices(invoice, group.profile, names, own, group.book.decimals)
            rated.append(
                {
                    "profile": group.profile.model_dump(mode="json"),
                    "book": invoice.price_book,
                    "rated": await rows.put_content(invoice.content),
                    "customers": sorted(group.customers),
                }
            )
    except PriceMissing as missing:
        return {"state": "Unpriced", "items": missing.extra["items"]}
    values = {
        "known_at": known_at.isoformat(),
        "count": len(made),
        "groups": await rows.put_content(orjson.dumps(rated)),
        **await _keep(rows, made),
    }
    await rows.note_once(scope, _KEY + month, values, month, late)
    return await _bill(deps, rows, scope, month, read)


async def _keep(rows: UsageRows, made: Sequence[CustomerInvoice]) -> dict[str, str]:
    """All invoices of the month in one blob, and where each lies, with its own hash."""
    index, offset = {}, 0
    for each in made:
        index[each.customer_id] = {
            "offset": offset, "length": len(each.content), "digest": each.digest,
            "total": str(each.total), "currency": each.currency, "name": each.customer_name,
        }  # fmt: skip
        offset += len(each.content)
    body = b"".join(each.content for each in made)
    listed = orjson.dumps(index, option=orjson.OPT_SORT_KEYS)
    return {"invoices": await rows.put_content(body), "index": await rows.put_content(listed)}


async def listed(rows: UsageRows, scope: Scope, month: str) -> dict[str, dict[str, Any]]:
    """Customer -> total, currency and hash of its invoice, inside the scope; `NotFound`."""
    noted = await rows.noted(scope, _KEY + month)
    if noted is None:
        raise NotFound(f"Nobody was billed for {month[:16]}.")
    index = orjson.loads(await rows.content(noted["index"]))
    return {customer: each for customer, each in index.items() if scope.covers(customer)}


async def document(rows: UsageRows, scope: Scope, month: str, customer_id: str) -> bytes:
    """The bytes of a customer's invoice as they were made; `NotFound`."""
    place = (await listed(rows, scope, month)).get(customer_id)
    noted = await rows.noted(scope, _KEY + month)
    if place is None or noted is None:
        raise NotFound(f"The customer was not billed for {month[:16]}.")
    content = await rows.part(noted["invoices"], place["offset"], place["length"])
    if hashlib.sha256(content).hexdigest() != place["digest"]:
        raise RuntimeError(f"the invoice of {customer_id} for {month} is not what was kept")
    return content


async def documents(rows: UsageRows, scope: Scope, month: str) -> list[CustomerInvoice]:
    """All invoices of a month inside the scope, by customer: one read."""
    places, noted = await listed(rows, scope, month), await rows.noted(scope, _KEY + month)
    content = await rows.content(noted["invoices"]) if noted else b""
    parts = [content[at["offset"] : at["offset"] + at["length"]] for at in places.values()]
    return [CustomerInvoice.model_validate_json(part) for part in parts]


async def amend(
    deps: "Deps", rows: UsageRows, scope: Scope, month: str, read: Read | None = None
) -> Sequence[Adjustment]:
    """Rate a billed month again, by the same prices and what is known now; differences are kept.

    The next month's invoices carry them; the bytes of this one stay. `read`: what somebody has
    just read of the month.
    """
    noted = await rows.noted(scope, _KEY + month)
    if noted is None:
        return ()
    read = read or await read_month(deps, rows, scope, month)
    old: list[Invoice] = []
    new: list[Invoice] = []
    currencies: dict[str, str] = {}
    for kept in orjson.loads(await rows.content(noted["groups"])):
        version = await deps.prices.version(scope, kept["book"])
        profile = Profile.model_validate(kept["profile"])
        group = Group(profile, version.book, frozenset(kept["customers"]))
        old.append(Invoice.model_validate_json(await rows.content(kept["rated"])))
        new.append(_rated(read.books, scope, month, read.days, deps.clock.now(), group))
        currencies |= dict.fromkeys(group.customers, version.book.currency)
    if not old:
        return ()
    billed, right = _merged(old), _merged(new)
    return await amending.keep_differences(rows, scope, month, "resale", billed, right, currencies)


async def groups_of(deps: "Deps", scope: Scope, month: str, everybody: set[str]) -> list[Group]:
    """Who is billed by which profile and prices in a month; without either nobody is."""
    profiles, chosen = await deps.prices.profiles(scope), await deps.prices.all_billed(scope)
    versions = await deps.prices.versions(scope)
    members: dict[str, set[str]] = {}
    for customer in everybody:
        own = chosen[customer].profile_id if customer in chosen else ""
        members.setdefault(own or DEFAULT, set()).add(customer)
    found = []
    for profile_id, own_customers in sorted(members.items()):
        profile = profiles.get(profile_id)
        book = valid_in(versions, profile.book_id, month) if profile else None
        if profile and book:
            found.append(Group(profile, book, frozenset(own_customers)))
    return found


def _rated(
    books: Books, scope: Scope, month: str, days: Sequence[Day], known_at: datetime, group: Group
) -> Invoice:
    first = rules.first_of(month)
    given = resale_input(books, scope, first, days, known_at, group.book, group.customers)
    return rate(given)


def _holders(books: Books) -> set[str]:
    """Customers that ever held a seat."""
    return {
        account.split("~")[1]
        for event in books.events
        for move in event.moves
        for account in (move.source, move.target)
        if account.startswith("sub~")
    }


def _merged(rated: Sequence[Invoice]) -> Invoice:
    lines = tuple(line for each in rated for line in each.lines)
    return rated[0].model_copy(update={"lines": lines})
