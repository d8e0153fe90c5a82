"""Who holds what: live, or as it stood when a month ended; the latter is kept and never edited."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING

import orjson
from pydantic import BaseModel, ConfigDict

from shared.access.model import Scope
from shared.catalogue.model import PaymentModel
from shared.kit.errors import NotFound
from shared.licensing import reading
from shared.licensing.book import Book
from shared.licensing.model import State
from shared.licensing.rules import dates
from shared.licensing.rules.billing import month_days
from shared.licensing.rules.dates import ONE_DAY
from shared.usage import rules
from shared.usage.refusals import MonthRunning
from shared.usage.repository import UsageRows

if TYPE_CHECKING:
    from shared.bootstrap import Deps

_KEY = "snapshot~"


class Held(BaseModel):
    """One customer's seats of one pool item (features.md 9.1, customer current usage)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    customer_id: str
    slot: str
    item: str | None
    pool_id: str | None
    source: str
    payment_model: PaymentModel | None
    assigned: int
    consumed: int
    assigned_on: date | None
    expires_on: date | None


class Snapshot(BaseModel):
    """What was held when a month ended; both days are kept (AMB-24)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    usage_month: str
    snapshot_date: date
    """First day after the month; the live picture has today here."""
    taken_at: datetime
    held: tuple[Held, ...]
    digest: str = ""
    """SHA-256 of what is kept; empty for the live picture."""


async def take(deps: "Deps", rows: UsageRows, scope: Scope, month: str) -> str:
    """Keep the picture of a month's end: once; its digest (USG-15, AMB-24).

    By the ledger alone, so it does not wait for customers that cannot be measured.
    """
    noted = await rows.noted(scope, _KEY + month)
    if noted is not None:
        return str(noted["content"])
    last = month_days(rules.first_of(month))[1]
    now = deps.clock.now()
    if now.date() <= last:
        raise MonthRunning(f"{month} ends on {last}.")
    book = await reading.as_of(deps.ledgers, scope, day=last, known_at=now)
    content = orjson.dumps(
        [each.model_dump(mode="json") for each in held(book)], option=orjson.OPT_SORT_KEYS
    )
    values = {
        "content": await rows.put_content(content),
        "snapshot_date": (last + ONE_DAY).isoformat(),
        "taken_at": now.isoformat(),
    }
    if not await rows.note_once(scope, _KEY + month, values):
        return await take(deps, rows, scope, month)
    return str(values["content"])


async def kept(rows: UsageRows, scope: Scope, day: date) -> Snapshot:
    """The picture invoiced on the first of a month, limited to the scope; `NotFound` (RPT-05)."""
    month = rules.month_of(day - ONE_DAY) if day.day == 1 and day.year > 1 else ""
    noted = await rows.noted(scope, _KEY + month) if month else None
    if noted is None:
        raise NotFound(f"No picture was kept on {day}; there is one for the first of a month.")
    content = orjson.loads(await rows.content(noted["content"]))
    return Snapshot(
        usage_month=month,
        snapshot_date=date.fromisoformat(noted["snapshot_date"]),
        taken_at=datetime.fromisoformat(noted["taken_at"]),
        held=tuple(_inside(scope, map(Held.model_validate, content))),
        digest=noted["content"],
    )


async def live(deps: "Deps", scope: Scope) -> Snapshot:
    """The picture of now, limited to the scope."""
    now = deps.clock.now()
    book = await reading.visible_book(deps.ledgers, scope)
    return Snapshot(
        usage_month=rules.month_of(now.date()),
        snapshot_date=now.date(),
        taken_at=now,
        held=held(book),
    )


def held(book: Book) -> tuple[Held, ...]:
    """What is held on the book's day, by customer and slot; ended subscriptions hold nothing."""
    found = []
    for _, sub in sorted(book.subs.items()):
        pool = book.pools.get(sub.pool_id or "")
        if dates.state_on(sub, pool, book.day) in {State.EXPIRED, State.SKIPPED}:
            continue
        found.append(
            Held(
                customer_id=sub.customer_id,
                slot=sub.slot,
                item=sub.item,
                pool_id=sub.pool_id,
                source=sub.source,
                payment_model=sub.payment_model,
                assigned=sub.quantity,
                consumed=sub.consumed or sub.protected,
                assigned_on=sub.assigned_on,
                expires_on=dates.expires_on(sub, pool),
            )
        )
    return tuple(found)


def _inside(scope: Scope, every: Iterable[Held]) -> Iterable[Held]:
    return (each for each in every if scope.covers(each.customer_id))
