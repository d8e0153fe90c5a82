"""Applications, API keys, addresses, and tokens that are not good: the doors of the API."""

import time
from typing import Any

import httpx
import pytest

from tests.api.conftest import API, check_problem
from tests.api.world import World
from tests.entra import Entra

V1 = "/api/v1"
STAR = {"If-Match": "*"}
CLIENT = "11111111-aaaa-bbbb-cccc-555555555555"
SOON = "2026-12-31T00:00:00Z"
HOME, AWAY = {"X-Forwarded-For": "203.0.113.7:4711"}, {"X-Forwarded-For": "198.51.100.1:4711"}
ONLY_HOME = {"isOn": True, "ranges": [{"start": "203.0.113.1", "end": "203.0.113.9"}]}


@pytest.fixture
def admin(two: World, anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    """Partner A's administrator."""
    anonymous.headers.update(two.caller("administrator"))
    return anonymous


async def key_of(admin: httpx.AsyncClient, **more: Any) -> tuple[str, str]:
    """A new key: its id and its text."""
    body = {"name": "Tool", "permissions": [], "expiresAt": SOON, **more}
    answer = await admin.post(f"{V1}/api-keys", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()["id"], answer.json()["key"]


async def test_an_application_is_registered_limited_and_removed(
    two: World, admin: httpx.AsyncClient
) -> None:
    caller = two.bearer(two.a.tenant_id, azp=CLIENT)
    check_problem(await admin.get(f"{V1}/customers", headers=caller), 403, "CLIENT_NOT_REGISTERED")
    body = {
        "clientId": CLIENT.upper(),
        "name": "RMM",
        "permissions": ["CustomerCreation"],
        "customerIds": [two.mine["customer_id"]],
    }
    made = await admin.post(f"{V1}/api-clients", json=body)
    assert made.json()["permissions"] == ["CustomerCreation", "MonitoringAccess"]
    check_problem(await admin.post(f"{V1}/api-clients", json=body), 409, "CLIENT_EXISTS")
    listed = (await admin.get(f"{V1}/customers", headers=caller)).json()["value"]
    assert [each["id"] for each in listed] == [two.mine["customer_id"]]
    narrow = await admin.post(f"{V1}/customers", json={"displayName": "x"}, headers=caller)
    check_problem(narrow, 403, "SCOPE_TOO_NARROW")
    path = f"{V1}/api-clients/{CLIENT}"
    del body["clientId"]
    off = await admin.put(path, json=body | {"isEnabled": False}, headers=STAR)
    assert off.json()["isEnabled"] is False
    check_problem(await admin.get(f"{V1}/customers", headers=caller), 403, "CLIENT_NOT_REGISTERED")
    assert (await admin.delete(path, headers=STAR)).status_code == 204
    check_problem(await admin.put(path, json=body, headers=STAR), 404, "NOT_FOUND")


async def test_a_public_client_proves_nothing(two: World, admin: httpx.AsyncClient) -> None:
    caller = two.bearer(two.a.tenant_id, azp="daemon-a", azpacr="0")
    check_problem(await admin.get(f"{V1}/customers", headers=caller), 401, "TOKEN_INVALID")


async def test_api_keys_are_shown_once_and_revoked(two: World, admin: httpx.AsyncClient) -> None:
    key_id, text = await key_of(admin)
    for headers in ({"X-Api-Key": text}, {"Authorization": f"Bearer {text}"}):
        admin.headers.pop("Authorization", None)
        me = (await admin.get(f"{V1}/partners/me", headers=headers)).json()
        assert (me["kind"], me["name"], me["subject"]) == ("key", "Tool", key_id)
    admin.headers.update(two.caller("administrator"))
    shown = await admin.get(f"{V1}/api-keys/{key_id}")
    assert text not in shown.text
    assert text.startswith(shown.json()["prefix"])
    both = await admin.get(f"{V1}/customers", headers={"X-Api-Key": text})
    check_problem(both, 401, "UNAUTHORIZED")
    assert (await admin.delete(f"{V1}/api-keys/{key_id}", headers=STAR)).status_code == 204
    del admin.headers["Authorization"]
    gone = await admin.get(f"{V1}/customers", headers={"X-Api-Key": text})
    check_problem(gone, 401, "API_KEY_INVALID")


async def test_a_wrong_key_is_refused_alike(two: World, anonymous: httpx.AsyncClient) -> None:
    wrong = [
        two.key[:-1] + ("a" if two.key[-1] != "a" else "b"),
        two.key.replace(two.a.scope.partner_id, two.b.scope.partner_id),
        "hfk_", "hfk_x.y.z", "plain",
    ]  # fmt: skip
    for text in wrong:
        answer = await anonymous.get(f"{V1}/customers", headers={"X-Api-Key": text})
        check_problem(answer, 401, "API_KEY_INVALID")


async def test_a_key_is_bound_to_addresses(two: World, admin: httpx.AsyncClient) -> None:
    _, text = await key_of(admin, network=ONLY_HOME)
    del admin.headers["Authorization"]
    key = {"X-Api-Key": text}
    assert (await admin.get(f"{V1}/customers", headers=key | HOME)).status_code == 200
    check_problem(await admin.get(f"{V1}/customers", headers=key | AWAY), 403, "IP_NOT_ALLOWED")
    # Whatever stands left of the last hop was written by the caller.
    claimed = key | {"X-Forwarded-For": "203.0.113.7, 198.51.100.1:4711"}
    check_problem(await admin.get(f"{V1}/customers", headers=claimed), 403, "IP_NOT_ALLOWED")
    proxied = key | {"X-Forwarded-For": "198.51.100.1, 203.0.113.7:4711"}
    assert (await admin.get(f"{V1}/customers", headers=proxied)).status_code == 200


async def test_set_01_the_partners_own_name_and_addresses(
    two: World, admin: httpx.AsyncClient
) -> None:
    path = f"{V1}/partners/me/profile"
    read = await admin.get(path)
    sent = {"If-Match": read.headers["ETag"]}
    body = {"displayName": "Renamed", "network": ONLY_HOME}
    check_problem(await admin.put(path, json=body, headers=sent | AWAY), 403, "IP_NOT_ALLOWED")
    assert (await admin.put(path, json=body, headers=sent | HOME)).status_code == 200
    for caller in ("administrator", "daemon"):
        away = await admin.get(f"{V1}/customers", headers=two.caller(caller) | AWAY)
        check_problem(away, 403, "IP_NOT_ALLOWED")
    assert (await admin.get(f"{V1}/customers", headers=HOME)).status_code == 200
    # The customer's own people are not the partner's.
    own = f"{V1}/customers/{two.mine['customer_id']}"
    assert (await admin.get(own, headers=two.caller("customerAdmin") | AWAY)).status_code == 200


async def test_cus_46_47_48_ranges_of_a_customer(two: World, admin: httpx.AsyncClient) -> None:
    """SEC-11"""
    path = f"{V1}/customers/{two.mine['customer_id']}/network"
    cleo = two.caller("customerAdmin")
    for wrong in (
        {"start": "10.0.0.9", "end": "10.0.0.1"}, {"start": "10.0.0.1", "end": "::1"},
        {"start": "nowhere"}, {"start": "10.0.0.1/8"},
    ):  # fmt: skip
        answer = await admin.put(path, json={"isOn": True, "ranges": [wrong]}, headers=STAR)
        check_problem(answer, 400, "IP_RANGE_INVALID")
    provider = {"isOn": False, "ranges": [{"start": "10.0.0.1", "end": "10.0.0.9"}]}
    assert (await admin.put(path, json=provider, headers=STAR)).status_code == 200
    me = f"{V1}/partners/me"
    assert (await admin.get(me, headers=cleo | AWAY)).status_code == 200
    customer = {"isOn": True, "ranges": [{"start": "2001:db8::/32"}]}
    from_six = {"X-Forwarded-For": "[2001:db8::7]:4711"}
    own = await admin.put(path, json=customer, headers=cleo | STAR | from_six)
    assert {each["origin"] for each in own.json()["ranges"]} == {"provider", "customer"}
    for hop, status in (("10.0.0.5:1", 200), ("10.0.0.10:1", 403), ("[2001:db8::1]:1", 200)):
        answer = await admin.get(me, headers=cleo | {"X-Forwarded-For": hop})
        assert answer.status_code == status, hop


def _token(two: World, entra: Entra, **changed: Any) -> str:
    claims = {"azp": "daemon-a", **changed}
    return entra.token(two.a.tenant_id, API, **claims)


async def test_bad_tokens_are_refused(
    two: World, entra: Entra, anonymous: httpx.AsyncClient
) -> None:
    """Malformed, wrong audience, expired, unsigned, altered: 401, nothing more is told."""
    good, now = _token(two, entra), int(time.time())
    head, body, seal = good.split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    hs256 = "eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSJ9"
    bad = {
        "not a token": "x", "two parts": f"{head}.{body}", "no body": f"{head}..{seal}",
        "alg none": f"{none}.{body}.", "alg none, signed": f"{none}.{body}.{seal}",
        "HS256": f"{hs256}.{body}.{seal}", "altered": f"{head}.{body[:-4]}AAAA.{seal}",
        "unsigned": f"{head}.{body}.", "endless": "a" * 20_000,
        "audience": entra.token(two.a.tenant_id, "graph", azp="daemon-a"),
        "expired": _token(two, entra, iat=now - 7200, nbf=now - 7200, exp=now - 3600),
        "not yet": _token(two, entra, nbf=now + 3600),
        "v1": _token(two, entra, ver="1.0"),
        "issuer of another tenant": _token(two, entra, iss=f"{entra.authority}/other/v2.0"),
        "no tenant": _token(two, entra, tid=None),
        "tenant that is no GUID": _token(two, entra, tid="common"),
    }  # fmt: skip
    sent = {"Authorization": f"Bearer {good}"}
    assert (await anonymous.get(f"{V1}/customers", headers=sent)).status_code == 200
    for name, token in bad.items():
        answer = await anonymous.get(
            f"{V1}/customers", headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 401, (name, answer.text)
        problem = check_problem(answer, 401, "TOKEN_INVALID")
        assert token not in str(problem)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    basic = await anonymous.get(f"{V1}/customers", headers={"Authorization": "Basic YTpi"})
    check_problem(basic, 401, "UNAUTHORIZED")


async def test_another_tenants_key_signs_nothing_here(
    two: World, entra: Entra, anonymous: httpx.AsyncClient
) -> None:
    """marketplace-auth.md 3.1 rule 2: a published key, but its issuer is one other tenant."""
    entra.add_key("theirs", f"{entra.authority}/{two.b.tenant_id}/v2.0")
    entra.add_key("nobody's", published=False)
    good = entra.token(two.b.tenant_id, API, azp="daemon-b", kid="theirs")
    sent = {"Authorization": f"Bearer {good}"}
    first = await anonymous.get(f"{V1}/customers", headers=sent)
    # The new key is fetched at once, or after the cool-down of an unknown key id.
    assert first.status_code in {200, 401}
    for kid in ("theirs", "nobody's"):
        token = entra.token(two.a.tenant_id, API, azp="daemon-a", kid=kid)
        answer = await anonymous.get(
            f"{V1}/customers", headers={"Authorization": f"Bearer {token}"}
        )
        check_problem(answer, 401, "TOKEN_INVALID")
