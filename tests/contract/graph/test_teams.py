"""Teams through real sockets: threads, replies to old threads, edits, deletions, refused tokens."""

import base64
import hashlib
from typing import Any

import orjson
import pytest

from shared.microsoft365.errors import ObjectUnavailable
from shared.microsoft365.model import Change
from shared.microsoft365.teams import Team
from tests.contract.graph.conftest import Cloud, Pass, content_of, run_pass


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 4, "mails": 0, "files": 0, "seed": 7, "teams": 1, "messages": 8}


def a_team(cloud: Cloud) -> str:
    return str(cloud.world["teams"][0]["id"])


def open_team(cloud: Cloud, team: str) -> Team:
    return Team(cloud.transport(), team)


async def truth_of(cloud: Cloud, team: str) -> dict[str, Any]:
    """Row id -> message as it is."""
    found = await cloud.in_tenant("GET", f"/teams/{team}/truth")
    return {
        f"channel:{channel['id']}/" + "/".join(filter(None, [one["rootId"], one["id"]])): one
        for channel in found["channels"]
        for one in channel["messages"]
    }


def messages(rows: dict[str, Change]) -> dict[str, Change]:
    return {i: c for i, c in rows.items() if c.item["k"] in {"message", "reply"}}


def live(first: Pass, second: Pass) -> dict[str, Change]:
    gone = {change.item["i"] for change in second.removed}
    return {i: c for i, c in {**first.rows, **second.rows}.items() if i not in gone}


async def compare(cloud: Cloud, team: str, rows: dict[str, Change]) -> None:
    truth, workload = await truth_of(cloud, team), open_team(cloud, team)
    found = messages(rows)
    assert found.keys() == truth.keys()
    for row_id, one in truth.items():
        assert found[row_id].item["v"] == one["etag"]
        stored = orjson.loads(await content_of(workload, found[row_id]))
        assert stored["body"]["content"].startswith(one["content"])
        assert stored["from"]["user"]["id"] == one["authorId"]
        assert stored["createdDateTime"] == one["createdDateTime"]
        hosted = stored.get("hostedContents", [])
        images = [base64.b64decode(image["contentBytes"]) for image in hosted]
        assert [hashlib.sha256(image).hexdigest() for image in images] == one["hosted"]


async def test_first_pass_finds_every_message_also_the_old_ones(cloud: Cloud) -> None:
    team = a_team(cloud)
    found = await run_pass(open_team(cloud, team))
    await compare(cloud, team, found.rows)
    rows = found.rows
    kinds = [change.item["k"] for change in rows.values()]
    assert kinds.count("channel") == 4
    assert kinds.count("team") == kinds.count("permission") == 1
    assert all(c.item.get("p", c.item["i"]) in rows for c in rows.values())
    private = next(c for c in rows.values() if c.item.get("m", {}).get("membership") == "private")
    stored = orjson.loads(await content_of(open_team(cloud, team), private))
    assert stored["members"]
    assert stored["tabs"][0]["displayName"] == "Wiki"
    assert stored["filesFolder"]["driveId"].startswith("b!")


async def test_a_quiet_night_costs_two_requests_per_channel_and_three(cloud: Cloud) -> None:
    team = a_team(cloud)
    first = await run_pass(open_team(cloud, team))
    await cloud.reset_stats()
    again = await run_pass(open_team(cloud, team), first.cursors)
    stats = await cloud.stats()
    # Team, members, channels; tabs and delta of each; members of the private and shared one.
    assert stats["total"] == 3 + 4 * 2 + 2
    assert messages(again.rows) == {}
    for change in again.rows.values():
        assert change.item == first.rows[change.item["i"]].item


async def test_replies_to_old_threads_edits_reactions_and_deletions(cloud: Cloud) -> None:
    team = a_team(cloud)
    first = await run_pass(open_team(cloud, team))
    counts = {
        "newMessages": 2, "newReplies": 3, "editMessages": 2, "deleteMessages": 2,
        "reactMessages": 2,
    }  # fmt: skip
    cloud.clock.simulator.advance(60)
    await cloud.in_tenant("POST", "/change", json={"seed": 3, "perTeam": counts})
    second = await run_pass(open_team(cloud, team), first.cursors)
    await compare(cloud, team, live(first, second))
    assert len(second.removed) >= 8
    assert not [page for page in second.pages if page.full]


