"""Records histories of orchestrations from a task hub's file, for the replay guard.

    make demo ARGS=--keep                     (or any run that does what shall be guarded)
    python -m local.histories .local/demo/taskhub.sqlite

Writes one file for each orchestrator, version and shape that is not there yet. Recorded files stay
for ever: they stand for instances that were begun by the code of their day and still run.
"""

import argparse
import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict

from local.rundir import PROJECT

HISTORIES = PROJECT / "tests" / "orchestrations" / "histories"
MOST_SHAPES = 4
"""Per orchestrator and version: the shapes with the most events are taken first."""


def read(file: Path) -> Iterator[tuple[str, str, list[Any]]]:
    """Orchestrator, version and history of every instance in a hub's file, the longest first."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
        found = []
        for key, name, version in db.execute("SELECT key, name, version FROM instances"):
            rows = db.execute(
                "SELECT events FROM history WHERE instance = ? ORDER BY chunk", (key,)
            )
            content = b"".join(chunk for (chunk,) in rows)
            events = list(pb.OrchestratorRequest.FromString(content).pastEvents)
            found.append((name, version or "", events))
    yield from sorted(found, key=lambda each: -len(each[2]))


def shape(events: list[Any]) -> str:
    """What happened, without the data: equal for histories that guard the same."""
    parts = []
    for event in events:
        kind = event.WhichOneof("eventType")
        inner = getattr(event, kind)
        names = inner.DESCRIPTOR.fields_by_name
        parts.append(f"{kind}:{inner.name if 'name' in names else ''}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def write(folder: Path, name: str, version: str, events: list[Any]) -> Path | None:
    """Write one history, one event a line; None when its shape is there or enough are."""
    start = f"{name}-{version or 'none'}-"
    path = folder / f"{start}{shape(events)}.json"
    if path.exists() or len(list(folder.glob(f"{start}*.json"))) >= MOST_SHAPES:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(MessageToDict(event), sort_keys=True) for event in events)
    head = json.dumps({"orchestrator": name, "version": version})[1:-1]
    path.write_text(f'{{{head}, "events": [\n{lines}\n]}}\n', encoding="utf-8")
    return path


def load(path: Path) -> tuple[str, list[Any]]:
    """Orchestrator and events of a recorded history."""
    document = json.loads(path.read_text("utf-8"))
    return document["orchestrator"], [ParseDict(e, pb.HistoryEvent()) for e in document["events"]]


def main() -> int:
    """Record from a hub's file; prints what is new."""
    parser = argparse.ArgumentParser(prog="python -m local.histories", description=__doc__)
    parser.add_argument("hub", type=Path, help="a task hub's file; its host may be running")
    parser.add_argument("--to", type=Path, default=HISTORIES)
    options = parser.parse_args()
    if not options.hub.is_file():
        sys.stderr.write(f"error: there is no task hub {options.hub}\n")
        return 2
    for name, version, events in read(options.hub):
        if events and (path := write(options.to, name, version, events)) is not None:
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
