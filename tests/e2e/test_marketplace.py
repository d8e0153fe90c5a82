"""The scenarios of the marketplace (marketplace-auth.md, appendix A), through host and task hub.

One fair, many orders at once: every scenario has orders of its own, things happen to all of them
together, and what came of it is looked at afterwards.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from shared.marketplace.model import UsageStatus
from tests.e2e.bazaar import PRIVATE, Bazaar
from tests.e2e.fair import ACCEPT_SECONDS, UNREADABLE, Fair
from tests.e2e.parties import Partner
from tests.e2e.scene import Scene

# The fair is one fixture: half a minute of work on a machine of its own, much more beside others.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def fair(scene: Scene, second_partner: Partner) -> Iterator[Fair]:
    bazaar = Bazaar(scene).open()
    bazaar.sim("webhook", acceptAfter=ACCEPT_SECONDS)
    yield Fair(bazaar, second_partner).run()
    bazaar.close()


def what(fair: Fair, name: str) -> list[str]:
    """The kinds of entries in an order's ledger."""
    return [entry["what"] for entry in fair.bazaar.explained(name)["entries"]]


def test_scenario_01_purchases_land_are_activated_and_make_one_licence(fair: Fair) -> None:
    assert fair.seen["landed"] == {200}  # one of them three times, with + and / in the token
    assert what(fair, "one") == ["activated", "applied"]
    bought = [order["id"] for pool in pools_of(fair) for order in pool["orders"]]
    orders = fair.bazaar.orders()
    assert [bought.count(orders[name]["id"]) for name in ("one", "crashed", "refused")] == [1, 1, 1]
    merged = {pool["item"] for pool in pools_of(fair) if len(pool["orders"]) > 1}
    assert merged == {"INS-M365"}  # Fly never merges
    assert fair.seen["parked"][fair.bazaar.ids["refused"]] == "ACTIVATION_REFUSED"
    assert what(fair, "refused")[-1] == "applied"
    assert fair.seen["expired"].status_code == 410
    assert "Manage Account" in fair.seen["expired"].text


def test_scenario_02_manage_account_changes_nothing(fair: Fair) -> None:
    shown = {name: answer.text for name, answer in fair.seen["managed"].items()}
    for name, state in (
        ("up", "Subscribed"),
        ("suspended", "Suspended"),
        ("merged too", "Unsubscribed"),
    ):
        assert fair.seen["managed"][name].status_code == 200
        assert state in shown[name]
        applied = [
            e["said"] for e in fair.bazaar.explained(name)["entries"] if "Landing" in e["said"]
        ]
        assert applied[-1] == "Landing: nothing had to change"


def test_scenario_03_resellers_and_two_who_claim_one_purchase(fair: Fair) -> None:
    me = fair.bazaar.scene.partner.get("/partners/me")["partnerId"]
    orders = fair.bazaar.orders()
    assert (orders["csp"]["partnerId"], orders["stranger"]["partnerId"]) == (me, me)
    assert fair.seen["parked"][fair.bazaar.ids["stranger"]] == "PARTNER_UNKNOWN"
    late = fair.seen["second claim"]
    assert (late.status_code, late.headers["X-Error-Code"]) == (409, "ORDER_CLAIMED")
    assert "stranger" not in fair.bazaar.orders(fair.second)


def test_scenario_04_changes_are_answered_and_applied(fair: Fair) -> None:
    names = ("up", "down", "too late", "private", "own", "revert")
    ended = {name: fair.bazaar.operation(fair.seen[name]) for name in names}
    assert ended == dict.fromkeys(names, "Succeeded") | {"down": "Failed"}
    assert fair.seen["locked"].status_code == 409
    order = fair.bazaar.orders()["too late"]
    shown = (order["quantity"], order["channelQuantity"], order["code"])
    assert shown == (10, 5, "PREPAID_NOT_REDUCIBLE")
    assert fair.bazaar.orders()["private"]["planId"] == PRIVATE
    assert fair.bazaar.orders()["down"]["quantity"] == 10


def test_scenario_05_suspended_reinstated_renewed_ended(fair: Fair) -> None:
    orders = fair.bazaar.orders()
    for name in ("reinstated", "bare"):
        assert fair.bazaar.operation(fair.seen[name]) == "Succeeded"
    sold = {each["id"]: each for each in fair.bazaar.state()["subscriptions"]}
    for name in ("renewed", "monthly"):
        assert orders[name]["end"] == sold[fair.bazaar.ids[name]]["term"]["endDate"][:10]
    ended = {name: orders[name]["state"] for name in ("suspended", "ending", "deleted")}
    assert set(ended.values()) == {"Cancelled"}
    told = {
        n["what"]["order"]
        for n in fair.bazaar.scene.partner.all("/notices")
        if n["kind"] == "orderCancelled"
    }
    assert {orders[name]["id"] for name in ended} <= told


