"""Pure: what a channel's truth means for a pool (MKT-10, state table "Order" of 24.2).

Not the events are applied but the difference between what the channel says now and what the
books hold. So events may come twice, late or in any order: the last truth is where it ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from shared.licensing import wishes
from shared.licensing.book import Book
from shared.licensing.model import Pool
from shared.licensing.refusals import Refusal
from shared.licensing.rules.orders import OrderChange
from shared.licensing.rules.purchases import Purchase
from shared.licensing.wishes import Wish
from shared.marketplace.model import ChannelSubscription, Order, OrderState, Sale, Status
from shared.marketplace.refusals import Parked

Verdict = Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True)
class Step:
    """One transition of a pool."""

    verb: Literal["purchase", "quantity", "renew", "cancel", "suspend", "reinstate"]
    wish: Wish
    change: OrderChange | None = None
    """None for a purchase."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, and how the order stands afterwards."""

    steps: tuple[Step, ...]
    order: Order


def transitions(order: Order, truth: ChannelSubscription, sale: Sale | None, book: Book) -> Plan:
    """The steps from the books to the truth; `Parked` when a person has to decide first."""
    pool = pool_of(order, book.pools)
    if pool is None and truth.status in (Status.PENDING, Status.CANCELLED):
        state = OrderState.CANCELLED if truth.status is Status.CANCELLED else order.state
        return Plan((), stated(order, truth, state))
    if truth.status is Status.CANCELLED and pool is not None:
        return _cancelled(order, truth, pool, book.day)
    if sale is None:
        raise Parked("PLAN_UNKNOWN", f"No plan {truth.offer_id}/{truth.plan_id} is registered.")
    if pool is not None and pool.item != sale.item:
        return _other_item(order, truth, sale, pool, book)
    if pool is None or pool.recorded_phase == "Ended" or pool.end < book.day:
        return _bought(order, truth, sale, pool, book)
    return _followed(order, truth, sale, pool)


def pool_of(order: Order, pools: Mapping[str, Pool]) -> Pool | None:
    """The pool that has the order, if any."""
    return next((p for p in pools.values() if order.licence_order in p.orders), None)


def stated(order: Order, truth: ChannelSubscription, state: OrderState) -> Order:
    """The order with what the channel says and the state that follows."""
    return order.model_copy(
        update={
            "state": state,
            "code": "",
            "reason": "",
            "parked_event": "",
            "channel_quantity": truth.quantity,
            "channel_status": truth.channel_status,
            "offer_id": truth.offer_id,
            "plan_id": truth.plan_id,
            "fingerprint": truth.fingerprint,
            "anchor": order.anchor or truth.start,
        }
    )


def judge(
    order: Order, truth: ChannelSubscription, sale: Sale | None, book: Book
) -> tuple[Verdict, str, str]:
    """Whether a requested change is agreed to: verdict, code, reason; nothing is changed.

    A revert (the new value is what we have) is always agreed to.
    """
    try:
        plan = transitions(order, truth, sale, book)
        for step in plan.steps:
            book = step.wish.decide(book).after
    except Refusal as refused:
        return "rejected", refused.code, refused.detail
    except Parked as parked:
        return "rejected", parked.why, parked.detail
    return "accepted", "", ""


def purchase_of(order: Order, truth: ChannelSubscription, sale: Sale) -> Purchase:
    """What a new pool order buys; `Parked` without a term (MKT-16)."""
    start, end = truth.start, truth.end
    if start is None or end is None:
        raise Parked("TERM_MISSING", "The channel names no effective date or no end of the term.")
    return Purchase(
        pool_id=f"{order.licence_order}-pool",
        order_id=order.licence_order,
        item=sale.item,
        quantity=truth.quantity,
        channel=sale.channel,
        source=sale.source,
        payment_model=sale.payment_model,
        payment_option=sale.payment_option,
        contract_effective=start,
        end=end,
        name=truth.name,
        entitlements=dict(sale.entitlements),
    )