async def test_a_reply_to_a_thread_older_than_the_deltas_reach(cloud: Cloud) -> None:
    team = a_team(cloud)
    first = await run_pass(open_team(cloud, team))
    truth = await truth_of(cloud, team)
    oldest = min((one["createdDateTime"], row_id) for row_id, one in truth.items())[1]
    container, _, root = oldest.partition("/")
    channel = container.removeprefix("channel:")
    body = {"upn": cloud.user()["upn"], "content": "<p>at last</p>", "rootId": root}
    made = await cloud.in_tenant("POST", f"/teams/{team}/channels/{channel}/messages", json=body)
    second = await run_pass(open_team(cloud, team), first.cursors)
    assert f"{oldest}/{made['id']}" in second.rows
    await compare(cloud, team, live(first, second))


@pytest.mark.parametrize("status", [400, 410])
async def test_refused_token_lists_again_and_changes_no_version(cloud: Cloud, status: int) -> None:
    team = a_team(cloud)
    first = await run_pass(open_team(cloud, team))
    await cloud.admin("POST", "/limits", json={"delta": {"teamsExpiredStatus": status}})
    await cloud.admin("POST", "/expireDelta")
    again = await run_pass(open_team(cloud, team), first.cursors)
    assert again.rows.keys() == first.rows.keys()
    assert all(c.item == first.rows[i].item for i, c in messages(again.rows).items())
    assert {page.container for page in again.pages if page.full} == {
        name for name in first.cursors if name.startswith("channel:")
    }
    third = await run_pass(open_team(cloud, team), again.cursors)
    assert messages(third.rows) == {}


async def test_more_than_a_page_of_replies_and_of_threads(cloud: Cloud) -> None:
    team = a_team(cloud)
    channel = cloud.world["teams"][0]["channels"][0]["id"]
    inside = cloud.server.sim.tenants[cloud.tenant_id].teams[team].channels[channel]
    author = cloud.server.sim.tenants[cloud.tenant_id].admin
    root = next(iter(inside.messages.values()))
    for number in range(1130):
        inside.post(author, f"reply {number}", inside.free_time(root.created + number), root)
    for number in range(70):
        inside.post(author, f"thread {number}", inside.free_time(root.created + 9000 + number))
    found = await run_pass(open_team(cloud, team))
    assert messages(found.rows).keys() == (await truth_of(cloud, team)).keys()


async def test_channel_that_came_and_channel_that_went(cloud: Cloud) -> None:
    team = a_team(cloud)
    first = await run_pass(open_team(cloud, team))
    gone = cloud.world["teams"][0]["channels"][1]["id"]
    await cloud.in_tenant("DELETE", f"/teams/{team}/channels/{gone}")
    made = await cloud.in_tenant("POST", f"/teams/{team}/channels", json={"name": "Neu"})
    second = await run_pass(open_team(cloud, team), first.cursors)
    assert [c.item["i"] for c in second.removed] == [f"settings/channel:{gone}"]
    assert [p.container for p in second.pages if p.gone] == [f"channel:{gone}"]
    assert f"settings/channel:{made['id']}" in second.rows


async def test_four_calls_a_second_per_team_are_never_exceeded(cloud: Cloud) -> None:
    transport = cloud.transport()
    await run_pass(Team(transport, a_team(cloud)))
    stats = await cloud.stats()
    assert stats["throttled"] == transport.use.throttled == 0
    assert cloud.clock.slept


async def test_a_storm_of_429_is_waited_out_by_all_of_the_tenant(cloud: Cloud) -> None:
    transport = cloud.transport()
    await cloud.fault("throttle", "messages", times=6, match={"nth": 2})
    found = await run_pass(Team(transport, a_team(cloud)))
    assert transport.use.throttled == 6
    assert (await cloud.stats())["insideFence"] == 0
    await compare(cloud, a_team(cloud), found.rows)


async def test_a_deleted_team_is_a_named_state(cloud: Cloud) -> None:
    team = a_team(cloud)
    await cloud.in_tenant("DELETE", f"/teams/{team}")
    with pytest.raises(ObjectUnavailable) as unavailable:
        await run_pass(open_team(cloud, team))
    assert unavailable.value.state == "team_deleted"


async def test_a_message_of_the_retry_list_is_read_by_its_id(cloud: Cloud) -> None:
    team = a_team(cloud)
    found = await run_pass(open_team(cloud, team))
    wanted = [messages(found.rows)[i] for i in list(messages(found.rows))[:6]]
    wanted.append(next(c for c in found.rows.values() if c.item["k"] == "channel"))
    for change in wanted:
        bare = Change(change.item, removed=False, container=change.container, content=True)
        workload = open_team(cloud, team)
        assert await content_of(workload, bare) == await content_of(workload, change)
