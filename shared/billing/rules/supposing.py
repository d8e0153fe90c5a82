"""What-if: the same rating over supposed events or another price book, as a difference per line."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.billing.model import Invoice, Line, Price
from shared.billing.refusals import SuppositionImpossible
from shared.billing.rules import days
from shared.billing.rules.rating import RatingInput, known, rate
from shared.licensing.ledger import Event, Move
from shared.licensing.rules.billing import month_days


class _Supposition(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
    )


class MoveSeats(_Supposition):
    """Seats of one customer move to another pool: another plan or another source."""

    kind: Literal["moveSeats"] = "moveSeats"
    customer_id: str
    from_pool: str
    to_pool: str
    quantity: int = Field(ge=1)
    on: date


class ChangeSeats(_Supposition):
    """A customer has more seats of a pool, or fewer."""

    kind: Literal["changeSeats"] = "changeSeats"
    customer_id: str
    pool: str
    by: int
    on: date


class ChangePrice(_Supposition):
    """An item has another price."""

    kind: Literal["changePrice"] = "changePrice"
    item: str
    price: Price


Supposition = Annotated[MoveSeats | ChangeSeats | ChangePrice, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Difference:
    """One line as it is and as it would be; a side is None where there is no such line."""

    line_id: str
    now: Line | None
    then: Line | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Answer:
    """Both invoices, and the lines on which they differ."""

    now: Invoice
    then: Invoice
    differences: tuple[Difference, ...]
    amount: Decimal


def suppose(given: RatingInput, suppositions: Sequence[Supposition]) -> Answer:
    """Rate as it is and as it would be; `SuppositionImpossible` names the change that cannot be."""
    supposed = given
    for index, each in enumerate(suppositions):
        supposed = _with(supposed, each, f"/changes/{index}")
    now, then = rate(given), rate(supposed)
    old = {line.line_id: line for line in now.lines}
    new = {line.line_id: line for line in then.lines}
    differences = tuple(
        Difference(key, old.get(key), new.get(key), _amount(new.get(key)) - _amount(old.get(key)))
        for key in sorted(old | new)
        if _weight(old.get(key)) != _weight(new.get(key))
    )
    return Answer(now, then, differences, then.total - now.total)


def _with(given: RatingInput, change: Supposition, pointer: str) -> RatingInput:
    if isinstance(change, ChangePrice):
        prices = {**given.book.prices, change.item: change.price}
        return replace(given, book=given.book.model_copy(update={"prices": prices}))
    if isinstance(change, MoveSeats):
        pairs = [(change.from_pool, -change.quantity), (change.to_pool, change.quantity)]
        names = ["fromPool", "toPool"]
    else:
        pairs, names = [(change.pool, change.by)], ["pool"]
    for (pool, by), name in zip(pairs, names, strict=True):
        given = _moved(given, change.customer_id, pool, by, change.on, f"{pointer}/{name}")
    return given


def _moved(
    given: RatingInput, customer: str, pool: str, by: int, on: date, pointer: str
) -> RatingInput:
    item = given.pools.get(pool)
    if item is None:
        raise SuppositionImpossible("No pool that is billed here has this id.", pointer=pointer)
    first, last = month_days(given.month)
    if not first <= on <= last:
        raise SuppositionImpossible(
            f"{on} is not in the month that is rated.", pointer=pointer.rpartition("/")[0] + "/on"
        )
    if by < 0:
        runs = days.assigned_runs(known(given), given.pools, given.month)
        held = [run for run in runs.get((customer, item, pool), ()) if run.last >= on]
        least = min((run.quantity for run in held), default=Decimal(0))
        if least < -by or not held or held[-1].last < last:
            raise SuppositionImpossible(
                f"The customer does not have {-by} of this pool from {on} to the month's end.",
                pointer=pointer,
            )
    account, stock = f"sub~{customer}~supposed", f"pool~{pool}"
    ends = (stock, account) if by > 0 else (account, stock)
    event = Event(
        seq=max((e.seq for e in given.events), default=0) + 1,
        kind="Supposed",
        subject=account,
        effective=on,
        moves=(Move(source=ends[0], target=ends[1], quantity=abs(by), pool=pool, lot=on),),
    )
    return replace(given, events=[*given.events, event])


def _amount(line: Line | None) -> Decimal:
    return line.amount if line else Decimal(0)


def _weight(line: Line | None) -> tuple[Decimal, Decimal]:
    return (line.billed, line.amount) if line else (Decimal(0), Decimal(0))
