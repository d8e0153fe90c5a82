"""Decisions about drills: which objects, how a drill ends, what its report says: pure."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from shared.drills.model import Drill, DrillState, Sampled
from shared.kit.clock import to_text
from shared.protection.model import ProtectedObject

OBJECTS_PER_WORKLOAD = 2
ITEMS_PER_OBJECT = 5
FORMAT = "holdfast-restore-drill/1"
CUT_OFF = frozenset({"CONSENT_LOST", "SLICE_OVER"})
"""Why nothing was restored although it should have been: the drill could not be carried out."""


def draw(objects: Iterable[ProtectedObject], seed: str) -> list[str]:
    """The objects of a drill: some of every workload that has restore points.

    By the drill's own id: a repeated execution draws the same, the next drill others.
    """
    by_workload: defaultdict[str, list[tuple[bytes, str]]] = defaultdict(list)
    for one in objects:
        if one.last_point is not None:
            lot = hashlib.sha256(f"{seed}\0{one.object_id}".encode()).digest()
            by_workload[one.workload].append((lot, one.object_id))
    return [
        object_id
        for workload in sorted(by_workload)
        for _, object_id in sorted(by_workload[workload])[:OBJECTS_PER_WORKLOAD]
    ]


def seed_of(drill_id: str, object_id: str) -> int:
    """What the items of an object are drawn with."""
    return int.from_bytes(hashlib.sha256(f"{drill_id}\0{object_id}".encode()).digest()[:8])


def decide_state(sampled: Iterable[Sampled], *, error: str | None) -> DrillState:
    """How a drill ends. A drill that could not be carried out proves nothing either way."""
    found = list(sampled)
    if any(one.failed for one in found):
        return DrillState.FAILED
    if error is not None or any(one.not_restored in CUT_OFF for one in found):
        return DrillState.BROKEN
    return DrillState.PASSED if any(one.checks for one in found) else DrillState.EMPTY


def report_of(
    drill: Drill, state: DrillState, sampled: Iterable[Sampled], ended_at: datetime
) -> dict[str, Any]:
    """What is signed: plain JSON without floats, so that its bytes are the same everywhere."""
    return {
        "format": FORMAT,
        "drillId": drill.drill_id,
        "customerId": drill.customer_id,
        "state": state.value,
        "startedAt": to_text(drill.started_at or drill.created_at),
        "endedAt": to_text(ended_at),
        "mode": drill.mode,
        "checked": ["decryption", "content hash", "inclusion in the Merkle root", "format"]
        + (["restored into a scratch folder"] if drill.mode == "scratch" else []),
        "objects": [
            {
                "objectId": one.object_id,
                "workload": one.workload,
                "snapshot": one.snapshot,
                "root": one.root,
                "recordHash": one.record_hash,
                "notRestored": one.not_restored or None,
                "items": [
                    {
                        "itemKey": check.item_key,
                        "kind": check.kind,
                        "bytes": check.bytes,
                        "contentHash": check.content_hash,
                        "error": check.error,
                        "way": check.way,
                        "differs": check.differs or None,
                        "tookMs": check.took_ms,
                    }
                    for check in one.checks
                ],
            }
            for one in sampled
        ],
    }
