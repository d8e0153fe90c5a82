"""Late data: what a closed month would be by what is known now, as adjustments, never an edit."""

from decimal import Decimal

from shared.billing.model import Adjustment, Invoice, Line

ZERO = Decimal(0)


def adjustments(billed: Invoice, right: Invoice) -> tuple[Adjustment, ...]:
    """One adjustment per line whose amount or quantity differs; `right` is the month rated again.

    Adding them to the billed amounts gives the right amounts exactly.
    """
    old = {line.line_id: line for line in billed.lines}
    new = {line.line_id: line for line in right.lines}
    found = [_between(right.month, old.get(key), new.get(key)) for key in sorted(old | new)]
    return tuple(each for each in found if each is not None)


def _between(month: str, before: Line | None, after: Line | None) -> Adjustment | None:
    line = after or before
    if line is None:
        return None
    was, now = (before.amount if before else ZERO), (after.amount if after else ZERO)
    had, has = (before.billed if before else ZERO), (after.billed if after else ZERO)
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
        events=tuple(sorted(_events(after) ^ _events(before))),
    )


def _events(line: Line | None) -> set[int]:
    return {seq for run in line.runs for seq in run.events} if line else set()
