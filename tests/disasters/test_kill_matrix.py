"""Disaster: a worker, the hub, the whole host or the storage is gone in the middle of everything.

Five processes stand in the middle of their work at the moment of the blow: an onboarding, a
backup, a restore, the close of a month, an order. Each has to come to the end that it would have
had, with nothing lost, nothing doubled, and nobody repairing anything.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.access.model import Scope
from shared.audit.model import Target
from shared.audit.processes import tell
from shared.catalogue.model import Channel
from shared.licensing.model import PaymentOption
from shared.marketplace.model import Offer, Sale
from shared.usage import rules
from tests.disasters.mortal import (
    HOST,
    HUB,
    WORKER,
    fire,
    mortal,
    on_storage,
    sign_in_again,
    stack_of,
    until,
)
from tests.disasters.test_storm_throttling import differences
from tests.e2e.scene import RESTORE_OVER, Customer, Json, Scene, hex_of

VICTIMS = ("worker", "hub", "host", "storage")
# `make scale` kills them all; the others' deaths have quick tests of their own beside this one.
SLOW = {"worker", "host"}
PARAMS = [pytest.param(name, marks=pytest.mark.scale if name in SLOW else ()) for name in VICTIMS]
WORLD = (
    *("--tenants", "7", "--users", "2", "--mails", "8", "--files", "8", "--seed", "17"),
    *("--mail-mean", "6000", "--file-mean", "9000"),
)
HELD_SECONDS = 7.0
"""How long Microsoft 365 keeps a process waiting in the middle: the blow falls meanwhile."""
LEASES_OVER = timedelta(minutes=2)
"""What the dead have leased is free by then; the longest lease is of 90 seconds."""
QUANTITY = 25


@dataclass
class Struck:
    """What was in the middle of its work when the blow fell."""

    scene: Scene
    victim: str
    comer: Customer
    onboarding: str
    keeper: Customer
    session: str
    sessions_before: int
    getter: Customer
    restore: str
    month: str
    biller: Scope
    order: str


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with mortal(tmp_path_factory.mktemp("mortal"), *WORLD) as running:
        on_storage(running, _offer)
        yield running


@pytest.fixture(scope="module")
def keeper(scene: Scene) -> Customer:
    """Backed up."""
    found = scene.onboarded()
    found.back_up()
    return found


@pytest.fixture(scope="module")
def getter(scene: Scene) -> Customer:
    """Restores."""
    found = scene.onboarded()
    scene.let_restore(found)
    found.back_up()
    return found


@pytest.fixture(scope="module")
def measured(scene: Scene) -> Json:
    """A tenant whose licences a month's close reads."""
    tenant = scene.tenant()
    scene.cloud.ask(
        "POST",
        f"/tenants/{tenant['tenantId']}/consent",
        {"clientId": scene.registrations.reader},
    )
    return tenant


@pytest.fixture(scope="module", params=PARAMS)
def struck(
    request: pytest.FixtureRequest,
    scene: Scene,
    keeper: Customer,
    getter: Customer,
    measured: Json,
) -> Struck:
    """Everything began, the blow fell in the middle, and whoever starts things has started them."""
    victim = request.param
    keeper.partner = getter.partner = sign_in_again(scene)
    keeper.change(VICTIMS.index(victim) + 1, newMails=2, newFiles=2, editFiles=1)
    before = len(list(keeper.partner.all(f"/policies/{keeper.policy}/sessions")))
    comer = scene.new_customer(scene.tenant())
    month = rules.month_before(rules.month_of(datetime.now(UTC).date()))
    biller = on_storage(scene, _billed(victim, measured["tenantId"], rules.first_of(month)))
    onboarding = scene.start_onboarding(comer)
    scene.sign_in(comer)
    _hold(scene, comer.tenant, "GET", "/users")
    _hold(scene, keeper.tenant, "GET", r"\$value", nth=2)
    _hold(scene, getter.tenant, "PUT", "", nth=3)
    _hold(scene, measured, "GET", "")
    bazaar(scene, "faults", method="GET", path="/subscriptions/[^/]+$", status=500, times=1,
           seconds=HELD_SECONDS)  # fmt: skip
    scene.accept(comer)
    drive = getter.object("drive", getter.people[0])
    wanted = {"objectId": drive["id"], "snapshot": drive["lastPoint"]["n"]}
    back = {"target": {"folder": f"After the {victim}"}}
    restore = scene.partner.post("/restores", wanted | back)["id"]
    session = keeper.start()
    sold = bazaar(scene, "purchase", offerId="offer", planId="plan", quantity=QUANTITY,
                  tenantId=scene.registrations.partner_tenant_id)  # fmt: skip
    page = f"{scene.stack.urls.api}/api/v1/marketplace/landing"
    landed = httpx.get(page, params={"token": sold["token"]}, trust_env=False, timeout=30)
    assert landed.status_code == 200, landed.text
    fire(scene, "close_usage_months")
    external = sold["subscription"]["id"]
    end = time.monotonic() + 30
    while left := _not_held(scene, external):
        assert time.monotonic() < end, left
        time.sleep(0.05)
    BLOWS[victim](scene)
    scene.cloud.calm()
    bazaar(scene, "faults")
    if victim != "hub":  # then who holds a lease lives, renews it and gives it back
        stack_of(scene).clock.jump(LEASES_OVER)
    return Struck(
        scene, victim, comer, onboarding, keeper, session, before, getter, restore, month, biller,
        external,
    )  # fmt: skip


