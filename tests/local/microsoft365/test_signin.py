"""Sign-in: tokens, refusals with AADSTS codes, consent pages, device code, revocation."""

import json
from urllib.parse import parse_qs, urlsplit

import jwt

from local.microsoft365.clock import Clock
from tests.local.microsoft365.conftest import (
    API,
    ONBOARDING,
    PARTNER,
    PARTNER_APP,
    READER,
    Client,
    client,
)

GRAPH = "https://graph.microsoft.com"


async def checked(one: Client, token: str, audience: str) -> dict[str, object]:
    """Validate a token the way a careful API does (marketplace-auth.md 3.1)."""
    _, _, body = await one.raw("GET", "/common/discovery/v2.0/keys")
    kid = jwt.get_unverified_header(token)["kid"]
    entry = next(key for key in json.loads(body)["keys"] if key["kid"] == kid)
    claims = jwt.decode(
        token, jwt.PyJWK(entry).key, algorithms=["RS256"], audience=audience, leeway=4000
    )
    issuer = entry["issuer"].replace("{tenantid}", claims["tid"])
    assert claims["iss"] == issuer
    assert claims["ver"] == "2.0"
    return dict(claims)


async def test_app_token_carries_the_granted_roles() -> None:
    async with client() as one:
        await one.become(READER)
        claims = await checked(one, one.token, GRAPH)
        assert claims["tid"] == one.tenant_id
        assert claims["idtyp"] == "app"
        assert claims["azp"] == READER
        assert "Mail.Read" in claims["roles"]  # type: ignore[operator]


async def test_refusals_have_the_codes_of_entra() -> None:
    async with client() as one:
        status, body = await one.take_token()
        assert (status, body["error_codes"]) == (400, [700016])
        assert body["error_description"].startswith("AADSTS700016: ")
        assert {"timestamp", "trace_id", "correlation_id", "error"} <= set(body)
        await one.consent(READER)
        for change, code in (
            ({"client_secret": "wrong"}, 7000215),
            ({"client_id": PARTNER}, 700016),
            ({"scope": "Mail.Read"}, 1002012),
            ({"grant_type": "password"}, 70003),
            ({"scope": "https://other.example/.default"}, 500011),
        ):
            assert (await one.take_token(**change))[1]["error_codes"] == [code]
        _, _, body_raw = await one.raw("POST", "/nowhere/oauth2/v2.0/token",
                                       data={"grant_type": "client_credentials"})  # fmt: skip
        assert json.loads(body_raw)["error_codes"] == [90002]


async def test_partner_token_for_the_api_has_app_roles() -> None:
    async with client() as one:
        one.tenant["tenantId"] = PARTNER
        status, body = await one.take_token(PARTNER_APP, scope=f"{API}/.default")
        assert status == 200
        claims = await checked(one, body["access_token"], API)
        assert claims["roles"] == ["Partner.Admin"]
        assert (claims["azpacr"], claims["tid"]) == ("1", PARTNER)


async def test_revoked_consent_stops_tokens_and_reading(reader: Client) -> None:
    await reader.graph("GET", "/organization")
    await reader.sim("DELETE", f"/tenants/{reader.tenant_id}/consent?clientId={READER}")
    assert (await reader.take_token())[1]["error_codes"] == [7000229]
    body = await reader.graph("GET", "/organization", status=401)
    assert body["error"]["code"] == "Authorization_IdentityNotFound"


async def test_missing_role_wrong_audience_and_old_token_are_refused() -> None:
    clock = Clock()
    async with client(clock=clock) as one:
        await one.become(READER, ["User.Read.All"])
        user = one.users[0]["id"]
        body = await one.graph("GET", f"/users/{user}/messages", status=403)
        assert body["error"]["code"] == "Authorization_RequestDenied"
        clock.advance(3601)
        body = await one.graph("GET", "/users", status=401)
        assert body["error"]["code"] == "InvalidAuthenticationToken"
        one.token = one.token[:-4] + "AAAA"
        await one.graph("GET", "/users", status=401)


async def test_new_roles_appear_after_the_configured_delay() -> None:
    clock = Clock()
    async with client(clock=clock, limits={"signin": {"roleDelay": 30}}) as one:
        await one.consent(READER)
        token = (await one.take_token())[1]["access_token"]
        assert "roles" not in await checked(one, token, GRAPH)
        clock.advance(31)
        token = (await one.take_token())[1]["access_token"]
        assert "roles" in jwt.decode(token, options={"verify_signature": False})


