"""Late data: a closed month is rated again by what is known now; it is never edited."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from shared.access.model import Scope
from shared.billing.model import Adjustment, Counting, Invoice
from shared.billing.rules.adjusting import adjustments
from shared.billing.rules.rating import rate
from shared.usage import rules
from shared.usage.inputs import Read, partner_input, read_month
from shared.usage.repository import Amendment, UsageRows

if TYPE_CHECKING:
    from shared.bootstrap import Deps

AMENDED_MONTHS = 2
"""Closed months that are looked at again every night."""


async def amend(
    deps: "Deps", rows: UsageRows, scope: Scope, month: str, read: Read | None = None
) -> Sequence[Adjustment]:
    """Rate a closed month again with what is known now; differences are kept as adjustments.

    What was adjusted before is not adjusted again: the comparison is with billed plus adjusted.
    The next month that closes bills them. An open month has nothing to amend. `read`: what
    somebody has just read of the month.
    """
    noted = await rows.find_month(scope, month)
    if noted is None or noted.get("state") != "Closed":
        return ()
    billed = Invoice.model_validate_json(await rows.content(noted["rated"]))
    read = read or await read_month(deps, rows, scope, month)
    right = rated_again(read, scope, month, noted, deps.clock.now())
    return await keep_differences(rows, scope, month, "usage", billed, right)


def rated_again(
    read: Read, scope: Scope, month: str, noted: Mapping[str, Any], known_at: datetime
) -> Invoice:
    """The quantities of a closed month by what was known at an instant."""
    first = rules.first_of(month)
    counting = Counting(noted.get("counting", rules.COUNTING))
    return rate(partner_input(read.books, scope, first, read.days, known_at, counting))


async def keep_differences(
    rows: UsageRows,
    scope: Scope,
    month: str,
    kind: str,
    billed: Invoice,
    right: Invoice,
    currencies: Mapping[str, str] = MappingProxyType({}),
) -> Sequence[Adjustment]:
    """Keep what differs from billed plus adjusted; the adjustments found now.

    `currencies`: customer -> the currency it was billed in.
    """
    before = [each async for each in rows.amendments(scope, month, kind=kind)]
    made = tuple(adjustment for each in before for adjustment in each.adjustments)
    found = tuple(
        each.model_copy(update={"currency": currencies.get(each.customer_id, "")})
        for each in adjustments(billed, right, made)
    )
    if not found:
        return ()
    following = Amendment(month, kind, len(before) + 1, found)
    if await rows.add_amendment(scope, following):
        return found
    # Somebody amended at the same time: what they kept counts as adjusted.
    return await keep_differences(rows, scope, month, kind, billed, right, currencies)


def months_to_amend(closed: Sequence[str]) -> list[str]:
    """The newest closed months, oldest first."""
    return sorted(closed)[-AMENDED_MONTHS:]
