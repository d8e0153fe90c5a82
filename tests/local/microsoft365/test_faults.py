"""Scripted faults: every row of the ladder can be produced."""

import aiohttp
import pytest

from local.microsoft365.faults import ACTIONS
from tests.local.microsoft365.conftest import Client


async def call(one: Client, path: str) -> tuple[int, dict[str, str], bytes]:
    head = {"Authorization": f"Bearer {one.token}"}
    status, headers, body = await one.raw("GET", "/v1.0" + path, head)
    return status, dict(headers), body  # type: ignore[arg-type]


@pytest.mark.parametrize("action", sorted(ACTIONS))
async def test_each_ready_fault_answers_once(reader: Client, action: str) -> None:
    await reader.faults({"match": {"path": "organization"}, "times": 1, "action": action})
    status, code, wait, empty = ACTIONS[action]
    got, headers, body = await call(reader, "/organization")
    assert got == status
    assert (body == b"") == empty
    assert headers.get("Retry-After") == (str(wait) if wait is not None else None)
    assert empty or code in body.decode()
    assert (await call(reader, "/organization"))[0] == 200


async def test_given_answers_match_by_user_method_and_turn(reader: Client) -> None:
    first, second = reader.users[0], reader.users[1]
    await reader.faults(
        {
            "match": {"user": second["upn"], "method": "GET", "nth": 2},
            "times": 1,
            "answer": {"status": 503, "code": "odd", "retryAfter": 7, "headers": {"x-a": "b"}},
        }
    )
    paths = [f"/users/{user['id']}/mailFolders" for user in (first, second, second, second)]
    seen = [await call(reader, path) for path in paths]
    assert [status for status, _, _ in seen] == [200, 200, 503, 200]
    assert (seen[2][1]["Retry-After"], seen[2][1]["x-a"]) == ("7", "b")


async def test_scripted_retry_after_raises_a_fence(reader: Client) -> None:
    await reader.sim("POST", "/limits", json={"throttle": {"fenceGrace": 0}})
    rule = {
        "match": {"path": "mailFolders"},
        "times": 1,
        "answer": {"status": 429, "retryAfter": 9},
    }
    await reader.faults(rule)
    path = f"/users/{reader.users[0]['id']}/mailFolders"
    await call(reader, path)
    await call(reader, path)
    assert (await reader.sim("GET", "/stats"))["insideFence"] == 1


async def test_connection_reset_and_truncated_body(reader: Client) -> None:
    await reader.faults({"match": {"path": "users"}, "times": 2, "action": "reset"})
    with pytest.raises(aiohttp.ClientConnectionError):
        await call(reader, "/users")
    await reader.sim("DELETE", "/faults")
    await reader.faults({"match": {"path": "users"}, "times": 1, "action": "truncate"})
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
        await call(reader, "/users")
    assert (await call(reader, "/users"))[0] == 200


async def test_download_can_be_cut_and_continued(reader: Client) -> None:
    base = f"/tenants/{reader.tenant_id}/users/{reader.users[0]['id']}/files"
    data = bytes(range(256)) * 4000
    made = await reader.sim("PUT", base + "?path=big.bin", data=data)
    path = f"/drives/{reader.users[0]['driveId']}/items/{made['id']}"
    url = (await reader.graph("GET", path))["@microsoft.graph.downloadUrl"]
    rule = {"match": {"path": "_content"}, "times": 1, "action": "truncate",
            "answer": {"bytes": 300_000}}  # fmt: skip
    await reader.faults(rule)
    got, cut = b"", None
    async with reader.session.get(url) as answer:
        try:
            async for piece in answer.content.iter_any():
                got += piece
        except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError) as problem:
            cut = problem
    assert cut is not None
    assert 0 < len(got) <= 300_000
    rest = await reader.raw("GET", url, {"Range": f"bytes={len(got)}-"})
    assert got + rest[2] == data


async def test_empty_page_expired_token_and_gone_item(reader: Client) -> None:
    drive = f"/drives/{reader.users[0]['driveId']}"
    whole, link, _ = await reader.pages(f"{drive}/root/delta")
    inbox = f"/users/{reader.users[0]['id']}/mailFolders/inbox/messages/delta"
    mails, mail_link, _ = await reader.pages(inbox)
    for path, count in ((f"{drive}/root/delta", len(whole)), (inbox, len(mails))):
        await reader.faults({"match": {"path": "delta"}, "times": 1, "action": "emptyPage"})
        found, _, sizes = await reader.pages(path)
        assert (sizes[0], len(found)) == (0, count)
    for path in (link, mail_link):
        await reader.faults({"match": {"path": "delta"}, "times": 1, "action": "expireDelta"})
        await reader.graph("GET", path, status=410)
        await reader.graph("GET", path)
    await reader.sim("POST", "/expireDelta")
    await reader.graph("GET", mail_link, status=410)
    await reader.faults({"match": {"path": "/messages/"}, "times": 1, "action": "gone"})
    path = f"/users/{reader.users[0]['id']}/messages/{mails[0]['id']}"
    body = await reader.graph("GET", path + "/$value", status=404)
    assert body["error"]["code"] == "ErrorItemNotFound"


async def test_nonsense_rules_are_refused(reader: Client) -> None:
    for rule in ({"action": "dance"}, {"match": {"path": "("}, "action": "gone"}, {"match": {}}):
        status, _, _ = await reader.raw("POST", "/_sim/faults", json={"rules": [rule]})
        assert status == 400


async def test_client_request_id_comes_back_when_asked(reader: Client) -> None:
    head = {
        "Authorization": f"Bearer {reader.token}",
        "client-request-id": "mine",
        "return-client-request-id": "true",
    }
    _, headers, _ = await reader.raw("GET", "/v1.0/organization", head)
    assert headers["client-request-id"] == "mine"  # type: ignore[index, call-overload]
    assert headers["request-id"]  # type: ignore[index, call-overload]


async def test_sign_in_can_be_scripted_too(reader: Client) -> None:
    await reader.faults({"match": {}, "times": 5, "action": "throttle"})
    assert (await reader.take_token())[0] == 200
    rule = {"match": {"path": "token"}, "times": 1, "answer": {"status": 401, "code": 700027}}
    await reader.faults(rule)
    status, body = await reader.take_token()
    assert (status, body["error_codes"]) == (401, [700027])
    assert (await reader.take_token())[0] == 200
