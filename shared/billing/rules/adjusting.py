"""Late data: what a closed month would be by what is known now, as adjustments, never an edit."""

from collections.abc import Iterable
from decimal import Decimal

from shared.billing.model import Adjustment, Invoice, Line

ZERO = Decimal(0)


def adjustments(
    billed: Invoice, right: Invoice, before: Iterable[Adjustment] = ()
) -> tuple[Adjustment, ...]:
    """One adjustment per line whose amount or quantity differs; `right` is the month rated again.

    `before`: what was adjusted already, oldest first; the newest of a line stands for what was
    billed. Adding all of them to the billed amounts gives the right amounts exactly.
    """
    old = {line.line_id: line for line in billed.lines}
    new = {line.line_id: line for line in right.lines}
    made: dict[str, Adjustment] = {}
    told: dict[str, set[int]] = {}
    for each in before:
        made[each.line_id] = each
        told.setdefault(each.line_id, set()).symmetric_difference_update(each.events)
    found = [
        _between(right.month, old.get(key), new.get(key), made.get(key), told.get(key, set()))
        for key in sorted(old | new | made)
    ]
    return tuple(each for each in found if each is not None)


def _between(
    month: str,
    before: Line | None,
    after: Line | None,
    made: Adjustment | None,
    told: set[int],
) -> Adjustment | None:
    line = after or before or made
    if line is None:
        return None
    was, had = (before.amount, before.billed) if before else (ZERO, ZERO)
    if made is not None:
        was, had = made.right_amount, made.right_quantity
    now, has = (after.amount, after.billed) if after else (ZERO, ZERO)
    if was == now and had == has:
        return None
    return Adjustment(
        line_id=line.line_id,
        month=month,
        customer_id=line.customer_id,
        item=line.item,
        pool_id=line.pool_id,
        billed_quantity=had,
        right_quantity=has,
        billed_amount=was,
        right_amount=now,
        amount=now - was,
        events=tuple(sorted(_events(after) ^ _events(before) ^ told)),
    )


def _events(line: Line | None) -> set[int]:
    return {seq for run in line.runs for seq in run.events} if line else set()
