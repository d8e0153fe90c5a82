"""Limits: concurrency, windows, resource units, and calls inside a fence."""

import asyncio

import pytest

from local.microsoft365.clock import Clock
from tests.local.microsoft365.conftest import READER, Client, client


async def status_of(one: Client, path: str) -> tuple[int, dict[str, str]]:
    head = {"Authorization": f"Bearer {one.token}"}
    status, headers, _ = await one.raw("GET", "/v1.0" + path, head)
    return status, dict(headers)  # type: ignore[arg-type]


async def test_fifth_call_of_a_mailbox_in_flight_is_throttled() -> None:
    async with client(limits={"throttle": {"latency": 0.2}}) as one:
        await one.become(READER)
        path = f"/users/{one.users[0]['id']}/mailFolders"
        answers = await asyncio.gather(*(status_of(one, path) for _ in range(6)))
        statuses = sorted(status for status, _ in answers)
        assert statuses == [200, 200, 200, 200, 429, 429]
        assert all("Retry-After" in head for status, head in answers if status == 429)
        other = f"/users/{one.users[1]['id']}/mailFolders"
        assert (await status_of(one, other))[0] == 200


async def test_mailbox_window_opens_again_and_calls_inside_the_fence_are_counted() -> None:
    clock = Clock()
    limits = {"outlook": {"requests": 3, "window": 600}, "throttle": {"fenceGrace": 1}}
    async with client(clock=clock, limits=limits) as one:
        await one.become(READER)
        path = f"/users/{one.users[0]['id']}/mailFolders"
        for _ in range(3):
            assert (await status_of(one, path))[0] == 200
        status, head = await status_of(one, path)
        assert (status, 590 < int(head["Retry-After"]) <= 600) == (429, True)
        # On the wire while the answer travelled: not the client's fault.
        await status_of(one, path)
        assert (await one.sim("GET", "/stats"))["insideFence"] == 0
        clock.advance(5)
        await status_of(one, path)
        stats = await one.sim("GET", "/stats")
        assert (stats["insideFence"], stats["throttled"]) == (1, 3)
        clock.advance(601)
        assert (await status_of(one, path))[0] == 200


async def test_resource_units_announce_themselves_and_run_out() -> None:
    clock = Clock()
    async with client(clock=clock, limits={"sharepoint": {"perMinute": 10}}) as one:
        await one.become(READER)
        drive = one.users[0]["driveId"]
        path = f"/drives/{drive}/root/children"
        seen = [await status_of(one, path) for _ in range(6)]
        assert [status for status, _ in seen] == [200] * 5 + [429]
        assert ["RateLimit-Limit" in head for _, head in seen] == [False] * 3 + [True] * 3
        assert seen[3][1]["RateLimit-Remaining"] == "2"
        assert int(seen[5][1]["Retry-After"]) <= 60
        assert (await one.sim("GET", "/stats"))["ru"] == 12
        clock.advance(61)
        assert (await status_of(one, path))[0] == 200


async def test_delta_with_a_token_is_cheaper() -> None:
    async with client() as one:
        await one.become(READER)
        path = f"/drives/{one.users[0]['driveId']}/root/delta"
        _, link, _ = await one.pages(path)
        before = (await one.sim("GET", "/stats"))["ru"]
        await one.pages(link)
        assert (before, (await one.sim("GET", "/stats"))["ru"]) == (2, 3)


async def test_identity_units_follow_select_and_top() -> None:
    async with client(limits={"identity": {"unitsByBand": [4, 4, 4]}}) as one:
        await one.become(READER)
        status, head = await status_of(one, "/users?$select=id&$top=5")
        assert (status, head["x-ms-resource-unit"]) == (200, "1")
        assert (await status_of(one, "/users"))[1]["x-ms-resource-unit"] == "2"
        await status_of(one, "/users")
        assert (await status_of(one, "/users"))[0] == 429


async def test_unknown_limits_are_refused(reader: Client) -> None:
    status, _, body = await reader.raw("POST", "/_sim/limits", json={"outlook": {"typo": 1}})
    assert (status, b"outlook.typo" in body) == (400, True)


@pytest.mark.parametrize("count", [20, 21])
async def test_batch_counts_every_request_and_ends_at_twenty(count: int) -> None:
    async with client(limits={"throttle": {"latency": 0.01}}) as one:
        await one.become(READER)
        user = one.users[0]["id"]
        requests = [
            {"id": str(n), "method": "GET", "url": f"/users/{user}/mailFolders/inbox"}
            for n in range(count - 1)
        ]
        requests.append({"id": "last", "method": "GET", "url": "/users/none", "dependsOn": ["0"]})
        if count > 20:
            await one.graph("POST", "/$batch", json={"requests": requests}, status=400)
            return
        answer = await one.graph("POST", "/$batch", json={"requests": requests})
        statuses = {entry["id"]: entry["status"] for entry in answer["responses"]}
        assert statuses.pop("last") == 404
        assert set(statuses.values()) == {200}
        stats = await one.sim("GET", "/stats")
        assert stats["requests"]["mailFolders"] == 19
        assert stats["mostInFlightPerMailbox"] <= 4
