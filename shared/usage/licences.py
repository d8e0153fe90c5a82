"""Licences in use: what an evening measured, noted at the subscriptions concerned (LIC-53)."""

import logging
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.catalogue import rules as catalogue_rules
from shared.catalogue.model import Catalogue
from shared.licensing import service, standings
from shared.licensing.book import LIVE
from shared.licensing.model import Subscription
from shared.licensing.repository import TABLE
from shared.usage.days import GB, Day
from shared.usage.repository import UsageRows

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)


async def note_everywhere(deps: "Deps", day: date) -> dict[str, int]:
    """Partner -> subscriptions that changed; one's trouble is logged and keeps nobody waiting."""
    rows, noted = await deps.usage(), {}
    for partner_id in await standings.partners(deps.tables[TABLE]):
        try:
            changed = await note(deps, rows, Scope(partner_id), day)
        except Exception:  # the next night notes what is so then
            log.exception("licences in use of %s wait for the next night", partner_id)
            continue
        if changed:
            noted[partner_id] = changed
    return noted


async def note(deps: "Deps", rows: UsageRows, scope: Scope, day: date) -> int:
    """Note what was measured on `day`; how many subscriptions changed. Again changes nothing.

    What could not be read is left as it is: a failed measurement ends and shrinks nothing.
    """
    days = {each.customer_id: each for each in await rows.days(scope, day) if each.day == day}
    if not days:
        return 0
    book = (await deps.ledgers.load_all(scope)).book
    found = {
        sub.key: in_use(book.catalogue, sub, days[sub.customer_id])
        for sub in book.subs.values()
        if sub.state in LIVE and sub.customer_id in days
    }
    changed = {
        key: number
        for key, number in found.items()
        if number is not None and number != book.subs[key].protected
    }
    return await service.note_protected(deps.ledgers, scope, changed)


def in_use(catalogue: Catalogue, sub: Subscription, day: Day) -> int | None:
    """Backed-up users, or whole GB where capacity is counted (SVC-35); None: nothing to note."""
    if sub.slot not in catalogue.service_by_code[sub.service].protects:
        return None
    part = catalogue.part_of(catalogue_rules.place(catalogue, sub.slot))
    if not catalogue_rules.is_measured(part, sub.settings):
        return day.protected_users
    if day.stored_bytes is None:
        return None
    return int((Decimal(day.stored_bytes) / GB).to_integral_value(ROUND_CEILING))
