"""Hourly metering: usage is queued here, and sent once an hour in batches of 25.

    usage~{source}        {hour}~{resource}~{dimension}    waits
    metered~{resource}    {hour}~{dimension}               was answered, for good

An hour, a resource and a dimension are one event: the marketplace takes no second one. What came
too late for its hour is added to the present one; nothing is ever subtracted.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.kit.clock import to_text
from shared.kit.tables import LostRace, Row, RowExists
from shared.licensing import noticing
from shared.licensing.repository import TABLE as LICENSING
from shared.licensing.rules import telling
from shared.marketplace.model import (
    MICROSOFT,
    OrderState,
    UsageRecord,
    UsageResult,
    UsageStatus,
    key_of,
)

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)
BATCH = 25
LATEST = timedelta(hours=23)
"""An hour before the marketplace's own limit of 24."""
MOST_BATCHES = 400
"""Of one run: what is left goes an hour later."""


async def queue(deps: "Deps", record: UsageRecord) -> bool:
    """Have usage reported: once per resource, dimension and hour; False when it was queued before.

    A quantity is above zero and counts only what exceeds what is included.
    """
    if record.quantity <= 0:
        raise ValueError("a metered quantity is above zero")
    hour = whole_hour(record.hour)
    told = record.model_copy(update={"hour": hour})
    if await deps.orders.table.find(_done(told), _done_key(told)) is not None:
        return False
    row = Row(f"usage~{told.source}", _key(told), {"record": told.model_dump(mode="json")})
    try:
        await deps.orders.table.insert(row)
    except RowExists:
        return False
    return True


async def submit(deps: "Deps", source: str = MICROSOFT) -> dict[str, int]:
    """Send what waits and whose hour is over; how many ended how.

    `ChannelDown` leaves everything where it is: the next hour sends it.
    """
    now = deps.clock.now()
    counts: Counter[str] = Counter()
    late = [row async for row in _waiting(deps, source, before=now - LATEST)]
    for row in late:
        await _roll_on(deps, row, now)
        counts["Rolled"] += 1
    after = ""
    for _ in range(MOST_BATCHES):
        due = _waiting(deps, source, before=whole_hour(now), after=after, limit=BATCH)
        rows = [row async for row in due]
        if not rows:
            break
        after = rows[-1].key  # what has to be asked again is passed by until the next hour
        told = await deps.channels.adapter(source).report_usage([_record(row) for row in rows])
        for row, result in zip(rows, told, strict=True):
            settled = await _settle(deps, row, result, now)
            counts[str(settled)] += 1
    return dict(counts)


async def results(deps: "Deps", external_id: str) -> list[UsageResult]:
    """Everything that was reported for a subscription, by hour."""
    found = deps.orders.table.query(f"metered~{key_of(external_id)}")
    return [UsageResult.model_validate(row.values["result"]) async for row in found]


async def find_mismatches(deps: "Deps") -> list[str]:
    """What the marketplace counted otherwise in the last days (1.7), as one line each.

    Each becomes a notice of the partner, once; what no order explains is logged only.
    """
    since = deps.clock.now().date() - timedelta(days=3)
    rows = await deps.channels.microsoft().mismatches(since)
    said = []
    for row in rows:
        external, dimension = str(row.get("usageResourceId")), str(row.get("dimension"))
        used = str(row.get("usageDate"))
        sent, counted = row.get("submittedQuantity"), row.get("processedQuantity")
        line = f"{external} {dimension} {used}: sent {sent}, counted {counted}"
        said.append(line)
        log.error("metering does not agree: %s", line)
        what = {"sent": str(sent), "counted": str(counted)}
        await _tell(deps, MICROSOFT, external, dimension, used, what)
    return said


async def _tell(
    deps: "Deps", source: str, external: str, dimension: str, used: str, what: dict[str, str]
) -> None:
    """Write the notice of a difference down for the partner whose order it is: once."""
    order = await deps.orders.of_channel(source, external)
    if order is None or order.partner_id is None:
        log.error("metering of %s %s belongs to no partner: nobody is told", source, external)
        return
    now, what = deps.clock.now(), {"source": source, "orderId": order.order_id, **what}
    customer_id = order.customer_id or ""
    told = telling.metering_differs(
        now.date(), external, dimension, used, customer_id=customer_id, what=what
    )
    await noticing.note(deps.tables[LICENSING], Scope(order.partner_id), [told], now)