def bazaar(scene: Scene, verb: str, **body: Any) -> Any:
    """One word to the marketplace."""
    answer = httpx.post(
        f"{scene.stack.urls.marketplace}/_sim/{verb}", json=body, trust_env=False, timeout=30
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def _hold(scene: Scene, tenant: Json, method: str, path: str, nth: int = 1) -> None:
    match = {"tenant": tenant["tenantId"], "method": method, "path": path, "nth": nth}
    rule = {"match": match, "times": 1, "action": "delay", "answer": {"seconds": HELD_SECONDS}}
    scene.cloud.faults(rule)


def _not_held(scene: Scene, external: str) -> list[Any]:
    """What is not in the middle of its work yet."""
    state = httpx.get(f"{scene.stack.urls.marketplace}/_sim/state", trust_env=False).json()
    found = [rule for rule in scene.cloud.ask("GET", "/faults")["rules"] if rule["times"]]
    return found if state["calls"].get(f"GET {external}") else [*found, state["calls"]]


def _kill_worker(scene: Scene) -> None:
    stack_of(scene).kill(WORKER)


def _kill_hub(scene: Scene) -> None:
    stack_of(scene).kill(HUB)


def _kill_host(scene: Scene) -> None:
    stack_of(scene).kill(HOST)
    stack_of(scene).start_host_again()


def _lose_storage(scene: Scene) -> None:
    stack_of(scene).lose_storage()
    time.sleep(HELD_SECONDS)  # until all have met it
    stack_of(scene).find_storage()


BLOWS: dict[str, Callable[[Scene], None]] = {
    "worker": _kill_worker,
    "hub": _kill_hub,
    "host": _kill_host,
    "storage": _lose_storage,
}


async def _offer(deps: Any) -> None:
    sale = Sale(
        item="INS-M365", channel=Channel.MARKETPLACE, source="Microsoft",
        payment_option=PaymentOption.ANNUAL_UPFRONT,
    )  # fmt: skip
    await deps.orders.save_offer(
        Offer(source="microsoft", offer_id="offer", plan_id="plan", sale=sale)
    )


def _billed(name: str, tenant_id: str, first: date) -> Callable[[Any], Any]:
    """A partner with a connected customer of last month."""

    async def make(deps: Any) -> Scope:
        from shared.access.service import register_partner
        from shared.customers import repository as customers
        from shared.customers.model import Customer as Row
        from shared.customers.model import CustomerState, Service
        from shared.kit import ids

        partner = await register_partner(deps, ids.new_id(), f"Biller {name}")
        scope = Scope(partner.partner_id)
        customer = Target(kind="partner", id=scope.partner_id)
        await tell(
            await deps.trail(), scope.partner_id, process="test", instance=name, step="made",
            action="partner.made", target=customer, customer_id=None,
        )  # fmt: skip
        begun = datetime.combine(first, datetime.min.time(), UTC)
        for number in range(3):
            row = Row(
                partner_id=scope.partner_id, customer_id=ids.new_id(), tenant_id=tenant_id,
                display_name=f"Billed {number}", state=CustomerState.ACTIVE, created_at=begun,
                updated_at=begun, activation_at=begun, services=[Service.EXCHANGE],
            )  # fmt: skip
            await customers.add(deps.tables, scope, row)
        return scope

    return make


def test_an_onboarding_ends_as_if_nothing_had_been(struck: Struck) -> None:
    comer = struck.comer
    partner = comer.partner = sign_in_again(struck.scene)
    ended = struck.scene.end_of(comer, struck.onboarding)
    assert ended["status"] == "Succeeded", ended
    assert partner.get(f"/customers/{comer.id}")["state"] == "Active"
    [policy] = partner.all(f"/customers/{comer.id}/policies")
    comer.policy = policy["id"]
    assert len(list(partner.all(f"/customers/{comer.id}/repositories"))) == 1
    session = comer.back_up()
    assert len(session["runs"]) == 2 * len(comer.people)
    assert differences(comer) == []


def test_a_backup_ends_and_holds_what_the_source_holds(struck: Struck) -> None:
    keeper = struck.keeper
    partner = keeper.partner = sign_in_again(struck.scene)
    ended = keeper.ended(struck.session)
    assert ended["state"] == "Success", ended["runs"]
    assert ended["counts"]["failed"] == {}
    assert differences(keeper) == []
    sessions = list(partner.all(f"/policies/{keeper.policy}/sessions"))
    assert len(sessions) == struck.sessions_before + 1
    assert partner.get(f"/operations/{struck.session}")["status"] == "Succeeded"
    assert partner.get(f"/policies/{keeper.policy}")["runningSessionId"] is None
    for protected in partner.all(f"/customers/{keeper.id}/objects"):
        points = [point["n"] for point in partner.all(f"/objects/{protected['id']}/snapshots")]
        assert points == list(range(len(points), 0, -1)), "a point is missing or there twice"
    assert keeper.back_up()["counts"]["protected"] == 0


def test_a_restore_ends_and_doubles_nothing(struck: Struck) -> None:
    getter = struck.getter
    partner = getter.partner = sign_in_again(struck.scene)
    path = f"/restores/{struck.restore}"
    ended = partner.follow(path, lambda answer: answer["state"] in RESTORE_OVER)
    assert ended["state"] == "Completed", ended
    user = getter.people[0]
    held = getter.items(getter.object("drive", user))
    folder = f"After the {struck.victim}/"
    back = [file for file in getter.truth(user)["files"] if folder in file["path"]]
    expected = sorted(hex_of(item["contentHash"]) for item in held if item["kind"] == "file")
    assert sorted(file["sha256"] for file in back) == expected, [file["path"] for file in back]
    lines = list(partner.all(f"{path}/items"))
    assert [line["error"] for line in lines if line["error"]] == []


def test_a_month_is_closed_once_and_completely(struck: Struck) -> None:
    scope, month = struck.biller, struck.month

    async def look(deps: Any) -> tuple[Any, Any, Any]:
        rows = await deps.usage()
        first = rules.first_of(month)
        return await rows.months(scope), await rows.reports(scope), await rows.days(scope, first)

    until(lambda: any(noted["state"] == "Closed" for _, noted in on_storage(struck.scene, look)[0]))
    months, reports, days = on_storage(struck.scene, look)
    assert [name for name, _ in months] == [month]
    assert [report.month for report in reports] == [month]
    assert len({(day.customer_id, day.day) for day in days}) == len(days)
    assert len({day.customer_id for day in days}) == 3
    assert all(day.is_known for day in days)
    fire(struck.scene, "close_usage_months")
    assert on_storage(struck.scene, look)[0] == months


def test_an_order_is_applied_once(struck: Struck) -> None:
    partner = sign_in_again(struck.scene)

    def order() -> Json | None:
        found = [each for each in partner.all("/orders") if each["externalId"] == struck.order]
        return found[0] if found and found[0]["state"] == "Active" else None

    found = until(order, "the order is not active")
    assert found is not None
    assert found["quantity"] == found["channelQuantity"] == QUANTITY
    told = partner.get(f"/orders/{found['id']}/explain")
    assert [each["what"] for each in told["entries"]].count("activated") <= 1
    ledger = [seq for each in told["entries"] for seq in each["ledgerEvents"]]
    assert len(ledger) == len(set(ledger))
    pools = [pool for pool in partner.all("/pools") if pool["item"] == "INS-M365"]
    assert sum(pool["total"] for pool in pools) == QUANTITY * len(list(partner.all("/orders")))
