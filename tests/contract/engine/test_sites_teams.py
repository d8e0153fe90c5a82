"""Sites and teams through the engine: discovered, copied, followed, and brought back."""

from typing import Any

import orjson
import pytest

from shared.customers import repository as customers
from shared.customers.model import Service
from shared.protection import changes, coverage, repository
from shared.protection.model import ObjectRun, RunState, Session, SessionState
from tests.contract.engine.conftest import Ground
from tests.contract.engine.truth import content_hash


@pytest.fixture
def size() -> dict[str, Any]:
    return {
        "users": 3, "mails": 0, "files": 0, "events": 0, "contacts": 0, "seed": 7, "sites": 1,
        "teams": 1, "site_files": 8, "list_items": 6, "messages": 6,
    }  # fmt: skip


SERVICES = [Service.SHAREPOINT, Service.TEAMS]


async def choose(ground: Ground, services: list[Service]) -> Ground:
    """The customer and its policy protect these services only."""
    ground.customer = await customers.save(
        ground.deps.tables,
        ground.scope,
        (
            await customers.get(ground.deps.tables, ground.scope, ground.customer.customer_id)
        ).model_copy(update={"services": services}),
    )
    await changes.change_policy(
        ground.deps.tables, ground.scope, ground.policy_id,
        lambda found: found.model_copy(update={"services": [str(one) for one in services]}),
    )  # fmt: skip
    return ground


@pytest.fixture
async def shared(ground: Ground) -> Ground:
    return await choose(ground, SERVICES)


async def site_truth(ground: Ground, site: str) -> dict[str, Any]:
    found: dict[str, Any] = await ground.cloud.in_tenant("GET", f"/sites/{site}/truth")
    return found


async def team_truth(ground: Ground, team: str) -> dict[str, Any]:
    found: dict[str, Any] = await ground.cloud.in_tenant("GET", f"/teams/{team}/truth")
    return found


async def site_differences(ground: Ground, run: ObjectRun) -> list[str]:
    """What a site's snapshot says otherwise than the site; empty = equal."""
    opened, truth = await ground.opened(run), await site_truth(ground, run.source_id)
    rows = {row.source_id: row async for row in opened.snapshot.rows()}
    wanted = {
        f"library:{one['driveId']}/{file['id']}": file["sha256"]
        for one in truth["libraries"]
        for file in one["files"]
    }
    held = {i: await content_hash(opened, r) for i, r in rows.items() if r.kind == "file"}
    wrong = [] if held == wanted else [f"files {held.keys() ^ wanted.keys()}"]
    items = {f"list:{one['id']}/{i['id']}": i for one in truth["lists"] for i in one["items"]}
    found = {i: row for i, row in rows.items() if row.kind == "listitem"}
    wrong += [f"items {found.keys() ^ items.keys()}"] if found.keys() != items.keys() else []
    for i in found.keys() & items.keys():
        stored = orjson.loads(b"".join([p async for p in opened.snapshot.content(found[i])]))
        if not items[i]["fields"].items() <= stored["fields"].items():
            wrong.append(f"fields of {i}")
    return wrong


async def team_differences(ground: Ground, run: ObjectRun) -> list[str]:
    """What a team's snapshot says otherwise than the team; empty = equal."""
    opened, truth = await ground.opened(run), await team_truth(ground, run.source_id)
    wanted = {
        f"channel:{channel['id']}/" + "/".join(filter(None, [one["rootId"], one["id"]])): one
        for channel in truth["channels"]
        for one in channel["messages"]
    }
    rows = {row.source_id: row async for row in opened.snapshot.rows()}
    found = {i: row for i, row in rows.items() if row.kind in {"message", "reply"}}
    wrong = [f"messages {found.keys() ^ wanted.keys()}"] if found.keys() != wanted.keys() else []
    for i in found.keys() & wanted.keys():
        stored = orjson.loads(b"".join([p async for p in opened.snapshot.content(found[i])]))
        if not stored["body"]["content"].startswith(wanted[i]["content"]):
            wrong.append(f"words of {i}")
    return wrong


async def equal(ground: Ground, session: Session) -> None:
    assert session.state is SessionState.SUCCESS, session
    for (workload, _), run in (await ground.runs(session)).items():
        differences = site_differences if workload == "site" else team_differences
        assert await differences(ground, run) == []


async def the_run(ground: Ground, session: Session, workload: str, source_id: str) -> ObjectRun:
    return (await ground.runs(session))[workload, source_id]


async def test_all_sites_and_teams_are_found_and_copied(shared: Ground) -> None:
    session = await shared.back_up()
    world = shared.cloud.world
    assert set(await shared.runs(session)) == {
        *(("site", one["id"]) for one in world["sites"]),
        *(("team", one["id"]) for one in world["teams"]),
    }
    await equal(shared, session)


async def test_quiet_night_changes_no_root_and_reads_no_index(shared: Ground) -> None:
    first = await shared.back_up()
    await shared.cloud.reset_stats()
    session = await shared.back_up()
    before, after = await shared.runs(first), await shared.runs(session)
    assert session.counts.protected == session.counts.metadata == 0
    for key, run in after.items():
        assert run.root == before[key].root
        head = (await shared.opened(run)).head
        assert head.kind == "incremental"
        assert run.graph.requests <= (13 if key[0] == "team" else 7)


