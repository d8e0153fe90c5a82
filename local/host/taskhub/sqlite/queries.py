"""Reading instances: one, a page by a filter, ids by their end."""

import json
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite import messages
from local.host.taskhub.sqlite.limits import invalid
from local.host.taskhub.sqlite.messages import COLUMNS, Instance
from local.host.taskhub.sqlite.store import Transaction

PAGE = 1_000
IDS_PAGE = 100
LAST_CHARACTER = chr(0x10FFFF)


def state(tx: Transaction, instance_id: str, *, with_payloads: bool) -> Any | None:
    """The state of one instance, or None."""
    instance = messages.by_id(tx, instance_id)
    return None if instance is None else _state(tx, instance, with_payloads=with_payloads)


def _state(tx: Transaction, instance: Instance, *, with_payloads: bool) -> Any:
    columns = "custom_status, failure, tags" + (", input, output" if with_payloads else "")
    row = tx.db.execute(
        f"SELECT {columns} FROM payloads WHERE key = ?",  # noqa: S608 - constants
        (instance.key,),
    ).fetchone()
    custom_status, failure, tags = row[:3]
    found = pb.OrchestrationState(
        instanceId=instance.id,
        name=instance.name,
        orchestrationStatus=pb.OrchestrationStatus.Name(instance.status),
    )
    found.createdTimestamp.FromMicroseconds(instance.created)
    found.lastUpdatedTimestamp.FromMicroseconds(instance.updated)
    found.executionId.value = instance.execution
    if instance.completed is not None:
        found.completedTimestamp.FromMicroseconds(instance.completed)
    if instance.start_at is not None:
        found.scheduledStartTimestamp.FromMicroseconds(instance.start_at)
    if instance.version is not None:
        found.version.value = instance.version
    if custom_status:
        found.customStatus.value = custom_status
    if failure:
        found.failureDetails.MergeFromString(failure)
    for name, value in (json.loads(tags) if tags else {}).items():
        found.tags[name] = value
    if with_payloads:
        if row[3] is not None:
            found.input.value = row[3]
        if row[4] is not None:
            found.output.value = row[4]
    if instance.parent is not None and (parent := messages.by_key(tx, instance.parent)):
        found.parentInstanceId.value = parent.id
    return found


def page(tx: Transaction, query: Any) -> Any:
    """A page of instances in the order of their creation, and where the next begins."""
    terms, values = ["key > ?"], [_after(query)]
    if query.runtimeStatus:
        terms.append(f"status IN ({', '.join('?' * len(query.runtimeStatus))})")
        values += list(query.runtimeStatus)
    if query.HasField("createdTimeFrom"):
        terms.append("created >= ?")
        values.append(query.createdTimeFrom.ToMicroseconds())
    if query.HasField("createdTimeTo"):
        terms.append("created < ?")
        values.append(query.createdTimeTo.ToMicroseconds())
    if query.HasField("instanceIdPrefix") and (prefix := query.instanceIdPrefix.value):
        terms.append("id >= ? AND id < ?")
        values += [prefix, prefix + LAST_CHARACTER]
    size = query.maxInstanceCount if 0 < query.maxInstanceCount <= PAGE else PAGE
    rows = tx.db.execute(
        f"SELECT {COLUMNS} FROM instances WHERE {' AND '.join(terms)} ORDER BY key LIMIT ?",  # noqa: S608 - built from constants
        [*values, size + 1],
    ).fetchall()
    found = [Instance(*row) for row in rows[:size]]
    answer = pb.QueryInstancesResponse(
        orchestrationState=[
            _state(tx, instance, with_payloads=query.fetchInputsAndOutputs) for instance in found
        ]
    )
    if len(rows) > size:
        answer.continuationToken.value = str(found[-1].key)
    return answer


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
