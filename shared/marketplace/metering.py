"""Hourly metering: usage is queued here, and sent once an hour in batches of 25.

    usage~{source}        {hour}~{resource}~{dimension}    waits; why, where it was asked before
    metered~{resource}    {hour}~{dimension}               was answered, for good

An hour, a resource and a dimension are one event: the marketplace takes no second one. What came
too late for its hour is added to the present one; nothing is ever subtracted.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.access.model import Scope
from shared.kit.clock import to_text
from shared.kit.tables import LostRace, Row, RowExists
from shared.licensing import noticing
from shared.licensing.repository import TABLE as LICENSING
from shared.licensing.rules import telling
from shared.marketplace.model import (
    MICROSOFT,
    Order,
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
    try:
        await deps.orders.table.insert(Row(f"usage~{told.source}", _key(told), _waits(told)))
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


async def results(
    deps: "Deps", external_id: str, since: datetime | None = None
) -> list[UsageResult]:
    """What was answered for a subscription, by hour; everything, or from an hour on."""
    after = to_text(since) if since else ""  # every key of that hour is behind it
    found = deps.orders.table.query(f"metered~{key_of(external_id)}", after=after)
    return [UsageResult.model_validate(row.values["result"]) async for row in found]


async def waiting(deps: "Deps", source: str, external_id: str) -> list[UsageResult]:
    """What waits for a subscription, by hour, with what was said where it was asked before."""
    rows = deps.orders.table.query(
        f"usage~{source}", where="resource eq @resource", parameters={"resource": external_id}
    )
    return [_waiting_result(row) async for row in rows]


async def told(deps: "Deps", order: Order, since: datetime) -> dict[tuple[str, date], Decimal]:
    """Dimension and period -> units that were told or wait, of records from an hour on.

    What was too late for its hour counts where it went; where the marketplace holds another
    quantity, that is what counts; what it refused is told and not told again.
    """
    found: dict[tuple[str, date], Decimal] = {}
    # What waits is read first: a row that is answered meanwhile is seen twice, never not at all.
    waits = await waiting(deps, order.source, order.external_id)
    answered = [
        each
        for each in await results(deps, order.external_id, since)
        if each.status is not UsageStatus.EXPIRED
    ]
    seen = {(each.record.hour, each.record.dimension) for each in answered}
    waits = [each for each in waits if (each.record.hour, each.record.dimension) not in seen]
    for each in (*answered, *waits):
        record = each.record
        if each.is_dropped:
            continue
        counted = record.quantity if each.counted is None else each.counted
        for period, units in record.shares.items():
            key = (record.dimension, period)
            share = units if counted == record.quantity else units * counted / record.quantity
            found[key] = found.get(key, Decimal(0)) + share
    return found


async def drop_refused(deps: "Deps", external_id: str) -> int:
    """Forget what the marketplace refused: the next evening's run tells it anew; how much."""
    table, dropped = deps.orders.table, 0
    async for row in table.query(f"metered~{key_of(external_id)}"):
        result = UsageResult.model_validate(row.values["result"])
        if result.status is not UsageStatus.REJECTED or result.is_dropped:
            continue
        told = result.model_copy(update={"is_dropped": True})
        row.values["result"] = told.model_dump(mode="json")
        await table.replace(row)
        dropped += 1
    return dropped


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
    # Never its own hour again, whatever the marketplace's clock says: that row is to go.
    hour = max(whole_hour(now) - timedelta(hours=1), record.hour + timedelta(hours=1))
    target = record.model_copy(update={"hour": hour})
    while await table.find(_done(target), _done_key(target)) is not None:
        target = target.model_copy(update={"hour": target.hour + timedelta(hours=1)})
    expired = UsageResult(
        record=record, status=UsageStatus.EXPIRED, said=f"added to {to_text(target.hour)}"
    )
    told = {"result": expired.model_dump(mode="json")}
    await table.upsert(Row(_done(record), _done_key(record), told))
    held = await table.find(row.partition, _key(target))
    there = held or Row(row.partition, _key(target))
    there.values = _waits(both(target, _record(held)) if held else target)
    try:
        await table.batch([("replace" if held else "insert", there), ("delete", row)])
    except LostRace:
        log.warning("metering of %s is moved by the next run", record.external_id)


async def _settle(deps: "Deps", row: Row, result: UsageResult, now: datetime) -> UsageStatus:
    """Write down what was said, and what it comes to; `RETRY` and `HELD` are asked again."""
    record = result.record
    if result.status is UsageStatus.RETRY or await _may_come_back(deps, result):
        log.warning("metering waits: %s %s", record.external_id, result.channel_status)
        asked = UsageStatus.RETRY if result.status is UsageStatus.RETRY else UsageStatus.HELD
        await _note(deps, row, result.model_copy(update={"status": asked}))
        return asked
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


async def _note(deps: "Deps", row: Row, result: UsageResult) -> None:
    """Why it still waits, for whoever looks."""
    row.values["last"] = result.model_dump(mode="json", exclude={"record"})
    try:
        await deps.orders.table.replace(row)
    except LostRace:  # units were added meanwhile, or another run settled it
        log.info("metering of %s has moved on", result.record.external_id)


async def _may_come_back(deps: "Deps", result: UsageResult) -> bool:
    """A suspended subscription may be reinstated within the day in which usage may be told."""
    if result.channel_status.lower() != "resourcenotactive":
        return False
    order = await deps.orders.of_channel(result.record.source, result.record.external_id)
    return order is not None and order.state is OrderState.SUSPENDED


async def keep(deps: "Deps", result: UsageResult) -> None:
    """Write an answer down, over an earlier one for the same hour."""
    record = result.record
    done = Row(_done(record), _done_key(record), {"result": result.model_dump(mode="json")})
    await deps.orders.table.upsert(done)


async def _finish(deps: "Deps", row: Row, result: UsageResult) -> None:
    """First the answer is kept, then the row goes: a run cut off in between asks once more."""
    await keep(deps, result.model_copy(update={"record": _record(row)}))
    await deps.orders.table.delete(row.partition, row.key)


def both(one: UsageRecord, other: UsageRecord) -> UsageRecord:
    """Two records of the same resource and dimension as one, in the hour of the first."""
    shares = dict(one.shares)
    for period, units in other.shares.items():
        shares[period] = shares.get(period, Decimal(0)) + units
    total = one.quantity + other.quantity
    return one.model_copy(update={"quantity": total, "shares": shares})


def _waiting_result(row: Row) -> UsageResult:
    last = row.values.get("last") or {"status": UsageStatus.WAITING}
    return UsageResult.model_validate(last | {"record": row.values["record"]})


def _waits(record: UsageRecord) -> dict[str, Any]:
    return {"record": record.model_dump(mode="json"), "resource": record.external_id}


def _record(row: Row) -> UsageRecord:
    return UsageRecord.model_validate(row.values["record"])


def _key(record: UsageRecord) -> str:
    return f"{to_text(record.hour)}~{key_of(record.external_id)}~{key_of(record.dimension)}"


def _done(record: UsageRecord) -> str:
    return f"metered~{key_of(record.external_id)}"


def _done_key(record: UsageRecord) -> str:
    return f"{to_text(record.hour)}~{key_of(record.dimension)}"
