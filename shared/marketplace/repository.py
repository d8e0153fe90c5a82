"""The rows of the table "Marketplace": deliveries, orders with their ledger, offers, keys.

    inbox~{source}      {event}          one delivery: the channel's operation, once
    order~{order}       order            the order, under its ETag
                        entry~{number}   its own append-only ledger, committed with it
                        document         the newest signed document of a distributor or of sales
    orders              {order}          every order: source, state, partner (derived)
    partner~{partner}   {order}          the same for one partner (derived)
    offers              {plan}           what a channel's plan stands for
    keys                {key}            public keys that sign documents

The two lists are written after the order; what is missing there is written by its next event.
"""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from shared.kit.clock import Clock
from shared.kit.tables import LostRace, Row, RowExists, Table
from shared.marketplace.model import (
    ChannelEvent,
    Entry,
    EventState,
    Offer,
    Order,
    OrderState,
    key_of,
    order_id_of,
)
from shared.marketplace.refusals import OrderBusy

TABLE = "Marketplace"
SOURCES = "sources"
LEASE = timedelta(seconds=90)
"""Longer than one application with every retry of its calls; a dead one is taken over after it."""
MOST_RAW = 15_000
_ALL, _OFFERS = "orders", "offers"


class Orders:
    """Everything that is kept of channels; one instance per process."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self.table, self.clock = table, clock

    # -- deliveries ----------------------------------------------------------------------------

    async def receive(self, event: ChannelEvent) -> ChannelEvent | None:
        """Keep a delivery; the one that is there already when its id was received before."""
        partition = f"inbox~{event.source}"
        told = event.model_dump(mode="json", exclude={"raw"})
        values = {"event": told, "raw": _fit(event.raw), "state": str(event.state)}
        try:
            await self.table.insert(Row(partition, key_of(event.event_id), values))
        except RowExists:
            return await self.event(event.source, event.event_id)
        return None

    async def event(self, source: str, event_id: str) -> ChannelEvent | None:
        """A delivery."""
        row = await self.table.find(f"inbox~{source}", key_of(event_id))
        return _event(row) if row else None

    async def mark(self, event: ChannelEvent, state: EventState, reason: str = "") -> None:
        """How far the event has come; what was received is kept as it is."""
        row = await self.table.get(f"inbox~{event.source}", key_of(event.event_id))
        told = row.values["event"] | {"state": str(state), "reason": reason[:1000]}
        row.values |= {"event": told, "state": str(state)}
        try:
            await self.table.replace(row)
        except LostRace:
            await self.mark(event, state, reason)

    async def waiting(self, source: str) -> list[ChannelEvent]:
        """Deliveries that nobody has applied yet."""
        found = self.table.query(
            f"inbox~{source}",
            where="state eq @state",
            parameters={"state": str(EventState.RECEIVED)},
        )
        return [_event(row) async for row in found]

    # -- orders --------------------------------------------------------------------------------

    async def find(self, order_id: str) -> Order | None:
        """An order."""
        row = await self.table.find(f"order~{order_id}", "order")
        return Order.model_validate(row.values["order"]) if row else None

    async def of_channel(self, source: str, external_id: str) -> Order | None:
        """The order of a channel's subscription."""
        return await self.find(order_id_of(source, external_id))

    async def entries(self, order_id: str) -> list[Entry]:
        """The order's own ledger."""
        found = self.table.query(f"order~{order_id}", prefix="entry~")
        return [Entry.model_validate(row.values["entry"]) async for row in found]

    async def page(
        self, partner_id: str | None, state: OrderState | None, after: str, size: int
    ) -> list[Order]:
        """One page of orders after an id; states are read from the orders themselves."""
        partition = f"partner~{partner_id}" if partner_id else _ALL
        orders: list[Order] = []
        where: dict[str, Any] = {}
        if state is not None:
            text = "state eq @state"
            if state is OrderState.PARKED:  # also what lives on while an event of it waits
                text += " or parked eq true"
            where = {"where": text, "parameters": {"state": str(state)}}
        async for row in self.table.query(partition, after=after, **where):
            found = await self.find(row.key)
            if found is not None and _is_wanted(found, state):
                orders.append(found)
            if len(orders) == size:
                break
        return orders

    async def lease(self, source: str, external_id: str) -> "Leased":
        """The order, made if there is none, for one worker alone; `OrderBusy` while it is taken."""
        order_id, now = order_id_of(source, external_id), self.clock.now()
        by = secrets.token_hex(8)
        row = await self.table.find(f"order~{order_id}", "order")
        if row is None:
            order = Order(
                order_id=order_id, source=source, external_id=external_id,
                created_at=now, updated_at=now, leased_until=now + LEASE, leased_by=by,
            )  # fmt: skip
            row = Row(f"order~{order_id}", "order", {"order": order.model_dump(mode="json")})
            try:
                return Leased(self, order, await self.table.insert(row))
            except RowExists as faster:
                raise OrderBusy("Another event of this order is applied.") from faster
        order = Order.model_validate(row.values["order"])
        if order.leased_until is not None and order.leased_until > now:
            raise OrderBusy("Another event of this order is applied.")
        order = order.model_copy(update={"leased_until": now + LEASE, "leased_by": by})
        row.values["order"] = order.model_dump(mode="json")
        try:
            return Leased(self, order, await self.table.replace(row))
        except LostRace as faster:
            raise OrderBusy("Another event of this order is applied.") from faster

    async def note_in_lists(self, order: Order, before: Order | None = None) -> None:
        """The derived rows by which orders are found."""
        values = {
            "source": order.source, "state": str(order.state), "partner": order.partner_id,
            "parked": order.is_parked,
            "plan": _offer_key(order.source, order.offer_id, order.plan_id),
        }  # fmt: skip
        await self.table.upsert(Row(_ALL, order.order_id, values))
        if order.partner_id:
            await self.table.upsert(Row(f"partner~{order.partner_id}", order.order_id, values))
        if before is not None and before.partner_id not in (None, order.partner_id):
            await self.table.delete(f"partner~{before.partner_id}", order.order_id)

    async def of_plan(self, offer: Offer) -> list[Order]:
        """Every order of a plan."""
        plan = _offer_key(offer.source, offer.offer_id, offer.plan_id)
        rows = self.table.query(_ALL, where="plan eq @plan", parameters={"plan": plan})
        found = [await self.find(row.key) async for row in rows]
        # The lists are written after the order: what it says itself counts.
        return [
            order
            for order in found
            if order and (order.offer_id, order.plan_id) == (offer.offer_id, offer.plan_id)
        ]

    # -- offers --------------------------------------------------------------------------------

    async def save_offer(self, offer: Offer) -> None:
        """Replace it: the operator is its one writer."""
        key = _offer_key(offer.source, offer.offer_id, offer.plan_id)
        await self.table.upsert(Row(_OFFERS, key, {"offer": offer.model_dump(mode="json")}))

    async def offer(self, source: str, offer_id: str, plan_id: str) -> Offer | None:
        """What a plan stands for."""
        row = await self.table.find(_OFFERS, _offer_key(source, offer_id, plan_id))
        return Offer.model_validate(row.values["offer"]) if row else None

    async def offers(self) -> list[Offer]:
        """All that are registered."""
        found = self.table.query(_OFFERS)
        return [Offer.model_validate(row.values["offer"]) async for row in found]


