"""Two partners with customers and everything below them; everybody who can sign in at one."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.access.contexts import Flags
from shared.access.model import Admin, Client, Scope
from shared.access.partners import REGISTRAR
from shared.access.permissions import Audience, assignable
from shared.bootstrap import Deps
from shared.customers import repository as customers
from shared.customers.model import AdminUser, Customer, CustomerState, LegalConfirmation, Service
from shared.drills import repository as drills
from shared.drills.model import Drill, DrillState
from shared.export import repository as exports
from shared.export.model import Export
from shared.kit import ids
from shared.licensing import standings
from shared.licensing.model import Standing
from shared.licensing.repository import TABLE as LICENSING
from shared.onboarding import repository as onboarding
from shared.onboarding.model import OnboardingRun, Plan
from shared.protection import repository as protection
from shared.protection.model import Policy, ProtectedObject, Session
from shared.resellers import repository as resellers
from shared.resellers.model import Reseller
from shared.restore import repository as restores
from shared.restore.model import Restore, Target
from shared.usage.model import Agreement

SECRET = "Tresor"
"""In the name of everything of partner B."""
HIDDEN = "Verborgen"
"""In the name of partner A's customer outside the group."""
START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY_FLAG = Flags(True, True, True, True, True, True)
Bearer = Callable[..., dict[str, str]]
OWNER = "11111111-0000-0000-0000-00000000000a"
ITEM = "ab" * 32
FIXED = {
    "n", "item_key", "subscription_id", "code", "month", "number", "line_id", "book_id",
    "profile_id",
}  # fmt: skip
"""Parts of a path that are the same below every customer."""


@dataclass
class Partner:
    """A partner and what it made for itself, by the names of path parameters."""

    tenant_id: str
    scope: Scope
    made: dict[str, str] = field(default_factory=dict)


@dataclass
class World:
    """Partner A with a customer inside and one outside the group; partner B with a customer."""

    deps: Deps
    bearer: Bearer
    a: Partner
    b: Partner
    mine: dict[str, str]
    hidden: dict[str, str]
    theirs: dict[str, str]
    mine_tenant: str
    key: str

    def user(self, oid: str, email: str, tenant: str = "", **changed: Any) -> dict[str, str]:
        """Headers of a person; of partner A unless a tenant is named."""
        claims: dict[str, Any] = {
            "idtyp": None, "scp": "openid access_as_user", "azpacr": "0", "azp": "portal",
            "oid": oid, "preferred_username": email, **changed,
        }  # fmt: skip
        return self.bearer(tenant or self.a.tenant_id, **claims)

    def caller(self, name: str) -> dict[str, str]:
        """Headers of one of the principals of partner A."""
        match name:
            case "administrator":
                return self.user("ann", "ann@a.example")
            case "groupUser":
                return self.user("bob", "bob@a.example")
            case "daemon":
                return self.bearer(self.a.tenant_id, azp="daemon-a")
            case "limitedDaemon":
                return self.bearer(self.a.tenant_id, azp="limited-a")
            case "key":
                return {"X-Api-Key": self.key}
            case "customerAdmin":
                return self.user("cleo", "cleo@mine.example", self.mine_tenant, roles=None)
            case "customerUser":
                return self.user(OWNER, "dan@mine.example", self.mine_tenant, roles=None)
        raise KeyError(name)


