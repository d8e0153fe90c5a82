"""Usage events of Microsoft's metering: how one is sent, and what its answer means."""

from decimal import Decimal
from typing import Any

from shared.kit.clock import to_text
from shared.marketplace.model import UsageRecord, UsageResult, UsageStatus

SAME = Decimal("0.000001")
"""Quantities travel as doubles: nearer than this is the same."""
STATUSES = {
    "accepted": UsageStatus.ACCEPTED,
    "expired": UsageStatus.EXPIRED,
    "error": UsageStatus.RETRY,
}


def event_of(record: UsageRecord) -> dict[str, Any]:
    """The event as it is sent; the hour begins in UTC, whatever the season."""
    return {
        "resourceId": record.external_id,
        "planId": record.plan_id,
        "dimension": record.dimension,
        "quantity": float(record.quantity),
        "effectiveStartTime": to_text(record.hour),
    }


def result_of(record: UsageRecord, told: list[Any]) -> UsageResult:
    """What became of a record: its line among the results; none means ask again."""
    sent = event_of(record)
    names = ("resourceId", "dimension")
    for line in told:
        if not isinstance(line, dict) or any(line.get(name) != sent[name] for name in names):
            continue
        if str(line.get("effectiveStartTime", ""))[:13] != sent["effectiveStartTime"][:13]:
            continue
        return _read(record, line)
    return UsageResult(record=record, status=UsageStatus.RETRY, said="no answer to this record")


def _read(record: UsageRecord, line: dict[str, Any]) -> UsageResult:
    word = str(line.get("status", ""))
    if word.lower() == "duplicate":
        info = (line.get("error") or {}).get("additionalInfo") or {}
        taken = info.get("acceptedMessage") or {}
        counted = Decimal(str(taken.get("quantity", 0)))
        same = abs(counted - record.quantity) < SAME
        return UsageResult(
            record=record,
            status=UsageStatus.ACCEPTED if same else UsageStatus.MISMATCH,
            channel_status=word,
            reference=str(taken.get("usageEventId", "")),
            said="" if same else f"accepted before with {taken.get('quantity')}",
            counted=counted,
        )
    return UsageResult(
        record=record,
        status=STATUSES.get(word.lower(), UsageStatus.REJECTED),
        channel_status=word,
        reference=str(line.get("usageEventId", "")),
        said=str((line.get("error") or {}).get("message", "")),
    )
