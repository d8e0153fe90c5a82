"""Whose order it is: the partner behind a purchase, and the customer made with one (MKT-13)."""

import contextlib
import hashlib
from datetime import date, timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import Customer
from shared.kit.ids import ALPHABET, CUSTOMER_LENGTH
from shared.kit.tables import RowExists
from shared.licensing.model import PaymentOption
from shared.licensing.rules import dates
from shared.marketplace.model import ChannelSubscription, Order, Sale
from shared.marketplace.refusals import Parked

if TYPE_CHECKING:
    from shared.bootstrap import Deps


async def bind(deps: "Deps", order: Order, truth: ChannelSubscription) -> Order:
    """The order with its partner; `Parked` for nobody we know.

    Whoever claimed it first keeps it. Else the tenant that paid, or the one it is for, is a
    partner's home; else that tenant is connected as a partner's customer.
    """
    if order.partner_id is not None:
        return order
    for tenant in truth.buyer.tenant_ids:
        partner_id = await deps.partners.of_tenant(tenant)
        if partner_id is not None:
            return order.model_copy(update={"partner_id": partner_id})
    if truth.buyer.customer_tenant_id and truth.sale is None:
        owner = await customers.find_owner(deps.tables, truth.buyer.customer_tenant_id)
        if owner is not None:
            return order.model_copy(update={"partner_id": owner[0], "customer_id": owner[1]})
    shown = ", ".join(truth.buyer.tenant_ids) or "none named"
    raise Parked("PARTNER_UNKNOWN", f"No partner is at home in the tenant that bought: {shown}.")


async def make_customer(deps: "Deps", order: Order, truth: ChannelSubscription) -> Order:
    """The customer that an order brings with it, pending, once (MKT-07, MKT-08, MKT-13)."""
    name = truth.buyer.customer_name
    if name is None or order.partner_id is None or order.customer_id is not None:
        return order
    now = deps.clock.now()
    digest = hashlib.sha256(f"customer\0{order.order_id}".encode()).digest()
    customer_id = "".join(ALPHABET[byte & 31] for byte in digest[:CUSTOMER_LENGTH])
    made = Customer(
        customer_id=customer_id,
        partner_id=order.partner_id,
        display_name=name,
        external_id=order.external_id,
        source_type=truth.sale.source if truth.sale else order.source,
        created_at=now,
        created_by=f"channel:{order.source}",
        updated_at=now,
        updated_by=f"channel:{order.source}",
    )
    with contextlib.suppress(RowExists):  # made before, by a run that was cut off
        await customers.add(deps.tables, Scope(order.partner_id), made)
    return order.model_copy(update={"customer_id": customer_id})


def foreseen(truth: ChannelSubscription, sale: Sale, day: date) -> ChannelSubscription:
    """The purchase as it will be once it is active: terms begin on the day of activation."""
    from shared.marketplace.model import Status

    months = 1 if sale.payment_option is PaymentOption.MONTHLY else 0
    end = day + timedelta(days=27) if months else dates.years_after(day, 1) - dates.ONE_DAY
    return truth.model_copy(
        update={"status": Status.ACTIVE, "start": truth.start or day, "end": truth.end or end}
    )
