"""Long and nightly work on licences: batch edits, sweeps by date, seats that follow tenants."""

from datetime import date
from typing import Any

import pytest

from orchestrations.batch_edit import batch_edit
from shared.catalogue.model import Basis
from shared.customers import batch_edits, nightly
from tests.api.conftest import RecordedClient, check_problem
from tests.api.licensing import SLOT, Shop
from tests.orchestrations.driving import Driver, orchestrator_of

TENANT = "44444444-2222-3333-4444-555555555555"


async def run_batch(shop: Shop, durable: RecordedClient, its_id: str) -> None:
    """What the task hub would do: every customer twice, as after a lost answer."""
    name, given = durable.started[f"batch:{its_id}"]
    assert name == "batch_edit"
    told = []
    for customer_id in given["customers"]:
        for _ in range(2):
            last = await batch_edits.edit_one(shop.deps, shop.scope, its_id, customer_id)
        told.append(last)
    await batch_edits.end(shop.deps, shop.scope, its_id, told)


async def test_cus_36_batch_of_five_with_one_violation(shop: Shop, durable: RecordedClient) -> None:
    await shop.buy(quantity=14)
    customers = [shop.customer, *[await shop.add_customer() for _ in range(4)]]
    body = {
        "customerIds": customers,
        "change": {"verb": "assign", "slot": SLOT, "source": "Direct", "quantity": 3},
    }
    answer = await shop.post("/subscriptions:batchEdit", body)
    assert answer.status_code == 202, answer.text
    its_id = answer.json()["id"]
    assert answer.headers["Operation-Location"].endswith(f"/operations/{its_id}")
    assert (await shop.get(f"/operations/{its_id}"))["status"] == "Running"
    await run_batch(shop, durable, its_id)
    ended = await shop.get(f"/operations/{its_id}")
    assert ended["status"] == "Succeeded"
    states = [each["status"] for each in ended["result"]["customers"]]
    assert states == ["Succeeded"] * 4 + ["Failed"]
    assert ended["result"]["customers"][4]["code"] == "POOL_EXHAUSTED"
    (pool,) = (await shop.get("/pools"))["value"]
    assert (pool["assigned"], pool["available"]) == (12, 2)
    path = f"/api/v1/subscriptions/batch-edits/{its_id}/results"
    lines = (await shop.api.get(path, headers=shop.headers)).text.splitlines()
    assert lines[0] == "customerId,status,code,rule,detail"
    assert len(lines) == 6
    await shop.adds_up()


async def test_cus_35_no_more_than_twenty_and_no_strangers(shop: Shop) -> None:
    change = {"verb": "expire", "subscriptionId": SLOT}
    many = [await shop.add_customer() for _ in range(21)]
    body: dict[str, Any] = {"customerIds": many, "change": change}
    problem = check_problem(await shop.post("/subscriptions:batchEdit", body), 422, "BATCH_LIMIT")
    assert problem["errors"][0]["pointer"].startswith("#/customer")
    body["customerIds"] = ["0" * 16]
    check_problem(await shop.post("/subscriptions:batchEdit", body), 400, "CUSTOMER_UNKNOWN")


async def test_cus_35_a_preview_promises_no_seat_twice(shop: Shop) -> None:
    await shop.buy(quantity=7)
    customers = [shop.customer, *[await shop.add_customer() for _ in range(2)]]
    change = {"verb": "assign", "slot": SLOT, "source": "Direct", "quantity": 3}
    before = await shop.state()
    answer = await shop.post(
        "/subscriptions:previewBatch", {"customerIds": customers, "change": change}
    )
    told = answer.json()["value"]
    assert [each["customerId"] for each in told] == customers
    assert [each["preview"]["isAllowed"] for each in told] == [True, True, False]
    refusal = told[2]["preview"]["refusal"]
    assert (refusal["code"], refusal["errors"][0]["pointer"]) == (
        "POOL_EXHAUSTED", "#/change/quantity",
    )  # fmt: skip
    assert told[0]["preview"]["effects"]
    assert await shop.state() == before


