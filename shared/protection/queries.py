"""What the doors read: policies, sessions, objects, page by page."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.kit import ids
from shared.protection import repository
from shared.protection.model import ObjectRun, Policy, ProtectedObject, Session, SessionState

if TYPE_CHECKING:
    from shared.bootstrap import Deps


@dataclass(frozen=True, slots=True)
class WantedSessions:
    """Which sessions to list (BKP-14); `from_at` inclusive, `to_at` exclusive, by their start."""

    states: frozenset[SessionState] = frozenset()
    from_at: datetime | None = None
    to_at: datetime | None = None

    def takes(self, session: Session) -> bool:
        """Whether a session is one of them."""
        began = session.started_at or session.created_at
        return (
            (not self.states or session.state in self.states)
            and (self.from_at is None or began >= self.from_at)
            and (self.to_at is None or began < self.to_at)
        )


ANY_SESSION = WantedSessions()
LONGEST_QUEUE = timedelta(days=2)
"""No session starts later than this after it was created."""


async def get_policy(deps: "Deps", scope: Scope, policy_id: str) -> Policy:
    """The policy; NotFound when unknown or outside the scope."""
    return await repository.get_policy(deps.tables, scope, policy_id)


async def list_policies(
    deps: "Deps",
    scope: Scope,
    *,
    customer_id: str | None,
    after: str,
    limit: int,
    statuses: frozenset[str] = frozenset(),
) -> tuple[list[Policy], str | None]:
    """A page of policies, and the id the next page starts after.

    `statuses` keeps those whose last status is one of them, `Running` those with a session
    under way (BKP-12).
    """
    if customer_id is not None:
        await customers.get(deps.tables, scope, customer_id)
    found = await repository.list_policies(
        deps.tables,
        scope,
        customer_id=customer_id,
        after=after,
        limit=limit + 1,
        chosen=lambda policy: not statuses or bool(statuses & _statuses(policy)),
    )
    page = found[:limit]
    return page, page[-1].policy_id if len(found) > limit else None


async def get_session(deps: "Deps", scope: Scope, session_id: str) -> Session:
    """The session; NotFound when unknown or outside the scope."""
    return await repository.get_session(deps.tables, scope, session_id)


async def list_sessions(
    deps: "Deps",
    scope: Scope,
    policy_id: str,
    *,
    after: str,
    limit: int,
    wanted: WantedSessions = ANY_SESSION,
) -> tuple[list[Session], str | None]:
    """A page of a policy's sessions, newest first, and the id the next page starts after."""
    policy = await repository.get_policy(deps.tables, scope, policy_id)
    if (
        wanted.to_at is not None
    ):  # ids sort newest first: nothing created later is read; ! sorts below every tail
        bound = ids.newest_first(policy.customer_id, ids.SESSION, wanted.to_at, "!")
        after = max(after, bound)
    found = await repository.list_sessions(
        deps.tables, scope, policy, after=after, limit=limit + 1, chosen=wanted.takes
    )
    page = found[:limit]
    return page, page[-1].session_id if len(found) > limit else None


async def list_customer_sessions(
    deps: "Deps",
    scope: Scope,
    customer_id: str,
    *,
    after: str,
    limit: int,
    wanted: WantedSessions = ANY_SESSION,
) -> tuple[list[Session], str | None]:
    """A page of all sessions of a customer, newest first, those of deleted policies too."""
    await customers.get(deps.tables, scope, customer_id)
    found: list[Session] = []
    async for session in repository.list_customer_sessions(
        deps.tables, scope, customer_id, before=wanted.to_at, after=after
    ):
        if wanted.from_at and session.created_at < wanted.from_at - LONGEST_QUEUE:
            break
        if not wanted.takes(session):
            continue
        if len(found) == limit:
            return found, found[-1].session_id
        found.append(session)
    return found, None


async def sessions_between(
    deps: "Deps", scope: Scope, customer_id: str, from_at: datetime, to_at: datetime
) -> list[Session]:
    """A customer's sessions that started inside, oldest first; also those of deleted policies."""
    await customers.get(deps.tables, scope, customer_id)
    wanted = WantedSessions(from_at=from_at, to_at=to_at)
    found: list[Session] = []
    async for session in repository.list_customer_sessions(
        deps.tables, scope, customer_id, before=to_at
    ):
        if session.created_at < from_at - LONGEST_QUEUE:
            break
        if wanted.takes(session):
            found.append(session)
    return found[::-1]


async def list_runs(
    deps: "Deps", scope: Scope, session_id: str, *, place: dict[str, str], limit: int
) -> tuple[list[ObjectRun], dict[str, str] | None]:
    """A page of a session's objects over its partitions, and where the next page starts."""
    session = await repository.get_session(deps.tables, scope, session_id)
    shard, after = int(place.get("shard", "0")), place.get("after", "")
    page: list[ObjectRun] = []
    while shard < session.shards:
        wanted = limit - len(page) + 1
        found = await repository.list_runs(deps.tables, session, shard, after=after, limit=wanted)
        page += found[: wanted - 1]
        if len(found) == wanted:  # one more than fits: it begins the next page
            last = found[-2] if len(found) > 1 else None
            after = repository.run_key(last) if last else after
            return page, {"shard": str(shard), "after": after}
        shard, after = shard + 1, ""
    return page, None


async def get_object(deps: "Deps", scope: Scope, object_id: str) -> ProtectedObject:
    """The object; NotFound when unknown or outside the scope."""
    return await repository.get_object(deps.tables, scope, object_id)


async def list_objects(
    deps: "Deps", scope: Scope, customer_id: str, *, after: str, limit: int
) -> tuple[list[ProtectedObject], str | None]:
    """A page of a customer's objects, and the row key the next page starts after."""
    await customers.get(deps.tables, scope, customer_id)
    found = await repository.list_objects(
        deps.tables, scope, customer_id, after=after, limit=limit + 1
    )
    page = found[:limit]
    return page, repository.object_key(page[-1]) if len(found) > limit else None


def rpo_age_seconds(deps: "Deps", found: ProtectedObject) -> int | None:
    """Age of the last good point in seconds; None while there is none."""
    age = found.rpo_age(deps.clock.now())
    return None if age is None else max(0, round(age.total_seconds()))


def _statuses(policy: Policy) -> set[str]:
    found = {policy.last_status.value} if policy.last_status else set()
    return found | ({SessionState.RUNNING.value} if policy.running_session_id else set())


async def policy_names(deps: "Deps", scope: Scope, customer_id: str) -> dict[str, str]:
    """Names of the customer's policies by their id; deleted ones have none."""
    found = await repository.list_policies(deps.tables, scope, customer_id=customer_id)
    return {policy.policy_id: policy.name for policy in found}
