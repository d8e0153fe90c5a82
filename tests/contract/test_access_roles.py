"""Users, roles, groups, clients, keys and contexts on real tables."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.access import contexts
from shared.access import role_repository as rows
from shared.access import role_rules as rules
from shared.access.api_keys import KeyInvalid
from shared.access.client_service import ClientExists, Clients
from shared.access.contexts import Door
from shared.access.grants import ClientUnknown, GrantBook, UserUnknown
from shared.access.ip_ranges import AddressNotAllowed, parse_range
from shared.access.model import Scope
from shared.access.permissions import PermissionMissing
from shared.access.role_model import ADMINISTRATOR, Grants, Role, User
from shared.access.role_service import Roles
from shared.access.user_service import Users
from shared.kit.clock import FixedClock
from shared.kit.errors import NotFound, PreconditionFailed, PreconditionRequired
from shared.kit.etags import strong_etag
from shared.kit.tables import Row, Table

AT = datetime(2026, 1, 1, tzinfo=UTC)
P1, P2 = Scope("p1"), Scope("p2")
TENANT = "7d1c8a6e-0000-4000-8000-000000000001"
ADMIN = Grants(is_administrator=True, grants=(rules.grant_of(rules.ADMINISTRATOR_ROLE, {}),))


class CountingTable(Table):
    """The real table, counting the calls that read."""

    def __init__(self, table: Table) -> None:
        super().__init__(table._client)
        self.reads = 0

    async def find(self, partition: str, key: str) -> Row | None:
        self.reads += 1
        return await super().find(partition, key)

    def query(self, *arguments: Any, **options: Any) -> Any:
        self.reads += 1
        return super().query(*arguments, **options)


class House:
    """All services of one worker over one table."""

    def __init__(self, table: Table, clock: FixedClock) -> None:
        self.table, self.clock = CountingTable(table), clock
        self.roles, self.users = Roles(self.table), Users(self.table, clock)
        self.clients, self.book = Clients(self.table, clock), GrantBook(self.table, clock)

    async def user(self, name: str, *role_ids: str, holder: Grants = ADMIN) -> User:
        return await self.users.add_user(
            P1,
            holder,
            email=f"{name}@partner.example",
            first_name=name,
            last_name="X",
            role_ids=role_ids or (ADMINISTRATOR,),
            tenant_id=TENANT,
            object_id=f"oid-{name}",
        )

    async def role(self, name: str, *codes: str, **more: Any) -> Role:
        return await self.roles.create_role(P1, ADMIN, name=name, permissions=codes, **more)

    async def grants(self, name: str) -> Grants:
        return await self.book.of_user(P1, TENANT.upper(), f"OID-{name}")


@pytest.fixture
async def table(make_table: Callable[[], Awaitable[Table]]) -> Table:
    return await make_table()


@pytest.fixture
def house(table: Table) -> House:
    return House(table, FixedClock(AT))


def tag(entity: Any) -> str:
    return strong_etag(entity.etag)


async def test_an_authorised_request_costs_one_read(house: House) -> None:
    await house.user("ann")
    await house.grants("ann")
    house.table.reads = 0
    held = await house.grants("ann")
    assert house.table.reads == 1
    rules.check_right(held, "users.write")


async def test_a_changed_role_counts_at_the_next_request_of_every_worker(
    house: House, table: Table
) -> None:
    """ROL-08"""
    other = House(table, house.clock)
    role = await house.role("Night", "BackupManagement")
    await house.user("ann", role.role_id)
    rules.check_right(await other.grants("ann"), "policies.write")
    await house.roles.edit_role(
        P1, ADMIN, role.role_id, tag(role), name="Night", permissions=["SiteSettings"]
    )
    changed = await other.grants("ann")
    rules.check_right(changed, "settings.write")
    with pytest.raises(PermissionMissing):
        rules.check_right(changed, "policies.write")


async def test_a_deleted_role_is_taken_from_more_users_than_one_commit_holds(
    house: House,
) -> None:
    """ROL-09"""
    gone, kept = await house.role("Gone", "SiteSettings"), await house.role("Kept")
    state = await house.roles.state(P1)
    users = [
        User(
            user_id=f"u{number:03}",
            email=f"{number}@partner.example",
            first_name="A",
            last_name="B",
            role_ids=(gone.role_id, kept.role_id),
            tenant_id=TENANT,
            object_id=f"oid-{number}",
            created_at=AT,
        )
        for number in range(190)
    ]
    for first in range(0, len(users), 95):
        changes = [rows.add(P1, user) for user in users[first : first + 95]]
        await rows.commit(house.table, P1, state.stamp, changes)
        state = await house.roles.state(P1)
    await house.grants("7")
    changed = await house.roles.delete_role(P1, gone.role_id, tag(gone))
    assert sorted(changed) == [user.user_id for user in users]
    after = (await house.roles.state(P1)).users.values()
    assert {user.role_ids for user in after} == {(kept.role_id,)}
    assert not (await house.grants("7")).holds("SiteSettings")


async def test_deletion_ends_access_at_once(house: House) -> None:
    """ROL-15"""
    await house.user("root")
    ann = await house.user("ann")
    await house.grants("ann")
    await house.users.delete_user(P1, ann.user_id, tag(ann))
    with pytest.raises(UserUnknown) as refused:
        await house.grants("ann")
    assert refused.value.status == 403


async def test_two_administrators_deleting_each_other_leave_one(house: House) -> None:
    """ROL-27 under a race"""
    ann, bob = await house.user("ann"), await house.user("bob")
    outcomes = await asyncio.gather(
        house.users.delete_user(P1, ann.user_id, tag(ann)),
        house.users.edit_user(
            P1,
            ADMIN,
            bob.user_id,
            tag(bob),
            first_name="B",
            last_name="B",
            role_ids=[(await house.role("Reader")).role_id],
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, rules.LastAdmin) for outcome in outcomes) == 1
    left = (await house.roles.state(P1)).users.values()
    assert sum(ADMINISTRATOR in user.role_ids for user in left) == 1


async def test_names_and_addresses_stay_unique_under_a_race(house: House) -> None:
    """ROL-07, ROL-12"""
    roles = await asyncio.gather(
        *(house.role(name) for name in ("Night", "night", "NIGHT")), return_exceptions=True
    )
    assert sum(isinstance(outcome, rules.NameTaken) for outcome in roles) == 2
    users = await asyncio.gather(
        *(house.user(name) for name in ("ann", "Ann")), return_exceptions=True
    )
    assert sum(isinstance(outcome, rules.UserExists) for outcome in users) == 1


async def test_bulk_edit_replaces_and_tells_of_the_unknown(house: House) -> None:
    """ROL-14, AMB-27"""
    await house.user("root")
    one, two = await house.role("One"), await house.role("Two")
    users = [await house.user(name, one.role_id) for name in ("a", "b", "c")]
    ids = [user.user_id for user in users]
    outcome = await house.users.set_roles(P1, ADMIN, [*ids, "nobody"], [two.role_id])
    assert outcome["nobody"] is None
    state = await house.roles.state(P1)
    assert [state.users[each].role_ids for each in ids] == [(two.role_id,)] * 3
    root = next(user for user in state.users.values() if user.first_name == "root")
    with pytest.raises(rules.LastAdmin):
        await house.users.set_roles(P1, ADMIN, [root.user_id, *ids], [one.role_id])
    assert (await house.roles.state(P1)).users == state.users


async def test_a_changed_customer_group_counts_at_once_and_may_be_large(house: House) -> None:
    """ROL-21"""
    many = frozenset(f"{number:016}" for number in range(5000))
    group = await house.roles.create_group(P1, ADMIN, name="Big", customers=many)
    role = await house.role("Narrow", "CustomerManagement", group_ids=[group.group_id])
    await house.user("ann", role.role_id)
    held = await house.grants("ann")
    assert rules.visible_customers(held, "customers.write") == many
    await house.roles.edit_group(
        P1, ADMIN, group.group_id, tag(group), name="Big", customers=many | {"x" * 16}
    )
    assert "x" * 16 in (await house.grants("ann")).grants[0].customers  # type: ignore[operator]
    with pytest.raises(rules.GroupInUse):
        await house.roles.delete_group(P1, group.group_id, "*")
    with pytest.raises(rules.GrantExceedsOwn):
        await house.roles.create_group(P1, held, name="More", customers=frozenset({"y" * 16}))


async def test_nobody_gives_what_they_do_not_hold(house: House) -> None:
    role = await house.role("Manager", "UserManagement", "SiteSettings")
    strong = await house.role("Strong", "BackupManagement")
    await house.user("ann", role.role_id)
    ann = await house.grants("ann")
    for attempt in (
        house.roles.create_role(P1, ann, name="Mine", permissions=["BackupManagement"]),
        house.roles.edit_role(
            P1, ann, role.role_id, "*", name="Manager", permissions=["AuditReading"]
        ),
        house.user("eve", strong.role_id, holder=ann),
        house.user("eve", ADMINISTRATOR, holder=ann),
        house.clients.save_client(P1, ann, "c", None, name="C", permissions=["RestoreData"]),
        house.clients.make_key(
            P1, ann, name="K", permissions=["AuditReading"], expires_at=AT + timedelta(1)
        ),
    ):
        with pytest.raises(rules.GrantExceedsOwn):
            await attempt
    eve = await house.user("eve", role.role_id, holder=ann)
    with pytest.raises(rules.GrantExceedsOwn):
        await house.users.set_roles(P1, ann, [eve.user_id], [strong.role_id])


async def test_changes_need_the_current_etag(house: House) -> None:
    role = await house.role("Night")
    for if_match, refusal in ((None, PreconditionRequired), ('"old"', PreconditionFailed)):
        with pytest.raises(refusal):
            await house.roles.delete_role(P1, role.role_id, if_match)
    for edit in (house.roles.edit_role, house.roles.edit_role):
        role = await edit(P1, ADMIN, role.role_id, tag(role), name="Night", permissions=[])
    with pytest.raises(rules.AdministratorProtected):
        await house.roles.delete_role(P1, ADMINISTRATOR, "*")


async def test_another_partners_ids_are_unknown(house: House) -> None:
    """SEC-20"""
    role, user = await house.role("Night"), await house.user("ann")
    with pytest.raises(NotFound):
        await house.roles.delete_role(P2, role.role_id, "*")
    with pytest.raises(NotFound):
        await house.users.delete_user(P2, user.user_id, "*")
    with pytest.raises(UserUnknown):
        await house.book.of_user(P2, TENANT, "oid-ann")
    assert (await house.roles.state(P2)).users == {}


async def test_the_first_sign_in_binds_once_and_only_in_the_own_tenant(house: House) -> None:
    await house.users.add_user(
        P1,
        ADMIN,
        email="ann@partner.example",
        first_name="A",
        last_name="B",
        role_ids=[ADMINISTRATOR],
        tenant_id=TENANT,
    )
    assert await house.users.bind(P1, "another-tenant", "evil", "ann@partner.example") is None
    bound = await house.users.bind(P1, TENANT, "OID-ann", "Ann@partner.example")
    assert bound is not None
    assert (await house.grants("ann")).is_administrator
    assert await house.users.bind(P1, TENANT, "evil", "ann@partner.example") is None


async def test_of_two_parallel_switches_one_context_is_valid(house: House) -> None:
    """SEC-18, CUS-27"""
    ann = await house.user("ann")
    doors = [Door(name, admins=frozenset({ann.email})) for name in ("c1", "c2")]
    opened = await asyncio.gather(
        *(house.book.open_context(P1, ann.user_id, door) for door in doors)
    )
    current = (await house.grants("ann")).context
    valid = []
    for context in opened:
        try:
            valid.append(contexts.check_current(current, context.context_id, AT))
        except contexts.ContextSuperseded:
            continue
    assert len(valid) == 1
    assert await house.book.close_context(P1, ann.user_id) == current
    assert (await house.grants("ann")).context is None
    assert await house.book.close_context(P1, ann.user_id) is None


async def test_an_application_is_registered_edited_switched_off_and_removed(
    house: House,
) -> None:
    client = await house.clients.save_client(
        P1,
        ADMIN,
        "CLIENT-1",
        None,
        name="PSA",
        permissions=["RestoreData"],
        customers=frozenset({"c1"}),
        ranges=(parse_range("10.0.0.0/8"),),
        is_restricted=True,
    )
    inside, outside = parse_range("10.1.1.1").start, parse_range("8.8.8.8").start
    stored, held = await house.book.of_client(P1, "client-1", inside)
    assert stored == client
    assert rules.visible_customers(held, "restores.start") == {"c1"}
    with pytest.raises(AddressNotAllowed):
        await house.book.of_client(P1, "client-1", outside)
    with pytest.raises(ClientExists):
        await house.clients.save_client(P1, ADMIN, "client-1", None, name="X", permissions=[])
    client = await house.clients.save_client(
        P1, ADMIN, "client-1", tag(client), name="PSA", permissions=[], is_enabled=False
    )
    with pytest.raises(ClientUnknown):
        await house.book.of_client(P1, "client-1", outside)
    await house.clients.delete_client(P1, "client-1", tag(client))
    with pytest.raises(NotFound):
        await house.clients.delete_client(P1, "client-1", "*")


async def test_a_key_finds_its_partner_and_dies_when_revoked(house: House) -> None:
    key, text = await house.clients.make_key(
        P1,
        ADMIN,
        name="Script",
        permissions=["AuditReading"],
        customers=frozenset({"c1"}),
        expires_at=AT + timedelta(days=7),
    )
    scope, found, held = await house.book.of_key(text, None)
    assert (scope, found) == (Scope("p1", frozenset({"c1"})), key)
    rules.check_right(held, "audit.read")
    house.table.reads = 0
    await house.book.of_key(text, None)
    assert house.table.reads == 1
    with pytest.raises(KeyInvalid):
        await house.book.of_key(text.replace("hfk_p1.", "hfk_p2."), None)
    await house.clients.revoke_key(P1, key.key_id, tag(key))
    with pytest.raises(KeyInvalid):
        await house.book.of_key(text, None)
