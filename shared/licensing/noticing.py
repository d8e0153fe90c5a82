"""What a partner is to be told about its licences, each thing once; sending is somebody else's.

    told~{hash}             that it was said: the key of what is told
    notice~{days}~{hash}    the notice; the day counts backwards, so the newest comes first

Both are written in one batch. `noticed` remembers up to which event of the ledger, and until which
day, there is nothing new: a look costs three reads then.
"""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from shared.access.model import Scope
from shared.kit.tables import LostRace, Row, Table
from shared.licensing import standings
from shared.licensing.repository import TABLE, Ledgers
from shared.licensing.rules import telling
from shared.licensing.rules.telling import Kind, Told

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)

TOPIC = "LicenceChange"
"""The topic contacts choose to be told of these (NTF-03)."""
# Days are counted backwards from here: no day of the calendar has a greater ordinal.
_LAST_DAY = 9_999_999


class Noted(BaseModel):
    """A notice as it was written down."""

    model_config = ConfigDict(frozen=True)

    notice_id: str
    kind: Kind
    rule: str
    due_on: date
    subject: str
    customer_id: str
    what: dict[str, Any]
    noted_at: datetime


async def note_all(ledgers: Ledgers, table: Table, scope: Scope, now: datetime) -> int:
    """Write down what is to be told by today; how much is new. Again writes nothing."""
    standing = await standings.of(table, scope)
    always = [telling.suspended(now.date())] if standing.licence_management_suspended else []
    noted = await note(table, scope, always, now)
    seen = await table.find(scope.partner_id, "noticed")
    if seen and seen.values["seq"] == (await ledgers.head(scope)).seq:
        until = seen.values.get("until")
        if until is None or now.date() < date.fromisoformat(until):
            return noted
    snapshot = await ledgers.load_all(scope)
    noted += await note(table, scope, telling.found(snapshot.book), now)
    day = telling.next_day(snapshot.book)
    values = {"seq": snapshot.head.seq, "until": day.isoformat() if day else None}
    await table.upsert(Row(scope.partner_id, "noticed", values))
    return noted


async def note_everywhere(deps: "Deps") -> dict[str, int]:
    """Partner -> how much is new; one partner's trouble is logged and keeps nobody waiting."""
    table, now = deps.tables[TABLE], deps.clock.now()
    noted: dict[str, int] = {}
    for partner_id in await standings.partners(table):
        try:
            new = await note_all(deps.ledgers, table, Scope(partner_id), now)
        except Exception:  # the next run finds it untold and tells it
            log.exception("notices of %s wait for the next run", partner_id)
            continue
        if new:
            noted[partner_id] = new
    return noted


async def note(table: Table, scope: Scope, told: Iterable[Told], now: datetime) -> int:
    """Write down those that are new; how many."""
    noted = 0
    for each in told:
        name = hashlib.sha256(each.key.encode()).hexdigest()[:32]
        if await table.find(scope.partner_id, f"told~{name}"):
            continue
        said = Row(scope.partner_id, f"told~{name}", {"key": each.key})
        try:
            await table.batch([("insert", said), ("insert", _row(scope, name, each, now))])
        except LostRace:
            continue  # somebody else has said it in this instant
        noted += 1
    return noted


async def page(
    table: Table,
    scope: Scope,
    *,
    after: str = "",
    limit: int = 100,
    customer_id: str | None = None,
) -> tuple[list[Noted], str | None]:
    """The newest first, and after which the next page begins; None after the last.

    Callers limited to some customers see what concerns those; pools are the whole partner's.
    """
    found: list[Noted] = []
    place = f"notice~{after}" if after else ""
    async for row in table.query(scope.partner_id, prefix="notice~", after=place):
        noted = Noted.model_validate(row.values)
        if customer_id is not None and noted.customer_id != customer_id:
            continue
        if not (scope.covers(noted.customer_id) if noted.customer_id else scope.customers is None):
            continue
        if len(found) == limit:
            return found, found[-1].notice_id
        found.append(noted)
    return found, None


def _row(scope: Scope, name: str, told: Told, now: datetime) -> Row:
    at = f"{_LAST_DAY - told.due_on.toordinal():07d}~{name}"
    values = {key: value for key, value in asdict(told).items() if key != "key"}
    noted = Noted(notice_id=at, noted_at=now, **values)
    return Row(scope.partner_id, f"notice~{at}", noted.model_dump(mode="json"))
