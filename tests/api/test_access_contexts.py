"""Acting for a customer, closed doors, the customer's own people and what is enabled for them."""

from typing import Any

import httpx
import pytest

from functions.api.security import CONTEXT_HEADER
from tests.api.conftest import check_problem
from tests.api.world import World

V1 = "/api/v1"
STAR = {"If-Match": "*"}


@pytest.fixture
def api(two: World, anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    """Partner A's administrator, who is an admin user of A's customers as well."""
    anonymous.headers.update(two.caller("administrator"))
    return anonymous


def customer(two: World, which: str = "mine", rest: str = "") -> str:
    """The address of a customer of partner A."""
    return f"{V1}/customers/{getattr(two, which)['customer_id']}{rest}"


async def switch(api: httpx.AsyncClient, two: World, which: str = "mine") -> dict[str, str]:
    """Open a context; the header that names it."""
    body = {"customerId": getattr(two, which)["customer_id"]}
    answer = await api.post(f"{V1}/contexts", json=body)
    assert answer.status_code == 201, answer.text
    return {CONTEXT_HEADER: answer.json()["id"]}


async def edit(api: httpx.AsyncClient, two: World, body: Any, **headers: str) -> httpx.Response:
    """PATCH of the customer."""
    return await api.patch(customer(two), json=body, headers=STAR | headers)


async def test_acc_06_organisations(two: World, api: httpx.AsyncClient) -> None:
    value = (await api.get(f"{V1}/contexts/organisations")).json()["value"]
    assert [each["kind"] for each in value] == ["own", "customer", "customer"]
    assert value[0]["isCurrent"]
    await switch(api, two)
    value = (await api.get(f"{V1}/contexts/organisations")).json()["value"]
    assert [each["id"] for each in value if each["isCurrent"]] == [two.mine["customer_id"]]


async def test_acc_07_only_admin_users_switch(two: World, api: httpx.AsyncClient) -> None:
    body, bob = {"customerId": two.mine["customer_id"]}, two.caller("groupUser")
    answer = await api.post(f"{V1}/contexts", json=body, headers=bob)
    check_problem(answer, 403, "NOT_CUSTOMER_ADMIN")
    daemon = await api.post(f"{V1}/contexts", json=body, headers=two.caller("daemon"))
    check_problem(daemon, 403, "CONTEXT_FOR_USERS_ONLY")


async def test_cus_27_a_new_context_supersedes_the_old(two: World, api: httpx.AsyncClient) -> None:
    """SEC-18, ACC-08"""
    old = await switch(api, two)
    assert (await api.get(customer(two), headers=old)).status_code == 200
    new = await switch(api, two, "hidden")
    answer = await api.get(customer(two), headers=old)
    check_problem(answer, 401, "CONTEXT_SUPERSEDED")
    assert (await api.get(customer(two, "hidden"), headers=new)).status_code == 200
    # Inside one environment the others do not exist.
    check_problem(await api.get(customer(two), headers=new), 404, "NOT_FOUND")
    assert (await api.delete(f"{V1}/contexts/current", headers=new)).status_code == 204
    answer = await api.get(customer(two, "hidden"), headers=new)
    check_problem(answer, 401, "CONTEXT_EXPIRED")
    check_problem(await api.get(f"{V1}/contexts/current"), 404, "NOT_FOUND")


async def test_rst_01_02_a_user_restores_only_in_a_context(
    two: World, api: httpx.AsyncClient
) -> None:
    body = {"objectId": two.mine["object_id"], "snapshot": 1}
    answer = await api.post(f"{V1}/restores", json=body)
    check_problem(answer, 403, "PERMISSION_MISSING")
    inside = await api.post(f"{V1}/restores", json=body, headers=await switch(api, two))
    assert inside.status_code not in {401, 403}, inside.text
    cleo = await api.post(f"{V1}/restores", json=body, headers=two.caller("customerAdmin"))
    assert cleo.status_code not in {401, 403}, cleo.text


async def test_in_a_context_the_partners_own_routes_are_closed(
    two: World, api: httpx.AsyncClient
) -> None:
    inside = await switch(api, two)
    for path in ("/users", "/roles", "/api-keys", "/customer-groups"):
        check_problem(await api.get(V1 + path, headers=inside), 403, "PERMISSION_MISSING")
    me = (await api.get(f"{V1}/partners/me", headers=inside)).json()
    assert me["context"]["identity"] == me["email"] == "ann@a.example"
    assert me["customerIds"] == [two.mine["customer_id"]]


async def test_sec_17_a_closed_door(two: World, api: httpx.AsyncClient) -> None:
    """CUS-22, AMB-37: the customer closes and reopens it; the partner never reopens."""
    inside, cleo = await switch(api, two), two.caller("customerAdmin")
    path = customer(two, rest="/partner-access")
    check_problem(
        await api.put(path, json={"isAdmitted": False}, headers=STAR), 403, "PERMISSION_MISSING"
    )
    shut = await api.put(path, json={"isAdmitted": False}, headers=cleo | STAR)
    assert shut.json() == {"isAdmitted": False}
    by_key = {"Authorization": f"Bearer {two.key}"}
    for headers in (two.caller("administrator"), two.caller("daemon"), by_key):
        for closed in (f"/policies/{two.mine['policy_id']}", f"/objects/{two.mine['object_id']}"):
            answer = await api.get(V1 + closed, headers=headers)
            check_problem(answer, 403, "MSP_ACCESS_DISABLED")
        assert (await api.get(customer(two), headers=headers)).json()["partnerAccess"] is False
    listed = (await api.get(f"{V1}/policies")).json()["value"]
    assert two.mine["policy_id"] not in {each["id"] for each in listed}
    answer = await api.get(customer(two), headers=inside)
    check_problem(answer, 403, "MSP_ACCESS_DISABLED")
    answer = await edit(api, two, {"partnerAccess": True})
    check_problem(answer, 403, "MSP_ACCESS_DISABLED")
    assert (await api.get(customer(two), headers=cleo)).status_code == 200
    await api.put(path, json={"isAdmitted": True}, headers=cleo | STAR)
    assert (await api.get(f"{V1}/policies/{two.mine['policy_id']}")).status_code == 200


async def test_cus_21_customer_management_is_for_good(two: World, api: httpx.AsyncClient) -> None:
    edited = await edit(api, two, {"managementMode": "Customer"})
    shown = edited.json()
    assert (shown["managementMode"], shown["partnerAccess"]) == ("Customer", False)
    again = await edit(api, two, {"managementMode": "Partner"})
    check_problem(again, 403, "MSP_ACCESS_DISABLED")
    answer = await api.post(f"{V1}/contexts", json={"customerId": two.mine["customer_id"]})
    check_problem(answer, 403, "MSP_ACCESS_DISABLED")
    reopened = await api.put(
        customer(two, rest="/partner-access"),
        json={"isAdmitted": True},
        headers=two.caller("customerAdmin") | STAR,
    )
    assert reopened.json() == {"isAdmitted": False}


async def test_cus_39_to_44_flags_decide(two: World, api: httpx.AsyncClient) -> None:
    cleo, dan = two.caller("customerAdmin"), two.caller("customerUser")
    policies, jobs = customer(two, rest="/policies"), f"{V1}/policies/{two.mine['policy_id']}"
    off = {"createDeletePolicy": False, "editTriggerPolicy": False, "selfService": False}
    assert (await edit(api, two, {"flags": off})).json()["flags"]["emailPreviews"] is True
    answer = await api.post(policies, json={"name": "Own"}, headers=cleo)
    check_problem(answer, 403, "CUSTOMER_FLAG_OFF")
    answer = await api.post(f"{jobs}/sessions", headers=cleo)
    check_problem(answer, 403, "CUSTOMER_FLAG_OFF")
    check_problem(await api.get(f"{V1}/partners/me", headers=dan), 403, "USER_UNKNOWN")
    await edit(api, two, {"flags": {"createDeletePolicy": True, "selfService": True}})
    answer = await api.post(policies, json={"name": "Own"}, headers=cleo)
    assert answer.status_code == 201, answer.text
    me = (await api.get(f"{V1}/partners/me", headers=dan)).json()
    assert (me["kind"], me["permissions"]) == ("customerUser", ["SelfRestore"])
    check_problem(await api.get(customer(two), headers=dan), 403, "PERMISSION_MISSING")


async def test_cus_38_region(two: World, api: httpx.AsyncClient) -> None:
    check_problem(await edit(api, two, {"region": "atlantis"}), 400, "REGION_NOT_SUPPORTED")
    assert (await edit(api, two, {"region": "uksouth"})).json()["region"] == "uksouth"


async def test_cus_50_51_53_admin_users(two: World, api: httpx.AsyncClient) -> None:
    person = {"firstName": "New", "lastName": "One"}
    pending = (await api.post(f"{V1}/customers", json={"displayName": "P"})).json()["id"]
    path = f"{V1}/customers/{pending}/admins"
    added = await api.post(path, json={**person, "email": "N@p.example"})
    assert (added.status_code, added.json()["origin"]) == (201, "provider")
    again = await api.post(path, json={**person, "email": "n@p.example"})
    check_problem(again, 409, "ADMIN_EXISTS")
    onboarded = customer(two, rest="/admins")
    late = await api.post(onboarded, json={**person, "email": "n@p.example"})
    check_problem(late, 409, "CUSTOMER_NOT_PENDING")
    cleo = two.caller("customerAdmin")
    own = await api.post(onboarded, json={**person, "email": "n@p.example"}, headers=cleo)
    assert own.json()["origin"] == "customer"
    answer = await api.post(f"{V1}/contexts", json={"customerId": pending})
    check_problem(answer, 403, "CUSTOMER_PENDING")
    removed = await api.delete(f"{onboarded}/{own.json()['id']}", headers=cleo | STAR)
    assert removed.status_code == 204
    emails = [each["email"] for each in (await api.get(onboarded)).json()["value"]]
    assert emails == ["ann@a.example", "cleo@mine.example"]