def _bought(
    order: Order, truth: ChannelSubscription, sale: Sale, before: Pool | None, book: Book
) -> Plan:
    if truth.end is not None and truth.end < book.day:
        ended = stated(order, truth, OrderState.ENDED)
        return Plan((), ended)
    if before is not None:  # its pool has ended: a renewal that came too late
        order = order.model_copy(update={"generation": order.generation + 1})
    bought = purchase_of(order, truth, sale)
    steps = [Step("purchase", wishes.purchase(bought), said=f"{bought.quantity} of {sale.item}")]
    state = OrderState.ACTIVE
    if truth.status is Status.SUSPENDED:
        steps.append(_step(OrderChange(order.licence_order, "suspend"), "suspended"))
        state = OrderState.SUSPENDED
    update = {
        "item": sale.item,
        "channel": sale.channel,
        "quantity": truth.quantity,
        "start": truth.start,
        "end": truth.end,
    }
    return Plan(tuple(steps), stated(order.model_copy(update=update), truth, state))


def _followed(order: Order, truth: ChannelSubscription, sale: Sale, pool: Pool) -> Plan:
    """Renewal, quantity and suspension of an order whose pool lives."""
    held = pool.orders[order.licence_order]
    steps: list[Step] = []
    now, end, scheduled = held.quantity, held.end, held.reduce_to
    name, wanted = order.licence_order, truth.quantity
    if truth.end is not None and truth.end > held.end:
        renewed = OrderChange(name, "renew", wanted, truth.end)
        steps.append(_step(renewed, f"renewed to {truth.end}"))
        now, end, scheduled = wanted or scheduled or now, truth.end, None
    suspended = truth.status is Status.SUSPENDED
    if suspended != held.suspended:
        if suspended:
            steps.append(_step(OrderChange(name, "suspend"), "suspended"))
        else:
            steps.append(_step(OrderChange(name, "reinstate"), "reinstated"))
    # Last, because it alone may be refused while everything else holds.
    unchanged = wanted == scheduled if scheduled is not None else wanted == now
    if wanted is not None and not unchanged:
        steps.append(_step(OrderChange(name, "quantity", wanted), f"quantity {now} to {wanted}"))
        now, scheduled = (now, wanted) if wanted < now else (wanted, None)
    if suspended:
        state = OrderState.SUSPENDED
    else:
        state = OrderState.CHANGE_SCHEDULED if scheduled is not None else OrderState.ACTIVE
    update = {
        "item": sale.item, "channel": sale.channel, "quantity": now, "end": end,
        "start": truth.start or order.start,
    }  # fmt: skip
    return Plan(tuple(steps), stated(order.model_copy(update=update), truth, state))


def _cancelled(order: Order, truth: ChannelSubscription, pool: Pool, day: date) -> Plan:
    held = pool.orders[order.licence_order]
    last = min(truth.ended_on or day, held.end)
    done = stated(order.model_copy(update={"end": last}), truth, OrderState.CANCELLED)
    over = pool.recorded_phase == "Ended" or pool.end < day or held.end < day
    if over or (held.cancelled and last >= held.end):
        return Plan((), done.model_copy(update={"end": held.end}))
    cancel = OrderChange(order.licence_order, "cancel", end=last)
    return Plan((_step(cancel, f"cancelled, the last day is {last}"),), done)


def _other_item(
    order: Order, truth: ChannelSubscription, sale: Sale, pool: Pool, book: Book
) -> Plan:
    """A plan of another item: the old order ends and a new one begins, unless seats are given."""
    held = pool.orders[order.licence_order]
    if pool.available < held.quantity:
        given = held.quantity - pool.available
        raise Parked(
            "PLAN_CHANGE_NEEDS_DECISION",
            f"{given} of {pool.item} are assigned, and {sale.item} is another item.",
        )
    yesterday = max(book.day - timedelta(days=1), pool.start)
    cancel = OrderChange(order.licence_order, "cancel", end=min(yesterday, held.end))
    following = order.model_copy(update={"generation": order.generation + 1})
    bought = purchase_of(following, truth, sale)
    bought = replace(bought, start=book.day)
    steps = (
        _step(cancel, f"{pool.item} ends"),
        Step("purchase", wishes.purchase(bought), said=f"{bought.quantity} of {sale.item}"),
    )
    update = {
        "item": sale.item, "channel": sale.channel, "quantity": truth.quantity,
        "start": truth.start, "end": truth.end,
    }  # fmt: skip
    return Plan(steps, stated(following.model_copy(update=update), truth, OrderState.ACTIVE))


def _step(change: OrderChange, said: str) -> Step:
    return Step(change.action, wishes.change_order(change), change, said)
