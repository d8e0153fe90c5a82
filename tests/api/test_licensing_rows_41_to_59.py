"""One test per row, LIC 41 to 59, through the API: seats that follow, history, trials, terms.

LIC-47 is proved with the marketplaces, and with table 5.2.
"""

from datetime import date
from typing import Any

import pytest

from shared.customers import nightly
from shared.microsoft365.directory import Directory
from shared.usage import licences
from tests.api.conftest import check_problem
from tests.api.licensing import SLOT, Shop, code_of, refused
from tests.api.test_reseller_rows import Chain
from tests.api.usage import Months, protected

MARKET = {"channel": "Marketplace", "source": "CloudBlue"}
TENANT = "44444444-2222-3333-4444-555555555555"
AUTO = {"mode": "AutoAdjusted"}


class Tenant:
    """What reading the customer's directory gives: `users` have a counted product, others not."""

    def __init__(self) -> None:
        self.users: int | None = 0
        self.products: dict[str, frozenset[str]] = {}

    async def assigned_products(self, _: object) -> dict[str, frozenset[str]]:
        """User -> products."""
        if self.users is None:
            raise OSError("nobody answers")
        counted = {f"user{n}": frozenset({"SPE_E3"}) for n in range(self.users)}
        return {**counted, **self.products}


@pytest.fixture
async def tenant(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """The tenant of the shop's customer."""
    found = Tenant()
    monkeypatch.setattr(Directory, "assigned_products", lambda self: found.assigned_products(self))
    shop.customer = await shop.add_customer(tenant_id=TENANT)
    return found


async def adjusted(shop: Shop) -> dict[str, Any]:
    """Follow the tenant now: as was told in advance."""
    told = await shop.preview("adjust")
    answer = await shop.post(f"/customers/{shop.customer}/subscriptions:adjust")
    assert answer.status_code == 200, answer.text
    assert told["isAllowed"]
    assert len(told["effects"]) == len(answer.json()["events"])
    found: dict[str, Any] = answer.json()
    return found


async def use(shop: Shop) -> dict[str, Any]:
    """What the customer uses."""
    found: dict[str, Any] = await shop.get(f"/customers/{shop.customer}/licence-use")
    return found


async def test_lic_41_automatic_is_the_default(shop: Shop, tenant: Tenant) -> None:
    await shop.buy()
    tenant.users = 7
    sub = await shop.assigned(None)
    assert (sub["mode"], sub["quantity"]) == ("AutoAdjusted", 7)


async def test_lic_42_manual_stays_as_entered(shop: Shop, tenant: Tenant) -> None:
    await shop.buy()
    await shop.assigned(30, mode="Manual")
    tenant.users = 40
    assert (await adjusted(shop))["events"] == []
    assert (await shop.sub())["quantity"] == 30
    (shown,) = (await use(shop))["subscriptions"]
    assert (shown["held"], shown["used"], shown["shown"]) == (30, 40, "40/30")


async def test_lic_43_automatic_follows_the_licences(shop: Shop, tenant: Tenant) -> None:
    await shop.buy()
    await shop.buy("FLY-OBJECTS")
    await shop.assigned(30, **AUTO)
    tenant.users = 34
    assert (await adjusted(shop))["value"][0]["quantity"] == 34
    answer = await shop.assign(5, slot="FLY-OBJECTS", **AUTO)
    problem = refused(answer, 422, "AUTO_NOT_SUPPORTED", "LIC-43")
    assert problem["errors"][0]["pointer"] == "#/mode"
    before = await shop.state()
    tenant.users = None
    answer = await shop.post(f"/customers/{shop.customer}/subscriptions:adjust")
    check_problem(answer, 409, "TENANT_NOT_READ")
    assert await shop.state() == before
    await shop.adds_up()


async def test_lic_44_a_decrease_in_the_lock_waits(shop: Shop, tenant: Tenant) -> None:
    await shop.buy()
    await shop.assigned(30, **AUTO)
    shop.day(date(2026, 1, 11))
    tenant.users = 25
    sub = (await adjusted(shop))["value"][0]
    assert (sub["quantity"], sub["pendingDecrease"]) == (30, 25)
    (waiting,) = (await shop.get("/licence-attention"))["value"]
    seen = (waiting["kind"], waiting["on"], waiting["quantity"], waiting["subscriptionId"])
    assert seen == ("pendingDecrease", "2026-02-01", 5, SLOT)
    shop.day(date(2026, 1, 31))
    await shop.sweep()
    assert (await shop.sub())["quantity"] == 30
    shop.day(date(2026, 2, 1))
    await shop.sweep()
    sub = await shop.sub()
    assert (sub["quantity"], sub["pendingDecrease"]) == (25, None)
    await shop.adds_up()


async def test_lic_45_an_increase_takes_what_there_is(shop: Shop, tenant: Tenant) -> None:
    await shop.buy(quantity=34)
    await shop.assigned(30, **AUTO)
    tenant.users = 40
    done = await adjusted(shop)
    assert (done["value"][0]["quantity"], done["value"][0]["shortfall"]) == (34, 6)
    assert done["notices"][0]["kind"] == "shortfall"
    notices = (await shop.get("/licence-attention"))["value"]
    assert [(each["kind"], each["quantity"]) for each in notices] == [
        ("poolLow", 0),
        ("shortfall", 6),
    ]
    await shop.change_order("quantity", quantity=50)
    done = await adjusted(shop)
    assert (done["value"][0]["quantity"], done["value"][0]["shortfall"]) == (40, 0)
    await shop.adds_up()


async def test_lic_46_users_are_counted_not_products(shop: Shop, tenant: Tenant) -> None:
    tenant.users = 6
    tenant.products = {
        "two": frozenset({"SPE_E3", "EXCHANGESTANDARD"}),
        **{f"free{n}": frozenset({"FLOW_FREE"}) for n in range(3)},
    }
    assert (await use(shop))["counted"]["Microsoft365"] == 7


async def test_lic_48_the_source_of_every_subscription(shop: Shop) -> None:
    await shop.buy()
    await shop.buy("POL", paymentOption="Monthly", **MARKET)
    await shop.assigned(5)
    shop.customer = await shop.add_customer()
    await shop.assigned(5, slot="POL", source="CloudBlue")
    rows = (await shop.get("/subscriptions"))["value"]
    assert {row["slot"]: row["source"] for row in rows} == {SLOT: "Direct", "POL": "CloudBlue"}
    (only,) = (await shop.get("/subscriptions?source=CloudBlue"))["value"]
    assert (only["slot"], only["customerId"]) == ("POL", shop.customer)
    page = await shop.get("/subscriptions?maxpagesize=1")
    rest = await shop.get(page["nextLink"].split("/api/v1")[1])
    assert len({row["slot"] for row in (*page["value"], *rest["value"])}) == 2


async def test_lic_49_modifications_are_kept(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(50)
    await shop.verb("increase", {"quantity": 10})
    shop.day(date(2026, 3, 1))
    await shop.verb("expire")
    base = f"/customers/{shop.customer}"
    entries = (await shop.get(f"{base}/subscriptions/{SLOT}/history"))["value"]
    assert [entry["action"] for entry in entries] == ["Assigned", "Increased", "Expired"]
    seen = [(e["before"].get("quantity"), e["after"].get("quantity")) for e in entries]
    assert seen == [(None, 50), (50, 60), (60, 0)]
    assert {entry["actor"].split(":")[0] for entry in entries} == {"application"}
    assert [entry["at"][:10] for entry in entries] == ["2026-01-01", "2026-01-01", "2026-03-01"]
    every = (await shop.get(f"{base}/licence-history"))["value"]
    assert len(every) >= len(entries)


async def test_lic_50_a_trial_takes_nothing(shop: Shop) -> None:
    pool = await shop.buy()
    trial = await shop.assigned(None, type="Trial")
    assert (trial["state"], trial["quantity"], trial["poolId"]) == ("Trial", 0, None)
    assert (await shop.pool(pool))["available"] == 100
    answer = await shop.verb("increase", {"quantity": 1})
    refused(answer, 409, "TRIAL_NOT_CONFIGURABLE", "SVC-25")


async def test_lic_51_usable_until_the_end_of_the_day(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(5, expiresOn="2026-02-28")
    shop.day(date(2026, 2, 28))
    await shop.sweep()
    assert (await shop.sub())["state"] == "Active"
    (near,) = (await shop.get("/licence-attention"))["value"]
    assert (near["kind"], near["on"], near["threshold"]) == ("expiring", "2026-02-28", 1)
    shop.day(date(2026, 3, 1))
    assert (await shop.sub())["state"] == "Expired"  # also before the sweep
    await shop.sweep()
    assert (await shop.sub())["endedOn"] == "2026-02-28"
    services = (await shop.get(f"/customers/{shop.customer}/services"))["value"]
    assert {each["state"] for each in services} == {"Expired"}  # add-ons follow
    told = await shop.preview("setHidden", isHidden=True)
    assert told["isAllowed"]
    assert (await shop.get(f"/customers/{shop.customer}/services"))["value"] == services
    hidden = await shop.post(f"/customers/{shop.customer}/services:hideExpired")
    assert hidden.json()["value"] == []


async def test_lic_52_providers_edit_policies_under_the_variable_model(shop: Shop) -> None:
    found = await use(shop)
    assert (found["licenceModel"], found["isPolicyEditingAllowed"]) == ("Variable", True)
    assert found["counted"] is None  # no tenant to read
    settings = {"plan": "Flex", "licenceModel": "Fixed"}
    await shop.assigned(None, slot="VDC", settings=settings)
    found = await use(shop)
    assert (found["licenceModel"], found["isPolicyEditingAllowed"]) == ("Fixed", False)


async def test_lic_53_licences_in_use_and_their_history(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(30, mode="Manual")
    for day, number in ((date(2026, 1, 5), 12), (date(2026, 1, 6), 14), (date(2026, 1, 7), 14)):
        shop.day(day)
        assert code_of(await shop.intervene("noteProtected", protected=number)) == ""
    found = await use(shop)
    assert (found["licences"], found["subscriptions"][0]["licences"]) == (14, 14)
    assert [(point["day"], point["licences"]) for point in found["history"]][-2:] == [
        ("2026-01-05", 12),
        ("2026-01-06", 14),
    ]
    answer = await shop.intervene("noteProtected", protected=-1)
    assert check_problem(answer, 400, "INVALID_INPUT")["errors"][0]["pointer"] == (
        "#/change/protected"
    )


async def test_lic_53_a_night_notes_who_is_backed_up(shop: Shop) -> None:
    """What the evening measured stands at the subscriptions: users, or GB where those count."""
    months, day = Months(shop), date(2026, 3, 2)
    await shop.buy(quantity=1000)
    await shop.buy("CMG")
    first = shop.customer = await protected(months)
    await shop.assigned(30, mode="Manual")
    await shop.assigned(5, slot="CMG", mode="Manual")  # it backs up nobody
    shop.customer = await shop.add_customer()
    await shop.assigned(30, mode="Manual")  # nobody is protected
    shop.customer = await protected(months)
    await shop.assigned(None, settings={"subscriptionModel": "UnlimitedUsers"})
    await months.measure(day, day)
    rows = await shop.deps.usage()
    [measured] = await rows.days(shop.scope, day, shop.customer)
    stored = measured.model_copy(update={"stored_bytes": 819_000_000_001})
    await rows.put_days(shop.scope, [stored])
    shop.day(date(2026, 3, 3))
    assert await licences.note(shop.deps, rows, shop.scope, day) == 2
    before = await shop.state()
    assert await licences.note(shop.deps, rows, shop.scope, day) == 0
    assert await shop.state() == before
    sub = await shop.sub()
    assert (sub["purchasedCapacityGb"], sub["protectedCapacityGb"]) == (820, 820)
    # What could not be read stays what it is.
    await rows.put_days(shop.scope, [stored.model_copy(update={"stored_bytes": None})])
    assert await licences.note(shop.deps, rows, shop.scope, day) == 0
    shop.customer = first
    found = await use(shop)
    by_slot = {each["subscriptionId"]: each["licences"] for each in found["subscriptions"]}
    assert by_slot == {"CBM-M365": 14, "CMG": 0}
    assert (found["licences"], found["history"][-1]["licences"]) == (14, 14)
    assert found["history"][-1]["day"] == "2026-03-03"
    await shop.adds_up()


async def test_lic_54_change_over_the_month(shop: Shop) -> None:
    await shop.buy(quantity=200)
    await shop.assigned(100)
    shop.day(date(2026, 2, 10))
    await shop.verb("increase", {"quantity": 7})
    shop.customer = await shop.add_customer()
    await shop.assigned(5)
    found = await shop.get("/licence-change")
    assert (found["previousDay"], found["previousLicences"]) == ("2026-01-31", 100)
    assert (found["licences"], found["licenceChange"], found["customerChange"]) == (112, 12, 1)
    then = await shop.get("/licence-change?on=2026-01-15")
    assert (then["licences"], then["licenceChange"]) == (100, 100)


async def test_lic_55_nothing_while_usage_reports_are_missing(shop: Shop, tenant: Tenant) -> None:
    await shop.buy()
    await shop.assigned(30)
    path = f"/partners/{shop.partner_id}:setStanding"
    body = {"licenceManagementSuspended": True}
    check_problem(await shop.post(path, body), 403, "PERMISSION_MISSING")
    answer = await shop.api.post(f"/api/v1{path}", json=body, headers=shop.operator)
    assert answer.status_code == 200, answer.text
    tenant.users = 40
    before = await shop.state()
    for answer in (
        await shop.assign(slot="POL"),
        await shop.verb("increase", {"quantity": 1}),
        await shop.verb("expire"),
        await shop.post(f"/customers/{shop.customer}/subscriptions:adjust"),
        await shop.disconnect(),
    ):
        refused(answer, 403, "LICENSE_MANAGEMENT_SUSPENDED", "LIC-55")
    assert await shop.state() == before
    assert (await shop.sub())["state"] == "Active"  # what is protected stays protected


async def test_lic_56_a_reseller_gives_no_more_than_it_was_given(shop: Shop) -> None:
    chain = await Chain(shop).open()
    below, reseller = await chain.joined()
    await chain.pass_on(reseller, 40)
    (pool,) = (await below.get("/pools"))["value"]
    refused(await below.assign(41, poolId=pool["id"]), 409, "POOL_EXHAUSTED", "LIC-04")
    await below.assigned(40, poolId=pool["id"])
    await chain.adds_up(below)


async def test_lic_57_a_converted_trial_is_a_first_assignment(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(None, type="Trial")
    shop.day(date(2026, 1, 20))
    told = await shop.preview("convert", source="Direct", quantity=3)
    assert told["isAllowed"]
    sub = (await shop.verb("convert", {"source": "Direct", "quantity": 3})).json()["subscription"]
    assert (sub["type"], sub["state"], sub["quantity"]) == ("Subscription", "Active", 3)
    assert (sub["assignedOn"], sub["commitmentEndsOn"]) == ("2026-01-20", "2026-02-20")
    assert (await shop.pool(pool))["available"] == 97
    answer = await shop.verb("convert", {"source": "Direct", "quantity": 3})
    refused(answer, 409, "NOT_A_TRIAL", "LIC-57")


async def test_lic_58_say_which_pool(shop: Shop) -> None:
    payg = await shop.buy(quantity=None, paymentType="Payg", paymentOption="Monthly")
    prepaid = await shop.buy(channel="OffMarketplace", source="Reselling Ltd")
    base = f"/customers/{shop.customer}/subscriptions"
    body = {"slot": SLOT, "quantity": 1}
    problem = refused(await shop.post(base, body), 400, "AMBIGUOUS_POOL", "LIC-58")
    assert problem["errors"][0]["pointer"] == "#/source"
    assert {each["poolId"] for each in problem["pools"]} == {payg, prepaid}
    await shop.buy()  # prepaid from Direct as well: now the payment type decides
    answer = await shop.post(base, {**body, "source": "Direct"})
    problem = refused(answer, 400, "AMBIGUOUS_POOL", "LIC-58")
    assert problem["errors"][0]["pointer"] == "#/paymentType"
    answer = await shop.post(base, {**body, "source": "Direct", "paymentType": "Payg"})
    assert answer.json()["subscription"]["poolId"] == payg


async def test_lic_58_fly_goes_by_name(shop: Shop) -> None:
    monthly = {"paymentOption": "Monthly", "end": "2026-01-31", **MARKET}
    pools = {name: await shop.buy("FLY-AVIATOR", 10, name=name, **monthly) for name in ("a", "b")}
    asked = {"slot": "FLY-AVIATOR", "source": "CloudBlue"}
    problem = refused(await shop.assign(1, **asked), 400, "AMBIGUOUS_POOL", "SVC-42")
    assert problem["errors"][0]["pointer"] == "#/subscriptionName"
    assert (await shop.assigned(1, **asked, subscriptionName="b"))["poolId"] == pools["b"]


@pytest.mark.parametrize("renewed", [True, False])
async def test_lic_59_the_commitment_runs_across_renewals(shop: Shop, renewed: bool) -> None:
    pool = await shop.buy(
        paymentOption="Monthly", contractEffective="2026-02-01", end="2026-02-28", **MARKET
    )
    shop.day(date(2026, 2, 10))
    sub = await shop.assigned(5, poolId=pool)
    assert sub["expiresOn"] == "2026-02-28"
    if renewed:
        await shop.change_order("renew", end="2026-03-31")
    shop.day(date(2026, 3, 12))
    answer = await shop.verb("reduce", {"quantity": 1})
    if not renewed:
        refused(answer, 409, "SUBSCRIPTION_EXPIRED", "5.2 Pool expired")
        assert (await shop.sub())["expiresOn"] == "2026-02-28"
        return
    refused(answer, 409, "LIC_MIN_TERM", "LIC-17", "2026-03-13")
    shop.day(date(2026, 3, 13))
    assert code_of(await shop.verb("reduce", {"quantity": 1})) == ""


async def test_nightly_work_reads_the_same_tenant(shop: Shop, tenant: Tenant) -> None:
    """What a person may ask for at once happens every night by itself."""
    await shop.buy()
    await shop.assigned(30, **AUTO)
    tenant.users = 33
    assert (await nightly.adjust_all(shop.deps))[shop.partner_id] == 1
    assert (await shop.sub())["quantity"] == 33