async def test_cus_36_progress_and_cancel(shop: Shop, durable: RecordedClient) -> None:
    """Two of four are done when somebody cancels: the other two are left alone."""
    await shop.buy()
    customers = [shop.customer, *[await shop.add_customer() for _ in range(3)]]
    change = {"verb": "assign", "slot": SLOT, "source": "Direct", "quantity": 3}
    body = {"customerIds": customers, "change": change}
    its_id = (await shop.post("/subscriptions:batchEdit", body)).json()["id"]
    told = []
    for done, customer_id in enumerate(customers[:2], 1):
        told.append(await batch_edits.edit_one(shop.deps, shop.scope, its_id, customer_id))
        running = await shop.get(f"/operations/{its_id}")
        assert (running["status"], running["percentComplete"]) == ("Running", 25 * done)
        states = [step["state"] for step in running["steps"]]
        assert states == ["Succeeded"] * done + ["Waiting"] * (4 - done)
    answer = await shop.post(f"/operations/{its_id}:cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "Running")
    for customer_id in customers[2:]:
        told.append(await batch_edits.edit_one(shop.deps, shop.scope, its_id, customer_id))
        assert told[-1]["status"] == "Canceled"
    await batch_edits.end(shop.deps, shop.scope, its_id, told[:3])
    ended = await shop.get(f"/operations/{its_id}")
    assert ended["status"] == "Canceled"
    states = [each["status"] for each in ended["result"]["customers"]]
    assert states == ["Succeeded", "Succeeded", "Canceled", "Canceled"]
    (pool,) = (await shop.get("/pools"))["value"]
    assert pool["assigned"] == 6
    check_problem(await shop.post(f"/operations/{its_id}:cancel"), 409, "OPERATION_ENDED")
    # An activity that arrives late changes nothing any more.
    late = await batch_edits.edit_one(shop.deps, shop.scope, its_id, customers[3])
    assert late["status"] == "Canceled"
    await shop.adds_up()


def test_a_canceled_batch_asks_for_no_more_customers() -> None:
    asked = []

    def answer(name: str, given: dict[str, Any]) -> Any:
        if name == "edit_customer":
            asked.append(given["customer_id"])
            status = "Canceled" if given["customer_id"] == "b" else "Succeeded"
            return {"customer_id": given["customer_id"], "status": status}
        return None

    given = {"partner_id": "p", "batch_id": "batch-1", "customers": ["a", "b", "c"]}
    assert Driver(answer).run(orchestrator_of(batch_edit), given) == {"failed": 0}
    assert asked == ["a", "b"]


def test_every_customer_of_a_batch_has_a_result() -> None:
    def answer(name: str, given: dict[str, Any]) -> Any:
        if name == "edit_customer":
            return {"customer_id": given["customer_id"], "status": "Succeeded"}
        assert [each["customer_id"] for each in given["results"]] == ["a", "b"]
        return None

    given = {"partner_id": "p", "batch_id": "batch-1", "customers": ["a", "b"]}
    assert Driver(answer).run(orchestrator_of(batch_edit), given) == {"failed": 0}


async def test_lic_51_the_sweep_writes_down_what_is_over_once(shop: Shop) -> None:
    pool = await shop.buy(channel="Marketplace", source="CloudBlue", end="2026-03-20")
    await shop.assigned(30, poolId=pool)
    shop.day(date(2026, 5, 4))  # many nights were missed
    first = await nightly.sweep_all(shop.deps)
    assert first[shop.partner_id] >= 2
    assert shop.partner_id not in await nightly.sweep_all(shop.deps)
    sub = await shop.sub()
    assert (sub["state"], sub["endedOn"], sub["quantity"]) == ("Expired", "2026-03-20", 0)
    assert (await shop.pool(pool))["phase"] == "Ended"
    await shop.adds_up()


@pytest.fixture
def tenant(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[Basis, int] | None]:
    """What reading a tenant gives; None is a reading that failed."""
    found: dict[str, dict[Basis, int] | None] = {}

    async def read(_: object, tenant_id: str) -> dict[Basis, int] | None:
        return found[tenant_id]

    monkeypatch.setattr(nightly, "read_licences", read)
    return found


async def test_lic_43_seats_follow_and_a_failed_reading_changes_nothing(
    shop: Shop, tenant: dict[str, Any]
) -> None:
    await shop.buy()
    shop.customer = await shop.add_customer(tenant_id=TENANT)
    await shop.assigned(30, mode="AutoAdjusted")
    shop.day(date(2026, 3, 1))
    tenant[TENANT] = None
    before = await shop.state()
    assert shop.partner_id not in await nightly.adjust_all(shop.deps)
    assert await shop.state() == before
    tenant[TENANT] = {"Microsoft365": 33, "Dynamics365": 0}
    assert (await nightly.adjust_all(shop.deps))[shop.partner_id] == 1
    assert shop.partner_id not in await nightly.adjust_all(shop.deps)
    assert (await shop.sub())["quantity"] == 33
    await shop.adds_up()


async def test_a_mass_change_stops_and_asks(shop: Shop, tenant: dict[str, Any]) -> None:
    await shop.buy()
    shop.customer = await shop.add_customer(tenant_id=TENANT)
    await shop.assigned(30, mode="AutoAdjusted")
    shop.day(date(2026, 3, 1))
    tenant[TENANT] = {"Microsoft365": 2, "Dynamics365": 0}
    check_problem(await shop.post("/licence-adjustment:approve"), 409, "NOTHING_TO_APPROVE")
    await nightly.adjust_all(shop.deps)
    assert (await shop.sub())["quantity"] == 30
    waiting = await shop.get("/licence-adjustment")
    assert (waiting["state"], waiting["wouldMove"], waiting["limit"]) == ("Waiting", 28, 10)
    await nightly.adjust_approved(shop.deps)
    assert (await shop.sub())["quantity"] == 30
    assert (await shop.post("/licence-adjustment:approve")).json()["state"] == "Approved"
    await nightly.adjust_approved(shop.deps)
    assert (await shop.sub())["quantity"] == 2
    assert (await shop.get("/licence-adjustment"))["state"] == "None"


async def test_an_approval_holds_for_the_number_that_was_asked(
    shop: Shop, tenant: dict[str, Any]
) -> None:
    await shop.buy()
    shop.customer = await shop.add_customer(tenant_id=TENANT)
    await shop.assigned(30, mode="AutoAdjusted")
    shop.day(date(2026, 3, 1))
    tenant[TENANT] = {"Microsoft365": 10, "Dynamics365": 0}
    await nightly.adjust_all(shop.deps)
    answer = await shop.post("/licence-adjustment:approve", {"wouldMove": 19})
    check_problem(answer, 409, "ANOTHER_NUMBER")
    answer = await shop.post("/licence-adjustment:approve", {"wouldMove": "20"})
    problem = check_problem(answer, 400, "INVALID_INPUT")
    assert problem["errors"][0]["pointer"] == "#/wouldMove"
    assert (await shop.post("/licence-adjustment:approve", {"wouldMove": 20})).status_code == 200
    tenant[TENANT] = {"Microsoft365": 2, "Dynamics365": 0}  # it grew before it was carried out
    await nightly.adjust_approved(shop.deps)
    assert (await shop.sub())["quantity"] == 30
    waiting = await shop.get("/licence-adjustment")
    assert (waiting["state"], waiting["wouldMove"]) == ("Waiting", 28)
    await shop.post("/licence-adjustment:approve", {"wouldMove": 28})
    tenant[TENANT] = {"Microsoft365": 5, "Dynamics365": 0}  # it became less: still approved
    await nightly.adjust_all(shop.deps)
    assert (await shop.get("/licence-adjustment"))["state"] == "Approved"
    await nightly.adjust_approved(shop.deps)
    assert (await shop.sub())["quantity"] == 5
    assert (await shop.get("/licence-adjustment"))["state"] == "None"
