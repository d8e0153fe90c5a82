"""The walk over everything that channels have: lost webhooks, dates that moved, the inbox.

What differs from the order becomes an event of our own, named after the order's version, so that
two walks at the same time find the same one. One bad row, or one channel that is down, never
stops the walk.
"""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.kit.errors import HoldfastError
from shared.marketplace import inbox
from shared.marketplace.model import (
    CLOUDBLUE,
    ChannelSubscription,
    EventState,
    Kind,
    Order,
    OrderState,
    Unreadable,
    Walked,
    local_event,
)

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)
LOST_AFTER = timedelta(minutes=10)
"""An event that nobody has applied so long after its receipt has lost its process."""


async def walk(deps: "Deps") -> Walked:
    """Compare every channel with the orders; what is to be applied is in `started`."""
    found = Walked()
    for source in deps.channels.asked:
        try:
            await _compare(deps, source, found)
        except HoldfastError as fault:
            found.failed.append(f"{source}: {fault.code} {fault.detail}"[:300])
    for source in await deps.channels.sources():
        await _find_lost(deps, source, found)
    for line in (*found.unreadable, *found.failed):
        log.error("reconciliation: %s", line)
    return found


async def _compare(deps: "Deps", source: str, found: Walked) -> None:
    async for row in deps.channels.adapter(source).list_all():
        found.seen += 1
        if isinstance(row, Unreadable):
            found.unreadable.append(f"{source}: {row.said}")
            continue
        order = await deps.orders.of_channel(source, row.external_id)
        if differs(order, row):
            await _raise(deps, row, order, found)
    if source == CLOUDBLUE:
        for event in await deps.channels.cloudblue().pending():
            kept = await inbox.keep(deps, event)
            if kept.is_new and kept.is_due:
                found.started.append((source, event.event_id))


def differs(order: Order | None, truth: ChannelSubscription) -> bool:
    """Whether something follows from a row that nobody has told us of."""
    if order is None:
        return truth.channel_status != "draft"
    if order.fingerprint != truth.fingerprint:
        return True
    # The same truth, but its term is over by our calendar and the order does not say so.
    live = order.state not in (OrderState.ENDED, OrderState.CANCELLED, OrderState.PARKED)
    return live and order.code == "CHANNEL_UNAVAILABLE"


async def _raise(
    deps: "Deps", truth: ChannelSubscription, order: Order | None, found: Walked
) -> None:
    version = order.entries if order else 0
    event = local_event(
        truth.source,
        truth.external_id,
        f"walk-{truth.external_id}-{version}-{truth.fingerprint}",
        deps.clock.now(),
        kind=Kind.ADJUSTED,
        action="Reconciliation" if order else "Adopted",
    )
    if order is None:
        log.error("reconciliation: %s %s was unknown here", truth.source, truth.external_id)
    kept = await inbox.keep(deps, event)
    if kept.event.state is EventState.RECEIVED:
        found.started.append((truth.source, event.event_id))


async def _find_lost(deps: "Deps", source: str, found: Walked) -> None:
    """Deliveries whose process was never started, or died for good."""
    before = deps.clock.now() - LOST_AFTER
    known = set(found.started)
    for event in await deps.orders.waiting(source):
        if event.received_at <= before and (source, event.event_id) not in known:
            found.started.append((source, event.event_id))
