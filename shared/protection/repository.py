"""The tables of protection (architecture.md section 5).

| table | partition | row | |
| --- | --- | --- | --- |
| Policies | partner | policy id | the id starts with the customer's |
| Due | day + shard | due instant + policy id | only what is due is read |
| Sessions | customer | session id | ids sort newest first |
| ObjectRuns | session + shard | workload + object id | natural key: repeats are no-ops |
| Objects | customer | workload + object id | |
"""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.access.model import Scope
from shared.kit import ids
from shared.kit.clock import from_text, to_text
from shared.kit.errors import NotFound
from shared.kit.tables import LostRace, Row, RowExists, Tables
from shared.protection import served
from shared.protection.model import (
    RUN_OVER,
    WORKLOADS,
    ObjectRun,
    Policy,
    ProtectedObject,
    Session,
    Stored,
)
from shared.protection.rules import shard_of

DUE_SHARDS = 4
DUE_LOOKBACK_DAYS = 8
"""Days before the last complete look at what was due that are looked at again."""
DUE_MOST_DAYS = 1100


def missing(some_id: str) -> NotFound:
    """The one answer for unknown and for foreign: callers learn nothing from the difference."""
    return NotFound(f"There is nothing with the id {some_id[:64]!r}.")


def _customer(scope: Scope, some_id: str, kind: str) -> str:
    customer_id = ids.customer_of(some_id, kind)
    if not scope.covers(customer_id):
        raise missing(some_id)
    return customer_id


def _inside(scope: Scope, partner_id: str, customer_id: str, some_id: str) -> None:
    if partner_id != scope.partner_id or not scope.covers(customer_id):
        raise missing(some_id)


def _row(partition: str, key: str, record: Stored) -> Row:
    values: dict[str, Any] = record.model_dump(mode="json")
    return Row(partition, key, values, record.etag)


# Policies ---------------------------------------------------------------------------------------


async def find_policy(tables: Tables, scope: Scope, policy_id: str) -> Policy | None:
    """The policy, or None when unknown; NotFound outside the scope."""
    _customer(scope, policy_id, ids.POLICY)
    row = await tables["Policies"].find(scope.partner_id, policy_id)
    return Policy.model_validate(row.values | {"etag": row.etag}) if row else None


async def get_policy(tables: Tables, scope: Scope, policy_id: str) -> Policy:
    """The policy; NotFound when unknown or outside the scope."""
    policy = await find_policy(tables, scope, policy_id)
    if policy is None:
        raise missing(policy_id)
    return policy


async def list_policies(
    tables: Tables,
    scope: Scope,
    *,
    customer_id: str | None = None,
    after: str = "",
    limit: int | None = None,
    chosen: Callable[[Policy], bool] = lambda _: True,
) -> list[Policy]:
    """Policies of the scope, or of one customer in it, in id order after `after`."""
    if customer_id is not None and not scope.covers(customer_id):
        raise missing(customer_id)
    prefix = f"{customer_id}-" if customer_id else ""
    found: list[Policy] = []
    async for row in tables["Policies"].query(scope.partner_id, prefix=prefix, after=after):
        policy = Policy.model_validate(row.values | {"etag": row.etag})
        if scope.covers(policy.customer_id) and chosen(policy):
            found.append(policy)
            if limit is not None and len(found) >= limit:
                break
    return found


async def add_policy(tables: Tables, scope: Scope, policy: Policy) -> Policy:
    """Create, with its Due row first: a Due row without policy is dropped by the planner."""
    _inside(scope, policy.partner_id, policy.customer_id, policy.policy_id)
    await put_due(tables, policy)
    row = await tables["Policies"].insert(_row(policy.partner_id, policy.policy_id, policy))
    return policy.model_copy(update={"etag": row.etag})


async def save_policy(tables: Tables, scope: Scope, policy: Policy) -> Policy:
    """Replace under the ETag; `LostRace` when somebody was faster."""
    _inside(scope, policy.partner_id, policy.customer_id, policy.policy_id)
    row = await tables["Policies"].replace(_row(policy.partner_id, policy.policy_id, policy))
    return policy.model_copy(update={"etag": row.etag})


async def delete_policy(tables: Tables, scope: Scope, policy: Policy) -> None:
    """Remove under the ETag; `LostRace` when somebody was faster. Its Due row drops by itself."""
    _inside(scope, policy.partner_id, policy.customer_id, policy.policy_id)
    row = Row(policy.partner_id, policy.policy_id, etag=policy.etag)
    await tables["Policies"].batch([("delete", row)])


# Due --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Due:
    """A policy whose time has come, and where its row stands."""

    partner_id: str
    policy_id: str
    due_at: datetime
    partition: str
    key: str


