"""Reading entities, and cleaning up after them."""

from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite import entities, messages
from local.host.taskhub.sqlite.entities import COLUMNS, Entity
from local.host.taskhub.sqlite.limits import check_entity_id, invalid
from local.host.taskhub.sqlite.queries import LAST_CHARACTER
from local.host.taskhub.sqlite.store import Transaction

PAGE = 1_000
AT_ONCE = 200
"""Entities looked at in one transaction of a clean-up: others are not kept waiting."""


def one(tx: Transaction, entity_id: str, *, with_state: bool) -> Any:
    """The answer to GetEntity. An entity without a state does not exist for who asks."""
    row = tx.db.execute(
        f"SELECT {COLUMNS} FROM entities WHERE id = ? AND state IS NOT NULL",  # noqa: S608 - a constant
        (check_entity_id(entity_id),),
    ).fetchone()
    if row is None:
        return pb.GetEntityResponse(exists=False)
    found = _metadata(tx, Entity(*row), with_state=with_state)
    return pb.GetEntityResponse(exists=True, entity=found)


def _metadata(tx: Transaction, entity: Entity, *, with_state: bool) -> Any:
    (backlog,) = tx.db.execute(
        "SELECT count(*) FROM operations WHERE entity = ?", (entity.key,)
    ).fetchone()
    found = pb.EntityMetadata(instanceId=entity.id, backlogQueueSize=backlog)
    found.lastModifiedTime.FromMicroseconds(entity.modified)
    if entity.holder is not None and (holder := messages.by_key(tx, entity.holder)):
        found.lockedBy.value = holder.id
    if with_state:
        (state,) = tx.db.execute(
            "SELECT state FROM entities WHERE key = ?", (entity.key,)
        ).fetchone()
        if state is not None:
            found.serializedState.value = state
    return found


def page(tx: Transaction, query: Any) -> Any:
    """A page of entities in the order of their ids; those without a state only if asked for."""
    terms: list[str] = []
    values: list[Any] = []
    if query.HasField("continuationToken") and (after := query.continuationToken.value):
        terms.append("id > ?")
        values.append(after)
    if query.HasField("instanceIdStartsWith") and (prefix := query.instanceIdStartsWith.value):
        prefix = _lowered(prefix)
        terms.append("id >= ? AND id < ?")
        values += [prefix, prefix + LAST_CHARACTER]
    if query.HasField("lastModifiedFrom"):
        terms.append("modified >= ?")
        values.append(query.lastModifiedFrom.ToMicroseconds())
    if query.HasField("lastModifiedTo"):
        terms.append("modified < ?")
        values.append(query.lastModifiedTo.ToMicroseconds())
    if not query.includeTransient:
        terms.append("state IS NOT NULL")
    wanted = query.pageSize.value if query.HasField("pageSize") else 0
    size = wanted if 0 < wanted <= PAGE else PAGE
    rows = tx.db.execute(
        f"SELECT {COLUMNS} FROM entities WHERE {' AND '.join(terms) or 'TRUE'} "  # noqa: S608 - built from constants
        "ORDER BY id LIMIT ?",
        [*values, size + 1],
    ).fetchall()
    found = [Entity(*row) for row in rows[:size]]
    answer = pb.QueryEntitiesResponse(
        entities=[_metadata(tx, entity, with_state=query.includeState) for entity in found]
    )
    if len(rows) > size:
        answer.continuationToken.value = found[-1].id
    return answer


def _lowered(prefix: str) -> str:
    """A prefix with the entity's name in lower case, as ids are kept; the key stays as it is."""
    name, mark, key = prefix[1:].partition("@")
    return prefix[:1] + name.lower() + mark + key


def clean(tx: Transaction, request: Any) -> Any:
    """Remove entities without state, backlog and lock, end locks of who is gone; a bounded part."""
    after = 0
    if request.HasField("continuationToken") and request.continuationToken.value:
        if not request.continuationToken.value.isdecimal():
            raise invalid("the continuation token is not one of this task hub")
        after = int(request.continuationToken.value)
    keys = [
        key
        for (key,) in tx.db.execute(
            "SELECT key FROM entities WHERE key > ? AND (state IS NULL OR holder IS NOT NULL) "
            "ORDER BY key LIMIT ?",
            (after, AT_ONCE),
        ).fetchall()
    ]
    answer = pb.CleanEntityStorageResponse()
    for key in keys:
        if request.releaseOrphanedLocks:
            answer.orphanedLocksReleased += _release(tx, key)
        if request.removeEmptyEntities:
            answer.emptyEntitiesRemoved += tx.db.execute(
                "DELETE FROM entities WHERE key = ? AND state IS NULL AND holder IS NULL "
                "AND NOT EXISTS (SELECT 1 FROM operations WHERE entity = key)",
                (key,),
            ).rowcount
    if len(keys) == AT_ONCE:
        answer.continuationToken.value = str(keys[-1])
    return answer


def _release(tx: Transaction, key: int) -> int:
    """1 when the entity was held by an instance that has ended or is gone."""
    entity = entities.by_key(tx, key)
    if entity is None or entity.holder is None:
        return 0
    holder = messages.by_key(tx, entity.holder)
    if holder is not None and holder.completed is None:
        return 0
    tx.db.execute("UPDATE entities SET section = NULL, holder = NULL WHERE key = ?", (key,))
    entities.settle(tx, key)
    return 1
