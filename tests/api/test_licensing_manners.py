"""What holds for every licensing route: keys, conditions, explanations, as-of, the catalogue."""

from datetime import date

import pytest

from tests.api.conftest import check_problem
from tests.api.licensing import SLOT, Shop, code_of


async def test_lic_49_history_and_explanation_of_a_number(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(30)
    await shop.verb("increase", {"quantity": 5})
    base = f"/customers/{shop.customer}/subscriptions/{SLOT}"
    entries = (await shop.get(f"{base}/history"))["value"]
    assert [entry["action"] for entry in entries] == ["Assigned", "Increased"]
    assert entries[1]["before"]["quantity"] == 30
    assert entries[1]["after"]["quantity"] == 35
    reasons = (await shop.get(f"{base}/explain"))["reasons"]
    assert [reason["value"] for reason in reasons] == [30, 35]
    assert "LIC-18" in reasons[1]["rules"]
    left = (await shop.get(f"/pools/{pool}/explain"))["reasons"]
    assert left[-1]["value"] == (await shop.pool(pool))["available"] == 65
    assert (await shop.get(f"{base}/explain?what=expiry"))["reasons"]


async def test_svc_01_the_catalogue_is_served(shop: Shop) -> None:
    found = await shop.get("/catalogue")
    assert SLOT in {item["code"] for item in found["poolItems"]}
    assert {"groups", "settings", "services"} <= found.keys()


async def test_svc_05_add_ons_need_a_prerequisite_and_cus_24_hides(shop: Shop) -> None:
    base = f"/customers/{shop.customer}"
    problem = check_problem(
        await shop.post(f"{base}/add-ons/RSK:enable"), 422, "PREREQUISITE_MISSING"
    )
    assert problem["rule"] == "SVC-07"
    await shop.buy()
    await shop.assigned()
    shop.day(date(2026, 2, 2))
    assert code_of(await shop.verb("expire")) == ""
    shown = (await shop.get(f"{base}/services"))["value"]  # its add-ons have ended with it
    assert {each["state"] for each in shown} == {"Expired"}
    assert (await shop.post(f"{base}/services:hideExpired")).json()["value"] == []
    assert (await shop.post(f"{base}/services:showExpired")).json()["value"] == shown


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"slot": SLOT, "quantity": 0}, {"#/quantity"}),
        ({"slot": SLOT, "quantity": "7", "mode": "x"}, {"#/quantity", "#/mode"}),
        ({"slot": SLOT, "seats": 7}, {"#/seats"}),
        ({"slot": SLOT, "source": "Direct", "quantity": 1, "expiresOn": "soon"}, {"#/expiresOn"}),
        (
            {"slot": SLOT, "source": "Direct", "quantity": 1, "settings": {"colour": 1, "size": 2}},
            {"#/settings/colour", "#/settings/size"},
        ),
    ],
)
async def test_every_wrong_field_names_itself_and_changes_nothing(
    shop: Shop, body: dict[str, object], pointers: set[str]
) -> None:
    await shop.buy()
    before = await shop.state()
    problem = check_problem(
        await shop.post(f"/customers/{shop.customer}/subscriptions", body), 400, "INVALID_INPUT"
    )
    assert {error["pointer"] for error in problem["errors"]} == pointers
    assert await shop.state() == before


async def test_the_same_key_is_the_same_command(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(10)
    path = f"/customers/{shop.customer}/subscriptions/{SLOT}:increase"
    for _ in range(2):
        answer = await shop.post(path, {"quantity": 5}, **{"Idempotency-Key": "job-1"})
        assert answer.json()["subscription"]["quantity"] == 15
    assert (await shop.pool(pool))["assigned"] == 15


async def test_settings_change_under_if_match_only(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(10)
    path = f"/api/v1/customers/{shop.customer}/subscriptions/{SLOT}"
    body = {"contractEndDate": "2027-06-30"}
    etag = (await shop.api.get(path, headers=shop.headers)).headers["ETag"]
    check_problem(
        await shop.api.patch(path, json=body, headers=shop.headers), 428, "PRECONDITION_REQUIRED"
    )
    sent = {**shop.headers, "If-Match": etag}
    answer = await shop.api.patch(path, json=body, headers=sent)
    assert answer.json()["subscription"]["contractEndDate"] == "2027-06-30"
    again = await shop.api.patch(path, json={"contractEndDate": "2027-07-01"}, headers=sent)
    assert again.status_code == 412


async def test_as_of_known_at_and_pages_of_the_ledger(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(30)
    shop.day(date(2026, 2, 1))
    await shop.verb("increase", {"quantity": 5})
    base = f"/customers/{shop.customer}/subscriptions"
    then = (await shop.get(f"{base}?asOf=2026-01-31"))["value"]
    assert [each["quantity"] for each in then] == [30]
    assert (await shop.get(f"{base}?knownAt=2025-12-31T00:00:00Z"))["value"] == []
    assert (await shop.get(f"/pools/{pool}?asOf=2026-01-31"))["available"] == 70
    first = await shop.get("/ledger?maxpagesize=2")
    rest = await shop.get(first["nextLink"].split("/api/v1")[1])
    kinds = [event["kind"] for event in (*first["value"], *rest["value"])]
    assert kinds == ["PoolOpened", "Assigned", "Increased"]
    assert "nextLink" not in rest
    mine = await shop.get(f"/ledger?customerId={shop.customer}")
    assert [event["kind"] for event in mine["value"]] == ["Assigned", "Increased"]