async def test_consent_page_shows_permissions_and_returns_to_the_app() -> None:
    async with client() as one:
        back = "http://127.0.0.1:1/callback"
        path = (
            f"/{one.tenant_id}/v2.0/adminconsent?client_id={READER}&state=s%3D1&redirect_uri={back}"
            "&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default"
        )
        status, _, page = await one.raw("GET", path)
        assert status == 200
        assert b"Mail.Read" in page
        assert b"Accept" in page
        _, headers, _ = await one.raw("POST", path, data={"decision": "decline"})
        query = parse_qs(urlsplit(headers["Location"]).query)  # type: ignore[index, call-overload]
        assert query["error"] == ["access_denied"]
        assert query["state"] == ["s=1"]
        assert (await one.take_token())[0] == 400
        _, headers, _ = await one.raw("POST", path, data={"decision": "accept"})
        query = parse_qs(urlsplit(headers["Location"]).query)  # type: ignore[index, call-overload]
        assert query["admin_consent"] == ["True"]
        assert query["tenant"] == [one.tenant_id]
        assert (await one.take_token())[0] == 200
        ordinary = {"decision": "accept", "account": one.users[1]["upn"]}
        status, _, page = await one.raw("POST", path, data=ordinary)
        assert (status, b"90094" in page) == (400, True)


async def test_device_code_waits_declines_expires_and_signs_in() -> None:
    clock = Clock()
    async with client(clock=clock) as one:
        base = f"/{one.tenant_id}/oauth2/v2.0"
        scope = "https://graph.microsoft.com/.default openid"

        async def begin() -> dict[str, str]:
            form = {"client_id": ONBOARDING, "scope": scope}
            _, _, body = await one.raw("POST", base + "/devicecode", data=form)
            return dict(json.loads(body))

        async def poll(code: dict[str, str]) -> tuple[int, dict[str, str]]:
            form = {
                "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
                "client_id": ONBOARDING,
                "device_code": code["device_code"],
            }
            status, _, body = await one.raw("POST", base + "/token", data=form)
            return status, json.loads(body)

        first = await begin()
        assert (await poll(first))[1]["error"] == "authorization_pending"
        await one.sim("POST", f"/device/{first['user_code']}", json={"decline": True})
        assert (await poll(first))[1]["error"] == "authorization_declined"
        second = await begin()
        clock.advance(901)
        assert (await poll(second))[1]["error"] == "expired_token"
        third = await begin()
        _, _, page = await one.raw("GET", "/devicelogin")
        assert b"Enter code" in page
        form = {"code": third["user_code"], "account": one.tenant["admin"]["upn"]}
        await one.raw("POST", "/devicelogin", data=form)
        status, body = await poll(third)
        assert status == 200
        claims = await checked(one, body["access_token"], GRAPH)
        assert claims["wids"] == ["62e90394-69f5-4237-9190-012177145e10"]
        assert "AppRoleAssignment.ReadWrite.All" in str(claims["scp"])
        assert (await checked(one, body["id_token"], ONBOARDING))["tid"] == one.tenant_id

        # The administrator's token provisions the reader, role by role (flow B, section 12).
        one.token = body["access_token"]
        principal = await one.graph("POST", "/servicePrincipals", json={"appId": READER},
                                    status=201)  # fmt: skip
        await one.graph("POST", "/servicePrincipals", json={"appId": READER}, status=409)
        graph = await one.graph(
            "GET", "/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')"
        )
        role = next(r["id"] for r in graph["appRoles"] if r["value"] == "Mail.Read")
        grant = {"principalId": principal["id"], "resourceId": graph["id"], "appRoleId": role}
        path = f"/servicePrincipals/{principal['id']}/appRoleAssignments"
        made = await one.graph("POST", path, json=grant, status=201)
        await one.graph("POST", path, json=grant, status=400)
        token = (await one.take_token())[1]["access_token"]
        assert (await checked(one, token, GRAPH))["roles"] == ["Mail.Read"]
        await one.graph("DELETE", f"{path}/{made['id']}", status=204)
        assert (await one.graph("GET", path))["value"] == []


async def test_keys_rotate_and_old_tokens_stay_good(reader: Client) -> None:
    await reader.sim("POST", "/rotateKeys")
    await reader.graph("GET", "/organization")
    _, answer = await reader.take_token()
    assert (
        jwt.get_unverified_header(answer["access_token"])["kid"]
        != (jwt.get_unverified_header(reader.token)["kid"])
    )