async def build(deps: Deps, bearer: Bearer) -> World:
    """Fresh partners in the storage the tests share."""
    b = await _partner(deps, "b", SECRET)
    a = await _partner(deps, "a", "Partner")
    mine_tenant = str(uuid.uuid4())
    mine = await _customer(deps, a, "Mine", mine_tenant)
    hidden = await _customer(deps, a, HIDDEN, str(uuid.uuid4()))
    theirs = await _customer(deps, b, f"{SECRET} theirs", str(uuid.uuid4()))
    only = frozenset({mine["customer_id"]})
    await deps.partners.register(a.tenant_id, "A", [Client("limited-a", customers=only)])
    await _stuff(deps, a, only, "Plain")
    await _stuff(deps, b, frozenset({theirs["customer_id"]}), SECRET)
    await deps.users.add_user(
        a.scope,
        REGISTRAR,
        email="bob@a.example",
        first_name="Bob",
        last_name="Baker",
        role_ids=[a.made["role_id"]],
        tenant_id=a.tenant_id,
    )
    _, key = await deps.clients.make_key(
        a.scope,
        REGISTRAR,
        name="Limited key",
        permissions=assignable(Audience.CLIENT),
        expires_at=deps.clock.now() + timedelta(days=1),
        customers=only,
    )
    return World(deps, bearer, a, b, mine, hidden, theirs, mine_tenant, key)


def made_up(like: dict[str, str]) -> dict[str, str]:
    """Ids of the same form that name nothing."""
    customer = ids.new_id()
    forms = {
        name: customer + text[ids.CUSTOMER_LENGTH :] if name not in FIXED else text
        for name, text in like.items()
    }
    others = ("role_id", "user_id", "group_id", "key_id", "client_id", "admin_id", "reseller_id")
    others = (*others, "order_id")
    return forms | {name: ids.new_id() for name in others} | {"client_id": str(uuid.uuid4())}


async def _partner(deps: Deps, letter: str, name: str) -> Partner:
    tenant = str(uuid.uuid4())
    admin = Admin(f"ann@{letter}.example", "Ann", name)
    found = await deps.partners.register(tenant, name, [f"daemon-{letter}"], [admin])
    return Partner(tenant, Scope(found.partner_id))


async def _stuff(deps: Deps, partner: Partner, members: frozenset[str], name: str) -> None:
    """A group, a role limited to it, a user, an application and a key."""
    scope = partner.scope
    group = await deps.roles.create_group(scope, REGISTRAR, name=f"{name} group", customers=members)
    role = await deps.roles.create_role(
        scope,
        REGISTRAR,
        name=f"{name} role",
        permissions=assignable(Audience.PARTNER),
        group_ids=[group.group_id],
    )
    user = await deps.users.add_user(
        scope,
        REGISTRAR,
        email=f"eve@{scope.partner_id}.example",
        first_name="Eve",
        last_name=name,
        role_ids=[role.role_id],
        tenant_id=partner.tenant_id,
    )
    client = await deps.clients.save_client(
        scope, REGISTRAR, str(uuid.uuid4()), None, name=f"{name} client", permissions=[]
    )
    key, _ = await deps.clients.make_key(
        scope,
        REGISTRAR,
        name=f"{name} key",
        permissions=[],
        expires_at=deps.clock.now() + timedelta(days=1),
    )
    agreement = Agreement(number="RA-1", aggregator=name, valid_from=START.date())
    await (await deps.usage()).put_agreement(scope, agreement)
    partner.made = {
        "group_id": group.group_id,
        "role_id": role.role_id,
        "user_id": user.user_id,
        "client_id": client.client_id,
        "key_id": key.key_id,
        "reseller_id": await _reseller(deps, scope, name),
        "order_id": await _order(deps, scope, name),
    }


async def _order(deps: Deps, scope: Scope, name: str) -> str:
    """An order of the partner, parked for its name."""
    held = await deps.orders.lease("microsoft", f"{scope.partner_id}-{name}")
    order = held.order.model_copy(update={"partner_id": scope.partner_id, "reason": name})
    return (await held.save(order, release=True)).order_id


async def _reseller(deps: Deps, scope: Scope, name: str) -> str:
    """A partner of the second tier, of a partner that may have some."""
    standing = Standing(tier2_enabled=True, is_reseller=True)
    await standings.save(deps.tables[LICENSING], scope, standing)
    made = Reseller(
        reseller_id=ids.new_id(), above=scope.partner_id, display_name=name,
        email="r@r.example", invited_at=START, invited_by="ann", expires_at=START,
    )  # fmt: skip
    await resellers.add(deps.tables, made)
    return made.reseller_id


