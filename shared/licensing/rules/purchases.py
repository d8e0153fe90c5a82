"""Buying: a new pool, or more in one that fits (LIC-02, 03, 28, 29, 33, 37, 39, MKT-02, MKT-11)."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from shared.catalogue.model import Channel, PaymentModel
from shared.licensing.book import Book, Decision, Draft
from shared.licensing.model import Order, PaymentOption, Pool, pool_key
from shared.licensing.refusals import (
    InvalidRequest,
    NotPoolable,
    PaymentOptionNotAllowed,
    TermTooShort,
)
from shared.licensing.rules import dates
from shared.licensing.rules.orders import bought_in

# Channel and model -> options; nothing else is sold (MKT-02).
OPTIONS: dict[tuple[Channel, PaymentModel], frozenset[PaymentOption]] = {
    (Channel.DIRECT, PaymentModel.PREPAID): frozenset({PaymentOption.ANNUAL_UPFRONT}),
    (Channel.DIRECT, PaymentModel.PAYG): frozenset({PaymentOption.MONTHLY}),
    (Channel.MARKETPLACE, PaymentModel.PREPAID): frozenset(PaymentOption),
    (Channel.OFF_MARKETPLACE, PaymentModel.PREPAID): frozenset({PaymentOption.ANNUAL_UPFRONT}),
}


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a new order buys; `quantity` None is an open pay-as-you-go pool."""

    pool_id: str
    """Id of the pool if a new one is made."""
    order_id: str
    item: str
    quantity: int | None
    channel: Channel
    source: str
    payment_model: PaymentModel
    payment_option: PaymentOption
    contract_effective: date
    end: date
    start: date | None = None
    name: str = ""
    entitlements: dict[str, Any] = field(default_factory=dict)


def purchase(book: Book, order: Purchase) -> Decision:
    """A new pool, or more in a pool of the same channel, source and term; Fly never merges."""
    draft = Draft(book)
    _check_purchase(book, order)
    if any(order.order_id in pool.orders for pool in book.pools.values()):
        return draft.decision()  # delivered again
    item = book.catalogue.item_by_code[order.item]
    same = [pool for pool in book.pools.values() if not item.never_merged and _merges(pool, order)]
    bought = Order(quantity=order.quantity or 0, end=order.end)
    if same:
        pool = same[0]
        key = pool_key(pool.pool_id)
        draft.record(
            "PoolIncreased",
            key,
            rules=("LIC-28", "MKT-11"),
            moves=[bought_in(pool.pool_id, bought.quantity)],
            sets={key: {"orders": {**pool.orders, order.order_id: bought}}},
        )
        return draft.decision()
    begins = order.start or order.contract_effective
    pool = Pool(
        pool_id=order.pool_id,
        item=order.item,
        name=order.name or item.name,
        channel=order.channel,
        source=order.source,
        payment_model=order.payment_model,
        payment_option=order.payment_option,
        is_open=order.quantity is None,
        start=begins,
        end=order.end,
        contract_effective=order.contract_effective,
        orders={order.order_id: bought},
        entitlements=order.entitlements,
        moved_on=book.day,
        recorded_phase="Active" if begins <= book.day else "Scheduled",
    )
    counters = {"total", "assigned", "passed_on", "burnt"}
    draft.record(
        "PoolOpened",
        pool_key(pool.pool_id),
        rules=("LIC-03", "LIC-29" if order.channel == "Direct" else "MKT-02"),
        moves=[bought_in(pool.pool_id, bought.quantity)],
        sets={pool_key(pool.pool_id): pool.model_dump(mode="json", exclude=counters)},
    )
    return draft.decision()


def _check_purchase(book: Book, order: Purchase) -> None:
    item = book.catalogue.item_by_code.get(order.item)
    if item is None or order.channel not in item.channels:
        raise NotPoolable(
            f"{order.item} is not sold on {order.channel}.", rule="LIC-02", pointer="/item"
        )
    allowed = OPTIONS.get((order.channel, order.payment_model), frozenset())
    if order.payment_option not in allowed or order.payment_model not in item.payment_models:
        if order.payment_model not in item.payment_models:
            rule = "LIC-37"
        else:
            rule = "LIC-33" if order.payment_model is PaymentModel.PAYG else "MKT-02"
        raise PaymentOptionNotAllowed(
            f"{order.payment_model} {order.payment_option} is not offered on {order.channel}.",
            rule=rule,
            pointer="/paymentOption",
        )
    errors = []
    if order.quantity is None and order.payment_model is not PaymentModel.PAYG:
        errors.append({"pointer": "/quantity", "detail": "A prepaid pool has a size."})
    if order.quantity is not None and order.quantity < 1:
        errors.append({"pointer": "/quantity", "detail": "At least 1."})
    if order.end < (order.start or order.contract_effective):
        errors.append({"pointer": "/end", "detail": "It ends before it begins."})
    elif order.end < book.day:
        errors.append({"pointer": "/end", "detail": "It has ended already."})
    if errors:
        raise InvalidRequest(errors, rule="MKT-16")
    last_day = dates.years_after(order.contract_effective, 1) - dates.ONE_DAY
    committed = order.channel is Channel.DIRECT and order.payment_model is PaymentModel.PREPAID
    if committed and order.end < last_day:
        raise TermTooShort(
            f"A direct prepaid term runs at least to {last_day}.", rule="LIC-29", pointer="/end"
        )


def _merges(pool: Pool, order: Purchase) -> bool:
    return (
        pool.recorded_phase != "Ended"
        and pool.parent_pool is None
        and (
            pool.item,
            pool.channel,
            pool.source,
            pool.payment_model,
            pool.payment_option,
            pool.end,
            pool.is_open,
            pool.entitlements,
        )
        == (
            order.item,
            order.channel,
            order.source,
            order.payment_model,
            order.payment_option,
            order.end,
            order.quantity is None,
            order.entitlements,
        )
    )