def _due_partition(day: datetime, shard: int) -> str:
    return f"{day:%Y%m%d}~{shard}"


async def put_due(tables: Tables, policy: Policy) -> None:
    """Remember when the policy is due; writing the same again changes nothing."""
    at = policy.next_run_at
    await tables["Due"].upsert(
        Row(
            _due_partition(at, shard_of(policy.policy_id, DUE_SHARDS)),
            f"{to_text(at)}~{policy.policy_id}",
            {"partner_id": policy.partner_id, "policy_id": policy.policy_id},
        )
    )


async def list_due(tables: Tables, now: datetime) -> AsyncIterator[Due]:
    """Everything due at `now`, oldest day first; later rows are not read.

    From some days before the last complete look on: a clock that stood still has missed nothing.
    """
    below = f"{to_text(now + timedelta(seconds=1))}"
    missed = (now.date() - (await served.last_day(tables) or now.date())).days
    for back in range(min(max(missed, 0) + DUE_LOOKBACK_DAYS, DUE_MOST_DAYS), -1, -1):
        for shard in range(DUE_SHARDS):
            partition = _due_partition(now - timedelta(days=back), shard)
            async for row in tables["Due"].query(partition, below=below):
                yield Due(
                    row.values["partner_id"],
                    row.values["policy_id"],
                    from_text(row.key.split("~", 1)[0]),
                    partition,
                    row.key,
                )


async def drop_due(tables: Tables, due: Due) -> None:
    """Forget a due row that has been served."""
    await tables["Due"].delete(due.partition, due.key)


# Sessions ---------------------------------------------------------------------------------------


async def find_session(tables: Tables, scope: Scope, session_id: str) -> Session | None:
    """The session, or None when unknown; NotFound outside the scope."""
    customer_id = _customer(scope, session_id, ids.SESSION)
    row = await tables["Sessions"].find(customer_id, session_id)
    if row is None:
        return None
    session = Session.model_validate(row.values | {"etag": row.etag})
    _inside(scope, session.partner_id, session.customer_id, session_id)
    return session


async def get_session(tables: Tables, scope: Scope, session_id: str) -> Session:
    """The session; NotFound when unknown or outside the scope."""
    session = await find_session(tables, scope, session_id)
    if session is None:
        raise missing(session_id)
    return session


async def add_session(tables: Tables, scope: Scope, session: Session) -> Session:
    """Create-if-absent: the stored session when the id is taken."""
    _inside(scope, session.partner_id, session.customer_id, session.session_id)
    with suppress(RowExists):
        row = await tables["Sessions"].insert(
            _row(session.customer_id, session.session_id, session)
        )
        return session.model_copy(update={"etag": row.etag})
    return await get_session(tables, scope, session.session_id)


async def save_session(tables: Tables, scope: Scope, session: Session) -> Session:
    """Replace under the ETag; `LostRace` when somebody was faster."""
    _inside(scope, session.partner_id, session.customer_id, session.session_id)
    row = await tables["Sessions"].replace(_row(session.customer_id, session.session_id, session))
    return session.model_copy(update={"etag": row.etag})


async def list_sessions(
    tables: Tables,
    scope: Scope,
    policy: Policy,
    *,
    after: str = "",
    limit: int | None = None,
    chosen: Callable[[Session], bool] = lambda _: True,
) -> list[Session]:
    """Sessions of a policy, newest first, after the session id `after`."""
    _inside(scope, policy.partner_id, policy.customer_id, policy.policy_id)
    found: list[Session] = []
    async for row in tables["Sessions"].query(
        policy.customer_id,
        after=after,
        where="policy_id eq @policy",
        parameters={"policy": policy.policy_id},
    ):
        session = Session.model_validate(row.values | {"etag": row.etag})
        if chosen(session):
            found.append(session)
            if limit is not None and len(found) >= limit:
                break
    return found


async def list_customer_sessions(
    tables: Tables, scope: Scope, customer_id: str, *, before: datetime | None, after: str = ""
) -> AsyncIterator[Session]:
    """Every session of a customer that began before an instant, newest first, policies or not.

    Ids sort newest first: nothing later than `before`, or up to the id `after`, is read.
    """
    if not scope.covers(customer_id):
        raise missing(customer_id)
    if before is not None:
        after = max(after, ids.newest_first(customer_id, ids.SESSION, before, "!"))
    async for row in tables["Sessions"].query(customer_id, after=after):
        session = Session.model_validate(row.values | {"etag": row.etag})
        _inside(scope, session.partner_id, session.customer_id, session.session_id)
        yield session


# ObjectRuns -------------------------------------------------------------------------------------


def _runs(session_id: str, shard: int) -> str:
    return f"{session_id}~{shard:03d}"


