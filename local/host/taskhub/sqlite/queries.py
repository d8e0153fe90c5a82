"""Reading instances: one, a page by a filter, ids by their end."""

import json
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite.limits import invalid
from local.host.taskhub.sqlite.store import Transaction

PAGE = 1_000
FULL_PAGE_BYTES = 4 * 1024 * 1024
"""A page ends with the state that exceeds this: payloads may have megabytes each."""
IDS_PAGE = 100
LAST_CHARACTER = chr(0x10FFFF)
TIMES = (
    "createdTimestamp",
    "lastUpdatedTimestamp",
    "completedTimestamp",
    "scheduledStartTimestamp",
)


def state(tx: Transaction, instance_id: str, *, with_payloads: bool) -> Any | None:
    """The state of one instance, or None."""
    row = tx.db.execute(f"{_select(with_payloads)} WHERE i.id = ?", (instance_id,)).fetchone()
    return None if row is None else _state(row)


def _select(with_payloads: bool) -> str:
    given = "p.input, p.output" if with_payloads else "NULL, NULL"
    return (
        "SELECT i.key, i.id, i.name, i.status, i.execution, i.version, i.created, i.updated, "  # noqa: S608 - constants
        f"i.completed, i.start_at, p.custom_status, p.failure, p.tags, {given}, parents.id "
        "FROM instances i JOIN payloads p ON p.key = i.key "
        "LEFT JOIN instances parents ON parents.key = i.parent"
    )


def _state(row: Any) -> Any:
    """A state from a row of `_select`."""
    _, instance_id, name, status, execution, version, *times = row[:10]
    custom_status, failure, tags, given, output, parent = row[10:]
    found = pb.OrchestrationState(instanceId=instance_id, name=name, orchestrationStatus=status)
    for field, time in zip(TIMES, times, strict=True):
        if time is not None:
            getattr(found, field).FromMicroseconds(time)
    for field, text in (
        ("executionId", execution),
        ("version", version),
        ("customStatus", custom_status or None),
        ("input", given),
        ("output", output),
        ("parentInstanceId", parent),
    ):
        if text is not None:
            getattr(found, field).value = text
    if failure:
        found.failureDetails.MergeFromString(failure)
    for name, value in (json.loads(tags) if tags else {}).items():
        found.tags[name] = value
    return found


def page(tx: Transaction, query: Any) -> Any:
    """A page of instances in the order of their creation, and where the next begins."""
    terms, values = ["i.key > ?"], [_after(query)]
    if query.runtimeStatus:
        terms.append(f"i.status IN ({', '.join('?' * len(query.runtimeStatus))})")
        values += list(query.runtimeStatus)
    if query.HasField("createdTimeFrom"):
        terms.append("i.created >= ?")
        values.append(query.createdTimeFrom.ToMicroseconds())
    if query.HasField("createdTimeTo"):
        terms.append("i.created < ?")
        values.append(query.createdTimeTo.ToMicroseconds())
    if query.HasField("instanceIdPrefix") and (prefix := query.instanceIdPrefix.value):
        terms.append("i.id >= ? AND i.id < ?")
        values += [prefix, prefix + LAST_CHARACTER]
    size = query.maxInstanceCount if 0 < query.maxInstanceCount <= PAGE else PAGE
    rows = tx.db.execute(
        f"{_select(query.fetchInputsAndOutputs)} WHERE {' AND '.join(terms)} "
        "ORDER BY i.key LIMIT ?",
        [*values, size + 1],
    )
    found: list[Any] = []
    taken = last = 0
    for row in rows:
        if len(found) == size or taken > FULL_PAGE_BYTES:
            return pb.QueryInstancesResponse(
                orchestrationState=found, continuationToken={"value": str(last)}
            )
        found.append(_state(row))
        last, taken = row[0], taken + found[-1].ByteSize()
    return pb.QueryInstancesResponse(orchestrationState=found)


def _after(query: Any) -> int:
    if not query.HasField("continuationToken") or not query.continuationToken.value:
        return 0
    if not query.continuationToken.value.isdecimal():
        raise invalid("the continuation token is not one of this task hub")
    return int(query.continuationToken.value)


def ended_ids(tx: Transaction, request: Any) -> Any:
    """Ids of finished instances in the order of their end."""
    terms, values = ["completed IS NOT NULL"], []
    if request.runtimeStatus:
        terms.append(f"status IN ({', '.join('?' * len(request.runtimeStatus))})")
        values += list(request.runtimeStatus)
    if request.HasField("completedTimeFrom"):
        terms.append("completed >= ?")
        values.append(request.completedTimeFrom.ToMicroseconds())
    if request.HasField("completedTimeTo"):
        terms.append("completed < ?")
        values.append(request.completedTimeTo.ToMicroseconds())
    if request.HasField("lastInstanceKey") and request.lastInstanceKey.value:
        at, mark, last = request.lastInstanceKey.value.partition("|")
        if not mark or not at.isdecimal():
            raise invalid("the continuation token is not one of this task hub")
        terms.append("(completed, id) > (?, ?)")
        values += [int(at), last]
    size = request.pageSize if 0 < request.pageSize <= PAGE else IDS_PAGE
    rows = tx.db.execute(
        f"SELECT completed, id FROM instances WHERE {' AND '.join(terms)} "  # noqa: S608 - built from constants
        "ORDER BY completed, id LIMIT ?",
        [*values, size + 1],
    ).fetchall()
    answer = pb.ListInstanceIdsResponse(instanceIds=[instance_id for _, instance_id in rows[:size]])
    if len(rows) > size:
        answer.lastInstanceKey.value = f"{rows[size - 1][0]}|{rows[size - 1][1]}"
    return answer