def test_scenario_06_what_nobody_knows_is_answered_and_shown(fair: Fair) -> None:
    told = fair.bazaar.explained("odd action")
    shown = {each["action"]: each["state"] for each in told["deliveries"]}
    assert {shown[action] for action in ("Subscribe", "Transfer", "Levitate")} <= {
        "Applied",
        "Ignored",
    }
    assert shown["Levitate"] == "Ignored"
    assert [fair.seen["parked"][fair.bazaar.ids[name]] for name in ("empty", "null")] == [
        "INVALID_INPUT"
    ] * 2
    assert fair.bazaar.orders()["text"]["state"] == "Active"


def test_scenario_07_copies_disorder_and_forgeries_change_nothing(fair: Fair) -> None:
    bazaar = fair.bazaar
    assert what(fair, "copies").count("answered") == 1
    assert what(fair, "copies").count("applied") == 2
    assert fair.seen["no token"] == [401, 401]
    refused = [each for each in bazaar.statuses() if each[-1] in (401, 403)]
    assert sorted(each[-1] for each in refused) == [401, 401, 403, 403, 403, 403]
    forged = bazaar.explained("forged")
    assert forged["order"]["state"] == "Active"
    assert "forged" not in [each["eventId"] for each in forged["deliveries"]]
    lies = [
        e["said"] for e in forged["entries"] if e["eventId"] and e["eventId"].startswith("lie-")
    ]
    assert len(lies) == 4
    assert all(said.endswith("nothing had to change") for said in lies)
    codes = {
        each["externalId"]: each["code"]
        for each in bazaar.scene.partner.all("/orders?status=PARKED")
    }
    assert codes["no-one"] == "SUBSCRIPTION_UNKNOWN"


def test_scenario_08_faults_and_outages_are_outlived(fair: Fair) -> None:
    orders = fair.bazaar.orders()
    names = [*(f"get {n}" for n in UNREADABLE), *(f"patch {n}" for n in (409, 400, 500))]
    found = {name: (orders[name]["quantity"], orders[name]["isParked"]) for name in names}
    assert found == dict.fromkeys(names, (15, False))
    assert [orders[name]["quantity"] for name in ("hours", "long")] == [15, 15]
    tries = {each["operationId"]: each["tries"] for each in fair.bazaar.state()["deliveries"]}
    assert max(tries.values()) >= 2


def test_scenario_09_the_walk_reads_every_page_and_adopts(fair: Fair) -> None:
    assert fair.seen["pages"] >= 2  # 120 rows that are none come first
    actions = {
        name: fair.bazaar.explained(name)["deliveries"][-1]["action"]
        for name in ("adopted", "long")
    }
    assert actions == {"adopted": "Adopted", "long": "Reconciliation"}


def test_scenario_10_usage_is_told_once_and_never_lost(fair: Fair) -> None:
    bazaar = fair.bazaar
    accepted = bazaar.metered("up")
    assert {each.status for each in accepted} == {UsageStatus.ACCEPTED}
    assert "running" not in {each.record.dimension for each in accepted}  # its hour runs still
    late = [(each.status, each.record.quantity) for each in bazaar.metered("revert")]
    assert [status for status, _ in late].count(UsageStatus.EXPIRED) == 2
    assert (UsageStatus.ACCEPTED, Decimal("0.3")) in late
    assert bazaar.metered("suspended") == []  # held until it is reinstated
    (after_its_end,) = bazaar.metered("merged too")
    assert after_its_end.status is UsageStatus.ACCEPTED
    twice = {each.record.dimension: each.status for each in bazaar.metered("own")}
    assert twice == {"same": UsageStatus.ACCEPTED, "other": UsageStatus.MISMATCH}
    log = bazaar.scene.stack.logs / "host.log"
    bazaar.until(lambda: f"metering does not agree: {bazaar.ids['own']}" in log.read_text())


def pools_of(fair: Fair) -> list[dict[str, Any]]:
    """The pools that were bought at the fair."""
    found = fair.bazaar.scene.partner.all("/pools")
    return [pool for pool in found if pool["source"] == "Fair"]