def _run_key(workload: str, object_id: str) -> str:
    return f"{workload}~{object_id}"


async def add_run(tables: Tables, session: Session, run: ObjectRun) -> None:
    """Create-if-absent: planning twice changes nothing that has begun."""
    shard = shard_of(run.object_id, session.shards)
    with suppress(RowExists):
        await tables["ObjectRuns"].insert(
            _row(_runs(session.session_id, shard), _run_key(run.workload, run.object_id), run)
        )


async def get_run(tables: Tables, session: Session, workload: str, object_id: str) -> ObjectRun:
    """One object of a session; NotFound when it is not part of it."""
    shard = shard_of(object_id, session.shards)
    row = await tables["ObjectRuns"].find(
        _runs(session.session_id, shard), _run_key(workload, object_id)
    )
    if row is None:
        raise missing(object_id)
    return ObjectRun.model_validate(row.values | {"etag": row.etag})


async def put_run(tables: Tables, session: Session, run: ObjectRun) -> None:
    """Write the row; how an object ended is never overwritten by how far it had come.

    An activity that was handed out again may still run somewhere, and write late.
    """
    partition = _runs(session.session_id, shard_of(run.object_id, session.shards))
    row = _row(partition, _run_key(run.workload, run.object_id), run)
    while run.state not in RUN_OVER:
        found = await tables["ObjectRuns"].get(partition, row.key)
        if found.values["state"] in RUN_OVER:
            return
        row.etag = found.etag
        with suppress(LostRace):
            await tables["ObjectRuns"].replace(row)
            return
    await tables["ObjectRuns"].upsert(row)


async def list_runs(
    tables: Tables, session: Session, shard: int, *, after: str = "", limit: int | None = None
) -> list[ObjectRun]:
    """One partition of a session's objects, in key order after the key `after`."""
    rows = tables["ObjectRuns"].query(_runs(session.session_id, shard), after=after, limit=limit)
    return [ObjectRun.model_validate(row.values | {"etag": row.etag}) async for row in rows]


# Objects ----------------------------------------------------------------------------------------


async def find_object(tables: Tables, scope: Scope, object_id: str) -> ProtectedObject | None:
    """The object, or None when unknown; NotFound outside the scope."""
    customer_id = _customer(scope, object_id, ids.OBJECT)
    for workload in WORKLOADS:
        row = await tables["Objects"].find(customer_id, _run_key(workload, object_id))
        if row is not None:
            found = ProtectedObject.model_validate(row.values | {"etag": row.etag})
            _inside(scope, found.partner_id, customer_id, object_id)
            if scope.owner_id not in {None, found.owner_id}:
                raise missing(object_id)
            return found
    return None


async def get_object(tables: Tables, scope: Scope, object_id: str) -> ProtectedObject:
    """The object; NotFound when unknown or outside the scope."""
    found = await find_object(tables, scope, object_id)
    if found is None:
        raise missing(object_id)
    return found


async def list_objects(
    tables: Tables,
    scope: Scope,
    customer_id: str,
    *,
    after: str = "",
    limit: int | None = None,
) -> list[ProtectedObject]:
    """Objects of a customer by workload and id, after the row key `after`."""
    if not scope.covers(customer_id):
        raise missing(customer_id)
    found: list[ProtectedObject] = []
    own = {} if scope.owner_id is None else {"owner": scope.owner_id}
    where = "owner_id eq @owner" if own else ""
    async for row in tables["Objects"].query(
        customer_id, after=after, limit=limit, where=where, parameters=own
    ):
        if row.values["partner_id"] != scope.partner_id:
            raise missing(customer_id)
        found.append(ProtectedObject.model_validate(row.values | {"etag": row.etag}))
    return found


async def add_object(tables: Tables, scope: Scope, found: ProtectedObject) -> None:
    """Create; a taken key is left as it is."""
    _inside(scope, found.partner_id, found.customer_id, found.object_id)
    with suppress(RowExists):
        await tables["Objects"].insert(
            _row(found.customer_id, _run_key(found.workload, found.object_id), found)
        )


async def save_object(tables: Tables, scope: Scope, found: ProtectedObject) -> None:
    """Replace under the ETag; `LostRace` when somebody was faster."""
    _inside(scope, found.partner_id, found.customer_id, found.object_id)
    await tables["Objects"].replace(
        _row(found.customer_id, _run_key(found.workload, found.object_id), found)
    )


def object_key(found: ProtectedObject) -> str:
    """The row key of an object: where a page of objects goes on."""
    return _run_key(found.workload, found.object_id)


def run_key(run: ObjectRun) -> str:
    """The row key of an object's run: where a page of runs goes on."""
    return _run_key(run.workload, run.object_id)