async def _customer(deps: Deps, partner: Partner, name: str, tenant: str) -> dict[str, str]:
    """An active customer with a policy, a session, an object, a restore and an onboarding."""
    scope, tables = partner.scope, deps.tables
    customer_id = ids.new_id()
    whose = {"partner_id": scope.partner_id, "customer_id": customer_id}
    admins = [
        AdminUser(admin_id=ids.new_id(), email=email, last_name=name, added_at=START)
        for email in ("ann@a.example", "cleo@mine.example")
    ]
    when = {"created_at": START, "updated_at": START}
    customer = Customer(
        **whose,
        **when,
        display_name=name,
        state=CustomerState.ACTIVE,
        tenant_id=tenant,
        services=[Service.EXCHANGE],
        flags=EVERY_FLAG,
        admins=admins,
    )
    customer = await customers.add(tables, scope, customer)
    await customers.claim_tenant(tables, scope, customer, tenant)
    policy = Policy(
        policy_id=ids.policy_id(customer_id), **whose, name=name, services=["exchange"],
        created_at=START, next_run_at=START,
    )  # fmt: skip
    session = Session(
        session_id=ids.newest_first(customer_id, ids.SESSION, START), **whose, **when,
        policy_id=policy.policy_id, trigger="Manual",
    )  # fmt: skip
    protected = ProtectedObject(
        object_id=ids.object_id(customer_id, "mailbox", "m1"), **whose, workload="mailbox",
        source_id="m1", owner_id=OWNER, display_name=name, address=name, discovered_at=START,
    )  # fmt: skip
    target = Target(object_id=protected.object_id, source_id="m1")
    restore = Restore(
        restore_id=ids.newest_first(customer_id, ids.RESTORE, START), **whose, **when,
        object_id=protected.object_id, workload="mailbox", source_id="m1", snapshot=1,
        target=target, requested_by="ann",
    )  # fmt: skip
    run = OnboardingRun(
        run_id=ids.newest_first(customer_id, ids.ONBOARDING, START), **whose, **when,
        plan=Plan(
            tenant_id=tenant, region="westeurope", retention_years=1, services=[],
            sign_in="adminConsent", policies="manual",
        ),
        legal_confirmation=LegalConfirmation(confirmed_by="ann", confirmed_at=START), steps=[],
    )  # fmt: skip
    await protection.add_policy(tables, scope, policy)
    await protection.add_session(tables, scope, session)
    await protection.add_object(tables, scope, protected)
    await restores.add(tables, scope, restore)
    export = Export(
        export_id=ids.newest_first(customer_id, ids.EXPORT, START), **whose, **when,
        object_id=protected.object_id, workload="mailbox", snapshot=1, requested_by="ann",
        expires_at=START,
    )  # fmt: skip
    await exports.add(tables, scope, export)
    drill = Drill(
        drill_id=ids.newest_first(customer_id, ids.DRILL, START), **whose, **when,
        trigger="Manual", state=DrillState.EMPTY,
    )  # fmt: skip
    await drills.add(tables, scope, drill)
    await onboarding.add(tables, scope, run)
    return {
        "customer_id": customer_id,
        "policy_id": policy.policy_id,
        "session_id": session.session_id,
        "object_id": protected.object_id,
        "restore_id": restore.restore_id,
        "export_id": export.export_id,
        "drill_id": drill.drill_id,
        "repository_id": f"{customer_id}-vdefault",
        "verification_id": f"{customer_id}-k0000000000001abcd",
        "erasure_id": f"{customer_id}-x0000000000001abcd",
        "operation_id": restore.restore_id,
        "admin_id": admins[0].admin_id,
        "n": "1",
        "item_key": ITEM,
        "subscription_id": "CBM-M365",
        "code": "RSK",
        "pool_id": ids.new_id(),
        "partner_id": ids.new_id(),
        "month": "2026-03",
        "number": "RA-1",
        "book_id": "b1",
        "profile_id": "b1",
        "line_id": "0123456789abcdef",
    }
