"""Applying an event: answer the channel, read its truth, bring the pools there, write it down.

Everything may run twice or die in between: what is to be done is found anew each time, from the
channel's truth and the licence ledger. One event of an order is applied at a time.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from shared.access.model import Scope
from shared.audit.model import Target
from shared.audit.processes import tell
from shared.kit import watch
from shared.licensing import noticing, passing, service
from shared.licensing.refusals import Refusal
from shared.licensing.repository import TABLE as LICENSING
from shared.licensing.repository import Command, Outcome
from shared.licensing.rules import telling
from shared.marketplace import buyers, mapping
from shared.marketplace.channels import Adapter
from shared.marketplace.mapping import Step
from shared.marketplace.model import (
    MICROSOFT,
    Asked,
    ChannelAnswer,
    ChannelEvent,
    ChannelSubscription,
    Entry,
    EventState,
    Kind,
    Order,
    OrderState,
    Sale,
    Status,
)
from shared.marketplace.refusals import ChannelRefuses, OrderBusy, Parked
from shared.marketplace.repository import Leased, entry

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)
DONE = frozenset({EventState.APPLIED, EventState.IGNORED})
PROCESS = "apply_channel_event"
BUSY_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)


async def answer_event(deps: "Deps", source: str, event_id: str) -> str:
    """Tell the channel whether a change is agreed to; a word about what was said.

    `ChannelDown`, `OrderBusy`: later is right. Nothing is changed here but the answer.
    """
    event = await _event(deps, source, event_id)
    if event.state in DONE or event.fault or not event.needs_answer:
        return "nothing to answer"
    adapter = deps.channels.adapter(source)
    asked = await adapter.asked(event)
    if asked is None:
        return "nothing to answer"
    truth = await adapter.fetch(event.external_id)
    if truth is None:
        return "nothing to answer"
    async with leased(deps, event) as held:
        try:
            answer = await _agreed(deps, held.order, event, truth, asked)
        except Parked:
            return "deferred"  # a person decides first; what follows is parked below
        taken = await adapter.answer(answer)
        said = f"{asked.action}: {answer.outcome}" + (f", {answer.reason}" if answer.reason else "")
        told = entry("answered", said if taken else f"{said}; settled otherwise", event.event_id)
        order = held.order
        if taken and answer.outcome == "rejected" and not order.is_parked:
            order = order.model_copy(update={"code": "CHANGE_REFUSED", "reason": answer.reason})
        await held.save(order, [told], release=True)
        return answer.outcome if taken else "settled otherwise"


async def settle_event(deps: "Deps", source: str, event_id: str) -> str:
    """Bring the pools to what the channel says now; the state of the order afterwards.

    `ChannelDown`, `OrderBusy`, `LicensingBusy`: later is right. Anything a person has to decide
    parks the order with its reason, and the event with it.
    """
    event = await _event(deps, source, event_id)
    if event.state in DONE or event.fault:
        return str(event.state)
    adapter = deps.channels.adapter(source)
    async with leased(deps, event) as held:
        try:
            order = await _settled(deps, adapter, held, event)
        except Parked as parked:
            order = await _parked(held, event, parked.why, parked.detail)
            await _alert(deps, order, event)
            await deps.orders.mark(event, EventState.PARKED, parked.detail)
            await _tell(deps, order, event)
            return str(order.state)
    await _note(deps, order)
    unknown = event.kind is Kind.UNKNOWN
    reason = (
        f"The action {event.action!r} is unknown; the subscription was read." if unknown else ""
    )
    await deps.orders.mark(event, EventState.IGNORED if unknown else EventState.APPLIED, reason)
    await _tell(deps, order, event)
    return str(order.state)


async def give_up(deps: "Deps", source: str, event_id: str, said: str) -> None:
    """Park what could not be applied for hours: the reconciliation or a person goes on."""
    event = await _event(deps, source, event_id)
    if event.state in DONE:
        return
    async with leased(deps, event) as held:
        order = await _parked(held, event, "CHANNEL_UNAVAILABLE", said)
    await _alert(deps, order, event)
    await deps.orders.mark(event, EventState.PARKED, said)


@asynccontextmanager
async def leased(deps: "Deps", event: ChannelEvent) -> AsyncIterator[Leased]:
    """The order in our hands alone; given back whatever happens. `OrderBusy` when it stays taken.

    An order often has several events at once, and each is applied within a second: waiting for
    the other one is quicker than beginning anew, and leaves the retries for what is broken.
    """
    for pause in BUSY_PAUSES_SECONDS:
        try:
            held = await deps.orders.lease(event.source, event.external_id)
            break
        except OrderBusy:
            await asyncio.sleep(pause)
    else:
        held = await deps.orders.lease(event.source, event.external_id)
    try:
        yield held
    finally:
        if held.order.leased_by:
            await held.save(held.order, release=True)


async def _settled(deps: "Deps", adapter: Adapter, held: Leased, event: ChannelEvent) -> Order:
    await adapter.note(event)
    truth = await adapter.fetch(event.external_id)
    if truth is None:
        raise Parked("SUBSCRIPTION_UNKNOWN", "The channel knows no such subscription.")
    # What parks is parked for this truth: the walk comes back when there is another.
    held.order = order = held.order.model_copy(update={"fingerprint": truth.fingerprint})
    if truth.status is Status.CANCELLED and order.partner_id is None:
        done = mapping.stated(order, truth, OrderState.CANCELLED)
        return await held.save(done, [_applied(event, "nothing had begun")], release=True)
    held.order = bound = await buyers.bind(deps, order, truth)
    sale = await sale_of(deps, truth)
    scope = Scope(bound.partner_id or "")
    if truth.status is Status.PENDING:
        truth = await _activated(deps, adapter, held, bound, truth, sale)
        if truth.status is Status.PENDING:  # it waits for an answer that was not given
            waits = mapping.stated(bound, truth, OrderState.ACCEPTED)
            return await held.save(waits, [_applied(event, "accepted")], release=True)
    book = (await deps.ledgers.load(scope)).book
    plan = mapping.transitions(bound, truth, sale, book)
    after, lines = plan.order, []
    for step in plan.steps:
        try:
            lines.append(_line(event, step, await _perform(deps, scope, held.order, step)))
        except Refusal as refused:
            if step.verb != "quantity":
                raise Parked(refused.code, refused.detail) from refused
            after = _refused(after, bound, refused)
            lines.append(entry("refused", f"{step.said}: {refused.detail}", event.event_id))
    after = await buyers.make_customer(deps, after, truth)
    lines = lines or [_applied(event, "nothing had to change")]
    return await held.save(after, lines, release=True)


async def _activated(
    deps: "Deps",
    adapter: Adapter,
    held: Leased,
    bound: Order,
    truth: ChannelSubscription,
    sale: Sale | None,
) -> ChannelSubscription:
    """Begin what was bought, once it is sure that it can be given; then what the channel says."""
    if sale is None:
        raise Parked("PLAN_UNKNOWN", f"No plan {truth.offer_id}/{truth.plan_id} is registered.")
    book = (await deps.ledgers.load(Scope(bound.partner_id or ""))).book
    foreseen = buyers.foreseen(truth, sale, book.day)
    verdict, code, reason = mapping.judge(bound, foreseen, sale, book)
    if verdict != "accepted":
        raise Parked(code, reason)
    try:
        await adapter.activate(truth)
    except ChannelRefuses as refused:
        raise Parked("ACTIVATION_REFUSED", refused.detail) from refused
    now = await adapter.fetch(truth.external_id)
    if now is None:
        raise Parked("SUBSCRIPTION_UNKNOWN", "The subscription has gone while it was activated.")
    if adapter.source == MICROSOFT:
        told = entry("activated", f"{truth.quantity} of {truth.plan_id}")
        await held.save(held.order, [told], release=False)
    return now


async def _agreed(
    deps: "Deps", order: Order, event: ChannelEvent, truth: ChannelSubscription, asked: Asked
) -> ChannelAnswer:
    if asked.missing:
        reason = f"Please state {asked.missing}."
        return ChannelAnswer(asked.event_id, asked.external_id, "needs_info", reason)
    if event.kind in (Kind.RESUMED, Kind.CANCELLED, Kind.SUSPENDED):
        return ChannelAnswer(asked.event_id, asked.external_id, "accepted")  # decided outside
    bound = await buyers.bind(deps, order, truth)
    wanted = truth.model_copy(
        update={
            "plan_id": asked.plan_id or truth.plan_id,
            "quantity": asked.quantity if asked.quantity is not None else truth.quantity,
            "status": asked.status or truth.status,
        }
    )
    sale = await sale_of(deps, wanted)
    book = (await deps.ledgers.load(Scope(bound.partner_id or ""))).book
    verdict, code, reason = mapping.judge(bound, wanted, sale, book)
    if verdict != "accepted" and asked.is_first:
        raise Parked(code, reason)
    return ChannelAnswer(asked.event_id, asked.external_id, verdict, reason)


async def sale_of(deps: "Deps", truth: ChannelSubscription) -> Sale | None:
    """What was bought: told by the document itself, or registered for the plan."""
    if truth.sale is not None:
        return truth.sale
    offer = await deps.orders.offer(truth.source, truth.offer_id, truth.plan_id)
    return offer.sale if offer else None


async def _perform(deps: "Deps", scope: Scope, order: Order, step: Step) -> Outcome:
    """One transition; repeated after a crash it is found done, or done with the same command."""
    words = hashlib.sha256(step.wish.words.encode()).hexdigest()[:10]
    command = Command(
        f"channel:{order.source}", id=f"{order.order_id}.{order.entries}.{step.verb}.{words}"
    )
    if step.change is None:
        return await service.perform(deps.ledgers, scope, command, step.wish)
    return await passing.apply_order(deps.ledgers, scope, command, step.change)


def _refused(after: Order, before: Order, refused: Refusal) -> Order:
    """The reduction has no effect on the pool; what the channel says is kept beside (LIC-26).

    A suspended order stays one: the pool is blocked, whatever else was refused.
    """
    suspended = after.state is OrderState.SUSPENDED
    return after.model_copy(
        update={
            "state": after.state if suspended else OrderState.CHANGE_REFUSED,
            "code": refused.code,
            "reason": refused.detail,
            "quantity": before.quantity,
        }
    )


async def _parked(held: Leased, event: ChannelEvent, code: str, detail: str) -> Order:
    order = held.order
    values: dict[str, Any] = {
        "code": code, "reason": detail[:1000], "parked_event": event.event_id,
    }  # fmt: skip
    # What lives goes on living: only an order without a pool is parked as a whole.
    if order.item is None or order.state is OrderState.PARKED:
        values["state"] = OrderState.PARKED
    told = entry("parked", f"{code}: {detail}"[:1000], event.event_id)
    return await held.save(order.model_copy(update=values), [told], release=True)


def _applied(event: ChannelEvent, said: str) -> Entry:
    return entry("applied", f"{event.action or event.kind}: {said}", event.event_id)


def _line(event: ChannelEvent, step: Step, done: Outcome) -> Entry:
    pools = {key for each in done.events for key in each.touches if key.startswith("pool~")}
    return entry(
        "applied",
        f"{event.action or event.kind}: {step.verb}, {step.said}",
        event.event_id,
        pool_id=min(pools).removeprefix("pool~") if pools else None,
        events=tuple(each.seq for each in done.events),
        notices=done.notices,
    )


async def _event(deps: "Deps", source: str, event_id: str) -> ChannelEvent:
    event = await deps.orders.event(source, event_id)
    if event is None:
        raise LookupError(f"no event {event_id!r} of {source}")
    return event


async def _note(deps: "Deps", order: Order) -> None:
    """What follows for the partner is told at once, not only by the clock (LIC-47, NTF-20)."""
    if order.partner_id is not None and order.item is not None:
        table, scope = deps.tables[LICENSING], Scope(order.partner_id)
        await noticing.note_all(deps.ledgers, table, scope, deps.clock.now())


async def _alert(deps: "Deps", order: Order, event: ChannelEvent) -> None:
    """What waits for a person is said: to the operator, and to the partner where there is one."""
    log.error("order %s of %s is parked: %s", order.order_id, order.source, order.code)
    if order.partner_id is None:
        return
    now = deps.clock.now()
    what = {
        "orderId": order.order_id, "source": order.source, "externalId": order.external_id,
        "code": order.code, "reason": order.reason,
    }  # fmt: skip
    customer_id = order.customer_id or ""
    told = telling.order_parked(
        now.date(), order.order_id, event.event_id, customer_id=customer_id, what=what
    )
    await noticing.note(deps.tables[LICENSING], Scope(order.partner_id), [told], now)


async def _tell(deps: "Deps", order: Order, event: ChannelEvent) -> None:
    """A line in the trail of the partner it concerns."""
    if order.partner_id is None:
        return
    with watch.watching():
        await tell(
            await deps.trail(),
            order.partner_id,
            process=PROCESS,
            instance=f"marketplace:{order.source}:{event.event_id}"[:200],
            step=str(order.entries),
            action=f"orders.{event.kind}",
            target=Target(kind="orders", id=order.order_id),
            customer_id=order.customer_id,
            details={"state": str(order.state), "code": order.code},
        )
