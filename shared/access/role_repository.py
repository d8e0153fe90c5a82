"""Rows of users, roles, groups, clients, keys, contexts and closed doors in the table "Access".

Partition partner; keys `user~`, `role~`, `group~`, `apiclient~`, `key~`, `context~`, `closed~`,
one `profile~partner` and one `stamp`. Every write commits together with the stamp under the
stamp's ETag, so decisions about the whole (unique names, last administrator) cannot be overtaken,
and a cache is valid while the stamp has not changed.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from shared.access.model import Scope
from shared.access.role_model import (
    ActiveContext,
    ApiClient,
    ApiKey,
    ClosedDoor,
    CustomerGroup,
    PartnerProfile,
    Role,
    User,
)
from shared.kit.errors import Unavailable
from shared.kit.ids import new_id
from shared.kit.tables import LostRace, Row, RowExists, Table

TABLE = "Access"
STAMP = "stamp"
# One batch has at most 100 rows; one of them is the stamp.
MOST_CHANGES = 99
# A customer id with quotes and comma is 19 characters; a stored value has 30,000.
CUSTOMERS_PER_VALUE = 1000
ATTEMPTS = 12
LONGEST_PAUSE_SECONDS = 0.2

type Entity = (
    User | Role | CustomerGroup | ApiClient | ApiKey | ActiveContext | ClosedDoor | PartnerProfile
)
type Change = tuple[str, Row]


class AccessBusy(Unavailable):
    """Others changed users and roles at the same time, again and again."""

    code, title = "ACCESS_BUSY", "Others are changing users and roles"


@dataclass(slots=True)
class State:
    """Who may do what in a partner, as of one stamp; every mapping by id."""

    stamp: Row
    users: dict[str, User] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    groups: dict[str, CustomerGroup] = field(default_factory=dict)
    clients: dict[str, ApiClient] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    contexts: dict[str, ActiveContext] = field(default_factory=dict)
    """By user id: one per user."""
    closed: dict[str, ClosedDoor] = field(default_factory=dict)
    """By customer id."""
    profile: PartnerProfile = field(default_factory=lambda: PartnerProfile(etag=""))

    @property
    def version(self) -> str:
        """Changes with every change of anything here."""
        return str(self.stamp.values["version"])


async def find_stamp(table: Table, scope: Scope) -> Row:
    """The stamp; before the first change one that is not stored."""
    found = await table.find(scope.partner_id, STAMP)
    return found or Row(scope.partner_id, STAMP, {"version": ""})


async def load(table: Table, scope: Scope) -> State:
    """Everything a decision or a grant looks at: two reads."""
    # The stamp first: a change made while the rows are read is noticed at the commit, and a
    # cache filled with newer rows than its version is only refilled once too often.
    state = State(await find_stamp(table, scope))
    async for row in table.query(scope.partner_id):
        kind, _, key = row.key.partition("~")
        match kind:
            case "user":
                state.users[key] = _read(User, row)
            case "role":
                state.roles[key] = _read(Role, row)
            case "group":
                state.groups[key] = _read_group(row)
            case "apiclient":
                state.clients[key] = _read(ApiClient, row)
            case "key":
                state.keys[key] = _read(ApiKey, row)
            case "context":
                state.contexts[key] = _read(ActiveContext, row)
            case "closed":
                state.closed[key] = _read(ClosedDoor, row)
            case "profile":
                state.profile = _read(PartnerProfile, row)
            case _:  # rows of the partner itself
                continue
    return state


async def change[T](
    table: Table, scope: Scope, decide: Callable[[State], tuple[T, list[Change]]]
) -> T:
    """Load, decide, commit; decide again when somebody was faster, `AccessBusy` after many.

    `decide` is called once per attempt and raises its refusals; no change commits nothing.
    """
    for _ in range(ATTEMPTS):
        state = await load(table, scope)
        outcome, changes = decide(state)
        if not changes:
            return outcome
        try:
            await commit(table, scope, state.stamp, changes)
        except LostRace:
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))  # noqa: S311
            continue
        return outcome
    raise AccessBusy("Repeat the request in a moment.", retryAfter=2)


def add(scope: Scope, entity: Entity) -> Change:
    """Create; the commit fails when it exists."""
    return "insert", _row(scope, entity)


def put(scope: Scope, entity: Entity) -> Change:
    """Write whatever was there; the stamp guards it."""
    return "upsert", _row(scope, entity)


def remove(scope: Scope, entity: Entity) -> Change:
    """Delete a row that was read."""
    return "delete", Row(scope.partner_id, _key(entity))


async def commit(table: Table, scope: Scope, stamp: Row, changes: Sequence[Change]) -> None:
    """Write the changes and a new stamp together; `LostRace` when somebody changed anything."""
    if len(changes) > MOST_CHANGES:
        raise ValueError(f"at most {MOST_CHANGES} changes in one commit")
    if not stamp.etag:
        # A batch cannot replace what is not there; an insert of the first stamp decides the race.
        try:
            stamp = await table.insert(Row(scope.partner_id, STAMP, {"version": new_id()}))
        except RowExists as taken:
            raise LostRace("Somebody made the first change.") from taken
    renewed = Row(scope.partner_id, STAMP, {"version": new_id()}, stamp.etag)
    await table.batch([*changes, ("replace", renewed)])


def _key(entity: Entity) -> str:
    match entity:
        case User():
            return f"user~{entity.user_id}"
        case Role():
            return f"role~{entity.role_id}"
        case CustomerGroup():
            return f"group~{entity.group_id}"
        case ApiClient():
            return f"apiclient~{entity.client_id.lower()}"
        case ApiKey():
            return f"key~{entity.key_id}"
        case ActiveContext():
            return f"context~{entity.user_id}"
        case ClosedDoor():
            return f"closed~{entity.customer_id}"
        case PartnerProfile():
            return "profile~partner"


def _row(scope: Scope, entity: Entity) -> Row:
    if isinstance(entity, CustomerGroup):
        return _group_row(scope, entity)
    return Row(scope.partner_id, _key(entity), {"entity": entity.model_dump(mode="json")})


def _group_row(scope: Scope, group: CustomerGroup) -> Row:
    """The customers of a group lie in several values: one holds at most `SPILL_BYTES`."""
    members = sorted(group.customers)
    values: dict[str, object] = {
        "entity": group.model_dump(mode="json", exclude={"customers"}),
    }
    for part, first in enumerate(range(0, len(members), CUSTOMERS_PER_VALUE)):
        values[f"customers{part}"] = members[first : first + CUSTOMERS_PER_VALUE]
    return Row(scope.partner_id, _key(group), values)


def _read_group(row: Row) -> CustomerGroup:
    parts: Mapping[str, list[str]] = {
        name: value for name, value in row.values.items() if name.startswith("customers")
    }
    members = frozenset(member for part in parts.values() for member in part)
    return CustomerGroup.model_validate({**row.values["entity"], "customers": members})


def _read[E: BaseModel](kind: type[E], row: Row) -> E:
    return kind.model_validate(row.values["entity"])
