"""What orders do to pools: the only thing that makes, grows, extends or ends them (LIC-02, 03)."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from shared.catalogue.model import Channel, PaymentModel
from shared.licensing.book import Book, Decision, Draft
from shared.licensing.ledger import Move
from shared.licensing.model import Order, PaymentOption, Pool, pool_key
from shared.licensing.refusals import (
    InvalidRequest,
    MinimumTerm,
    MinimumTermDate,
    PoolNotActive,
    PoolUnknown,
    PrepaidNotReducible,
)
from shared.licensing.rules import dates


@dataclass(frozen=True, slots=True)
class OrderChange:
    """What happened to an order that the partner has."""

    order_id: str
    action: Literal["quantity", "renew", "cancel", "suspend", "reinstate"]
    quantity: int | None = None
    end: date | None = None
    """The new last day of a renewal; the last day after a cancellation."""
    by_partner: bool = False
    """Asked for by the partner itself, to whom the minimum term applies (LIC-06)."""


def change(book: Book, order: OrderChange) -> Decision:
    """Apply a change to the pool of the order (24.2 Order)."""
    draft = Draft(book)
    pool = next((p for p in book.pools.values() if order.order_id in p.orders), None)
    if pool is None:
        raise PoolUnknown("No pool has this order.", rule="24.2 Order", pointer="/orderId")
    held = pool.orders[order.order_id]
    if pool.recorded_phase == "Ended" or pool.end < book.day:
        if order.action == "cancel":
            return draft.decision()  # no effect any more
        raise PoolNotActive(f"The pool ended on {pool.end}.", rule="24.2 Order")
    if order.action == "quantity":
        _change_quantity(draft, pool, order, held)
    elif order.action == "renew":
        _renew(draft, pool, order, held)
    elif order.action == "cancel":
        _cancel(draft, pool, order, held)
    else:
        _suspend(draft, pool, order, held)
    _note_overcommitted(draft, pool.pool_id)
    return draft.decision()


def with_order(pool: Pool, order_id: str, order: Order) -> dict[str, Any]:
    """Orders and end of the pool after one order changed; a child never outlives its parent."""
    others = {**pool.orders, order_id: order}
    end = max(each.end for each in others.values())
    return {"orders": others, "end": min(end, pool.parent_end) if pool.parent_end else end}


def drop_order(draft: Draft, pool: Pool, order_id: str, rules: tuple[str, ...]) -> None:
    """One of several orders has ended: its quantity leaves the pool."""
    order = pool.orders[order_id]
    key = pool_key(pool.pool_id)
    left = {name: each for name, each in pool.orders.items() if name != order_id}
    end = max(each.end for each in left.values())
    draft.record(
        "OrderEnded",
        key,
        rules=rules,
        moves=[_out(pool.pool_id, order.quantity)],
        sets={key: {"orders": left, "end": end}},
        effective=dates.told_late(order.end + dates.ONE_DAY, pool.moved_on, draft.day),
    )
    _note_overcommitted(draft, pool.pool_id)


def _change_quantity(draft: Draft, pool: Pool, order: OrderChange, held: Order) -> None:
    if order.quantity is None or order.quantity < 1:
        error = {"pointer": "/quantity", "detail": "At least 1."}
        raise InvalidRequest([error], rule="24.2 Order")
    key = pool_key(pool.pool_id)
    if order.quantity >= held.quantity:
        bought = held.model_copy(update={"quantity": order.quantity, "reduce_to": None})
        draft.record(
            "PoolIncreased",
            key,
            rules=("LIC-28",),
            moves=[bought_in(pool.pool_id, order.quantity - held.quantity)],
            sets={key: {"orders": {**pool.orders, order.order_id: bought}}},
        )
        return
    monthly = pool.channel is Channel.MARKETPLACE and pool.payment_option is PaymentOption.MONTHLY
    if not monthly:
        raise PrepaidNotReducible(
            f"The quantity stays {held.quantity} until the term ends on {held.end}.",
            rule="LIC-26"
            if pool.payment_option is not PaymentOption.ANNUAL_PAID_MONTHLY
            else "MKT-05",
            pointer="/quantity",
            first_allowed=held.end + dates.ONE_DAY,
        )
    later = held.model_copy(update={"reduce_to": order.quantity})
    draft.record(
        "ReductionScheduled",
        key,
        rules=("LIC-27",),
        sets={key: {"orders": {**pool.orders, order.order_id: later}}},
        note=f"{held.quantity} to {order.quantity} at the renewal after {held.end}",
    )


def _renew(draft: Draft, pool: Pool, order: OrderChange, held: Order) -> None:
    """The end moves; a scheduled reduction, or the quantity of the renewal, applies now."""
    if order.end is None or order.end <= held.end:
        error = {"pointer": "/end", "detail": f"A renewal ends after {held.end}."}
        raise InvalidRequest([error], rule="MKT-12")
    wanted = order.quantity or held.reduce_to or held.quantity
    renewed = Order(quantity=wanted, end=order.end, suspended=held.suspended)
    delta = wanted - held.quantity
    moves = [bought_in(pool.pool_id, delta)] if delta > 0 else [_out(pool.pool_id, -delta)]
    key = pool_key(pool.pool_id)
    draft.record(
        "PoolRenewed",
        key,
        rules=("LIC-11", "LIC-27", "LIC-59"),
        moves=moves,
        sets={key: with_order(pool, order.order_id, renewed)},
        note=f"{held.end} to {order.end}",
    )


def _cancel(draft: Draft, pool: Pool, order: OrderChange, held: Order) -> None:
    """The order ends on D; every expiry that depends on it is at most D (LIC-47, AMB-39)."""
    if order.by_partner:
        last = _last_day_for_partner(pool, held, order.end, draft.day)
    else:
        last = order.end or draft.day
    if held.cancelled and last >= held.end:
        return
    last = min(last, held.end)
    ended = held.model_copy(update={"end": last, "cancelled": True, "reduce_to": None})
    key = pool_key(pool.pool_id)
    values = with_order(pool, order.order_id, ended)
    draft.record(
        "OrderCancelled",
        key,
        rules=("LIC-47", "LIC-11"),
        sets={key: values},
        effective=dates.told_late(last, pool.moved_on, draft.day),
        note=f"ends on {last}",
    )
    draft.notice("orderCancelled", pool=pool.pool_id, order=order.order_id, end=last)
    if values["end"] >= draft.day and last < draft.day:
        drop_order(draft, draft.book.pool(pool.pool_id), order.order_id, ("LIC-47",))


def _last_day_for_partner(pool: Pool, held: Order, wanted: date | None, day: date) -> date:
    """The last day of an order that the partner itself cancels (LIC-06, LIC-25 to 27).

    A prepaid order ends with its term and no sooner. Pay-as-you-go ends on the day, but while
    customers hold seats only after what anybody may have been given today has had its minimum.
    """
    earliest = dates.lock_ends(pool.start)
    if day < earliest:
        raise MinimumTerm(
            f"A pool runs at least to {earliest}.", rule="LIC-06", first_allowed=earliest
        )
    if pool.payment_model is PaymentModel.PREPAID:
        if wanted is not None and wanted < held.end:
            raise PrepaidNotReducible(
                f"It is paid until {held.end}.",
                rule="LIC-26",
                pointer="/end",
                first_allowed=held.end,
            )
        return held.end
    soonest = min(held.end, dates.lock_ends(day) - dates.ONE_DAY) if pool.assigned else day
    if wanted is not None and wanted < soonest:
        raise MinimumTermDate(
            f"Customers hold seats of it: {soonest} is the earliest.",
            rule="LIC-07",
            pointer="/end",
            first_allowed=soonest,
        )
    return wanted or soonest


def _suspend(draft: Draft, pool: Pool, order: OrderChange, held: Order) -> None:
    suspended = order.action == "suspend"
    if held.suspended == suspended:
        return
    key = pool_key(pool.pool_id)
    orders = {**pool.orders, order.order_id: held.model_copy(update={"suspended": suspended})}
    kind = "OrderSuspended" if suspended else "OrderReinstated"
    draft.record(kind, key, rules=("24.2 Order", "MKT-10"), sets={key: {"orders": orders}})


def _note_overcommitted(draft: Draft, pool_id: str) -> None:
    pool = draft.book.pools[pool_id]
    if pool.available < 0 and not pool.is_open:
        draft.notice("overcommitted", pool=pool_id, missing=-pool.available)


def bought_in(pool_id: str, quantity: int) -> Move:
    """Seats from outside the books into a pool."""
    return Move(
        source=f"order~{pool_id}", target=pool_key(pool_id), quantity=quantity, pool=pool_id
    )


def _out(pool_id: str, quantity: int) -> Move:
    return Move(
        source=pool_key(pool_id), target=f"order~{pool_id}", quantity=quantity, pool=pool_id
    )
