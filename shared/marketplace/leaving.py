"""Letting a customer go, unless an order that nobody can cancel binds it (AMB-38, EXT-01)."""

import asyncio
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.catalogue.model import PaymentModel
from shared.customers import repository as customers
from shared.customers.model import Customer, CustomerState
from shared.licensing.book import Book
from shared.licensing.refusals import OrderBinds
from shared.licensing.repository import Command
from shared.licensing.service import Preview
from shared.marketplace.model import Order
from shared.protection import leaving

if TYPE_CHECKING:
    from shared.bootstrap import Deps


async def disconnect(
    deps: "Deps", scope: Scope, command: Command, customer_id: str
) -> tuple[Customer, tuple[int, ...]]:
    """As `protection.leaving.disconnect`; `OrderBinds` (409) first, and nothing has changed."""
    customer = await customers.get(deps.tables, scope, customer_id)
    if customer.state is not CustomerState.DISCONNECTED:
        await _check(deps, scope, customer_id)
    return await leaving.disconnect(deps, scope, command, customer_id)


async def foretold(deps: "Deps", scope: Scope, customer_id: str, told: Preview) -> Preview:
    """The preview of a disconnect, refused where an order binds the customer."""
    try:
        await _check(deps, scope, customer_id)
    except OrderBinds as refusal:
        return Preview(False, refusal=refusal)
    return told


def running_orders(book: Book) -> dict[str, date]:
    """Orders of the licence ledger that nobody can end before their last day -> that day: pure.

    Prepaid ones, also when their renewal was cancelled (MKT-05); pay-as-you-go can be cancelled.
    """
    return {
        order_id: order.end
        for pool in book.pools.values()
        if pool.payment_model is PaymentModel.PREPAID and pool.recorded_phase != "Ended"
        for order_id, order in pool.orders.items()
        if order.end >= book.day
    }


def check_orders(running: Mapping[str, date], orders: list[Order], customer_id: str) -> None:
    """`OrderBinds` (409) while one of them was made for the customer; the last names the day."""
    binding = [
        (running[order.licence_order], order.order_id, order)
        for order in orders
        if order.customer_id == customer_id and order.licence_order in running
    ]
    if binding:
        end, order_id, order = max(binding, key=lambda each: each[:2])
        raise OrderBinds(
            f"Order {order.external_id} of {order.source} was made for it and runs until {end}.",
            rule="AMB-38",
            first_allowed=end + timedelta(days=1),
            order=order_id,
        )


async def _check(deps: "Deps", scope: Scope, customer_id: str) -> None:
    # The partner's pools: also for callers who see some customers only.
    running = running_orders((await deps.ledgers.load(Scope(scope.partner_id))).book)
    # A renewal or another item begins a new order in the ledger, behind a dot (`licence_order`).
    ids = sorted({each.partition(".")[0] for each in running})
    found = await asyncio.gather(*(deps.orders.find(order_id) for order_id in ids))
    mine = [order for order in found if order and order.partner_id == scope.partner_id]
    check_orders(running, mine, customer_id)