async def test_increment_equals_the_tenant(shared: Ground) -> None:
    await shared.back_up()
    body = {
        "seed": 9,
        "perSite": {
            "newFiles": 1, "editFiles": 1, "moveFiles": 1, "renameFiles": 1, "deleteFiles": 1,
            "newItems": 1, "editItems": 2, "deleteItems": 1,
        },
        "perTeam": {
            "newMessages": 1, "newReplies": 1, "editMessages": 1, "deleteMessages": 1,
            "reactMessages": 1,
        },
    }  # fmt: skip
    await shared.cloud.in_tenant("POST", "/change", json=body)
    await equal(shared, await shared.back_up())


async def test_expired_tokens_list_again_and_store_nothing(shared: Ground) -> None:
    await shared.back_up()
    await shared.cloud.admin("POST", "/expireDelta")
    session = await shared.back_up()
    assert session.counts.protected == 0
    assert session.counts.unchanged > 50
    await equal(shared, session)


@pytest.mark.parametrize("items", [5])
async def test_tiny_slices_give_the_same_snapshot(shared: Ground, items: int) -> None:
    session = await shared.back_up(items=items)
    await equal(shared, session)
    assert min(run.slices for run in (await shared.runs(session)).values()) > 3
    assert (await shared.back_up()).counts.protected == 0


async def test_vanished_list_library_and_channel_take_their_rows_along(shared: Ground) -> None:
    await shared.back_up()
    site, team = shared.cloud.world["sites"][0]["id"], shared.cloud.world["teams"][0]
    truth = await site_truth(shared, site)
    await shared.cloud.in_tenant("DELETE", f"/sites/{site}/lists/{truth['lists'][0]['id']}")
    library = truth["libraries"][1]["driveId"]
    await shared.cloud.in_tenant("DELETE", f"/sites/{site}/libraries/{library}")
    channel = team["channels"][1]["id"]
    await shared.cloud.in_tenant("DELETE", f"/teams/{team['id']}/channels/{channel}")
    session = await shared.back_up()
    await equal(shared, session)
    run = await the_run(shared, session, "team", team["id"])
    assert not [i for i in await shared.held(run) if channel in i]
    assert [i for i in await shared.held(run, 1) if channel in i]


async def test_a_deleted_team_keeps_its_restore_points(shared: Ground) -> None:
    first = await shared.back_up()
    team = shared.cloud.world["teams"][0]["id"]
    run = await the_run(shared, first, "team", team)
    await shared.cloud.in_tenant("DELETE", f"/teams/{team}")
    gone = await shared.back_up()
    # The list of teams is empty now, which is more likely a fault: nothing is believed of it.
    assert (await the_run(shared, gone, "team", team)).state is RunState.SKIPPED
    found = await repository.get_object(shared.deps.tables, shared.scope, run.object_id)
    assert found.state == "team_deleted"
    assert found.last_point is not None


async def test_bkp_21_teams_alone_protects_the_teams_and_their_files(ground: Ground) -> None:
    await choose(ground, [Service.TEAMS])
    session = await ground.back_up()
    team = ground.cloud.world["teams"][0]
    assert set(await ground.runs(session)) == {("team", team["id"]), ("site", team["siteId"])}
    report = await coverage.report(ground.deps, ground.scope, ground.customer.customer_id)
    assert report.reasons[coverage.Reason.SERVICE_NOT_CHOSEN] >= 1
    assert report.licensed_users == 0


async def test_bkp_21_without_the_service_no_site_is_asked_for(ground: Ground) -> None:
    await choose(ground, [Service.ONEDRIVE])
    session = await ground.back_up()
    assert {workload for workload, _ in await ground.runs(session)} == {"drive"}
    stats = (await ground.cloud.stats())["requests"]
    assert not {"sites", "groups", "teams"} & stats.keys()


async def test_m37_without_permission_for_teams_sites_still_run(ground: Ground) -> None:
    await choose(ground, SERVICES)
    reader = ground.cloud.registrations.reader
    await ground.cloud.in_tenant("DELETE", f"/consent?clientId={reader}")
    from shared.microsoft365.permissions import needed

    roles = sorted(needed(["site"]))
    await ground.cloud.in_tenant("POST", "/consent", json={"clientId": reader, "roles": roles})
    ground.cloud.tokens._held.clear()
    session = await ground.back_up()
    assert {workload for workload, _ in await ground.runs(session)} <= {"site"}


async def test_a_new_list_is_taken_in_and_a_deleted_site_is_told(shared: Ground) -> None:
    first = await shared.back_up()
    site = shared.cloud.world["sites"][0]["id"]
    run = await the_run(shared, first, "site", site)
    await shared.cloud.in_tenant("DELETE", f"/sites/{site}")
    team_site = shared.cloud.world["teams"][0]["siteId"]
    await shared.cloud.in_tenant("POST", f"/sites/{team_site}/lists", json={"name": "Neu"})
    session = await shared.back_up()
    await equal(shared, session)
    assert ("site", site) not in await shared.runs(session)
    found = await repository.get_object(shared.deps.tables, shared.scope, run.object_id)
    assert (found.state, found.licensed) == ("site_deleted", False)
    rows = await shared.held(await the_run(shared, session, "site", team_site))
    assert "Neu" in {row.name for row in rows.values() if row.kind == "list"}