def whole_hour(at: datetime) -> datetime:
    """The UTC hour that holds an instant: no season changes it."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _waiting(
    deps: "Deps", source: str, *, before: datetime, after: str = "", limit: int | None = None
) -> AsyncIterator[Row]:
    """What waits of hours before one, the oldest first."""
    return deps.orders.table.query(
        f"usage~{source}", below=to_text(before), after=after, limit=limit
    )


async def _roll_on(deps: "Deps", row: Row, now: datetime) -> None:
    """Too late for its hour: its units go into the hour that just ended.

    They leave one row and arrive in the other in one batch, so a run that is cut off neither
    loses nor doubles them; what is written first only says where they went.
    """
    record, table = _record(row), deps.orders.table
    target = record.model_copy(update={"hour": whole_hour(now) - timedelta(hours=1)})
    while await table.find(_done(target), _done_key(target)) is not None:
        target = target.model_copy(update={"hour": target.hour + timedelta(hours=1)})
    expired = UsageResult(
        record=record, status=UsageStatus.EXPIRED, said=f"added to {to_text(target.hour)}"
    )
    told = {"result": expired.model_dump(mode="json")}
    await table.upsert(Row(_done(record), _done_key(record), told))
    held = await table.find(row.partition, _key(target))
    both = target.quantity + (_record(held).quantity if held else Decimal(0))
    summed = {"record": target.model_copy(update={"quantity": both}).model_dump(mode="json")}
    there = held or Row(row.partition, _key(target))
    there.values = summed
    try:
        await table.batch([("replace" if held else "insert", there), ("delete", row)])
    except LostRace:
        log.warning("metering of %s is moved by the next run", record.external_id)


async def _settle(deps: "Deps", row: Row, result: UsageResult, now: datetime) -> UsageStatus:
    """Write down what was said, and what it comes to; `RETRY` and `HELD` are asked again."""
    record = result.record
    if result.status is UsageStatus.RETRY or await _may_come_back(deps, result):
        log.warning("metering waits: %s %s", record.external_id, result.channel_status)
        return UsageStatus.RETRY if result.status is UsageStatus.RETRY else UsageStatus.HELD
    if result.status is UsageStatus.EXPIRED:
        await _roll_on(deps, row, now)
        return result.status
    if result.status in (UsageStatus.MISMATCH, UsageStatus.REJECTED):
        log.error(
            "metering of %s %s at %s: %s %s",
            record.external_id, record.dimension, record.hour, result.channel_status, result.said,
        )  # fmt: skip
    if result.status is UsageStatus.MISMATCH:  # before the row goes: a second run tells it then
        what = {"sent": str(record.quantity), "counted": str(result.counted)}
        used = to_text(record.hour)
        await _tell(deps, record.source, record.external_id, record.dimension, used, what)
    await _finish(deps, row, result)
    return result.status


async def _may_come_back(deps: "Deps", result: UsageResult) -> bool:
    """A suspended subscription may be reinstated within the day in which usage may be told."""
    if result.channel_status.lower() != "resourcenotactive":
        return False
    order = await deps.orders.of_channel(result.record.source, result.record.external_id)
    return order is not None and order.state is OrderState.SUSPENDED


async def _finish(deps: "Deps", row: Row, result: UsageResult) -> None:
    """First the answer is kept, then the row goes: a run cut off in between asks once more."""
    record = _record(row)
    done = Row(_done(record), _done_key(record), {"result": result.model_dump(mode="json")})
    await deps.orders.table.upsert(done)
    await deps.orders.table.delete(row.partition, row.key)


def _record(row: Row) -> UsageRecord:
    return UsageRecord.model_validate(row.values["record"])


def _key(record: UsageRecord) -> str:
    return f"{to_text(record.hour)}~{key_of(record.external_id)}~{key_of(record.dimension)}"


def _done(record: UsageRecord) -> str:
    return f"metered~{key_of(record.external_id)}"


def _done_key(record: UsageRecord) -> str:
    return f"{to_text(record.hour)}~{key_of(record.dimension)}"