class Leased:
    """An order in one worker's hands; `save` commits it with its new entries and keeps it."""

    def __init__(self, orders: Orders, order: Order, row: Row) -> None:
        self._orders, self._row = orders, row
        self.order = order

    async def save(self, order: Order, entries: Sequence[Entry] = (), *, release: bool) -> Order:
        """Order and entries in one batch; `OrderBusy` when the lease was lost to another."""
        now, held = self._orders.clock.now(), self.order
        numbered = [
            entry.model_copy(update={"number": number, "at": now})
            for number, entry in enumerate(entries, held.entries + 1)
        ]
        # What the lease and the ledger say is ours; the rest is what was decided.
        values: dict[str, Any] = {
            "entries": held.entries + len(numbered),
            "leased_until": None if release else held.leased_until,
            "leased_by": "" if release else held.leased_by,
            "updated_at": now if numbered else held.updated_at,
        }
        saved = order.model_copy(update=values)
        partition = self._row.partition
        self._row.values["order"] = saved.model_dump(mode="json")
        lines = [
            (
                "insert",
                Row(partition, f"entry~{each.number:08d}", {"entry": each.model_dump(mode="json")}),
            )
            for each in numbered
        ]
        try:
            await self._orders.table.batch([("replace", self._row), *lines])
        except LostRace as lost:
            raise OrderBusy("The order was taken over by another worker.") from lost
        fresh = await self._orders.table.get(partition, "order")
        before, self.order, self._row = self.order, saved, fresh
        await self._orders.note_in_lists(saved, before)
        return saved


def entry(what: str, said: str, event_id: str = "", **more: Any) -> Entry:
    """An entry that is numbered and dated when it is committed."""
    from datetime import UTC, datetime

    return Entry(number=0, at=datetime(1970, 1, 1, tzinfo=UTC), what=what, said=said,
                 event_id=event_id, **more)  # fmt: skip


def _is_wanted(order: Order, state: OrderState | None) -> bool:
    return state in (None, order.state) or (state is OrderState.PARKED and order.is_parked)


def _event(row: Row) -> ChannelEvent:
    return ChannelEvent.model_validate(row.values["event"] | {"raw": row.values.get("raw", "")})


def _fit(text: str) -> str:
    """As much of a body as a property holds, without what storage refuses."""
    return "".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in text[:MOST_RAW])


def _offer_key(source: str, offer_id: str, plan_id: str) -> str:
    return key_of(f"{source}.{offer_id}.{plan_id}".replace("~", "-"))
