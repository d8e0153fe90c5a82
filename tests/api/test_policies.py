"""Policies through the API: edit, on and off, end; lists by status and time (BKP)."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared.access.model import Scope
from shared.bootstrap import Deps
from shared.kit import ids
from shared.protection import changes, repository
from shared.protection.model import Session, SessionState
from tests.api.conftest import check_problem
from tests.api.test_access_users import role_of, user_of
from tests.api.world import OWNER, START, World


@pytest.fixture
def api(two: World, anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    """The administrator of partner A."""
    anonymous.headers.update(two.caller("administrator"))
    return anonymous


@pytest.fixture
def policy(two: World) -> str:
    """Address of a policy."""
    return f"/api/v1/policies/{two.mine['policy_id']}"


async def etag(api: httpx.AsyncClient, address: str) -> dict[str, str]:
    return {"If-Match": (await api.get(address)).headers["ETag"]}


async def update(two: World, **changed: Any) -> None:
    """Change the stored policy as its process would."""
    await changes.change_policy(
        two.deps.tables, two.a.scope, two.mine["policy_id"],
        lambda found: found.model_copy(update=changed),
    )  # fmt: skip


async def test_bkp_06_objects_are_taken_out_and_in(
    two: World, api: httpx.AsyncClient, policy: str
) -> None:
    seen = await etag(api, policy)
    body = {"name": "Board", "exclude": [two.mine["object_id"]]}
    answer = await api.patch(policy, json=body, headers=seen)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["name"], answer.json()["exclude"]) == ("Board", body["exclude"])
    assert answer.json() == (await api.get(policy)).json()
    stale = await api.patch(policy, json={"name": "Late"}, headers=seen)
    check_problem(stale, 412, "PRECONDITION_FAILED")
    check_problem(await api.patch(policy, json={"name": "Blind"}), 428, "PRECONDITION_REQUIRED")
    fresh = {"If-Match": answer.headers["ETag"]}
    back = await api.patch(policy, json={"exclude": []}, headers=fresh)
    assert (back.json()["name"], back.json()["exclude"]) == ("Board", [])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"exclude": ["nobody"]}, 422, "UNKNOWN_OBJECTS"),
        ({"include": ["{object_id}"]}, 400, "INVALID_INPUT"),
        ({"services": []}, 400, "INVALID_INPUT"),
        ({"services": ["onedrive"]}, 422, "SERVICE_NOT_CHOSEN"),
        ({"enabled": False}, 400, "INVALID_INPUT"),
    ],
)
async def test_bkp_06_what_cannot_be_meant_is_refused(
    two: World, api: httpx.AsyncClient, policy: str, body: dict[str, Any], status: int, code: str
) -> None:
    filled = json.loads(json.dumps(body).replace("{object_id}", two.mine["object_id"]))
    before = await etag(api, policy)
    check_problem(await api.patch(policy, json=filled, headers=before), status, code)
    assert await etag(api, policy) == before


async def test_a_selection_may_not_contradict_itself(two: World, api: httpx.AsyncClient) -> None:
    one = [two.mine["object_id"]]
    body = {"name": "P", "backupType": "SelectedItems", "include": one, "exclude": one}
    path = f"/api/v1/customers/{two.mine['customer_id']}/policies"
    check_problem(await api.post(path, json=body), 422, "SELECTION_OVERLAPS")


@pytest.mark.parametrize(
    ("years", "status", "code"),
    [
        (26, 422, "RETENTION_OUT_OF_RANGE"),
        (1000, 422, "RETENTION_OUT_OF_RANGE"),
        (1001, 400, "INVALID_INPUT"),
        (10**30, 400, "INVALID_INPUT"),
        (-1, 400, "INVALID_INPUT"),
        (1.5, 400, "INVALID_INPUT"),
        ("for ever", 400, "INVALID_INPUT"),
    ],
)
async def test_sec_08_an_impossible_retention_is_refused_and_nothing_written(
    two: World, api: httpx.AsyncClient, policy: str, years: Any, status: int, code: str
) -> None:
    path = f"/api/v1/customers/{two.mine['customer_id']}/policies"
    before, seen = (await api.get(path)).json(), await etag(api, policy)
    body = {"name": "P", "retentionYears": years}
    made = check_problem(await api.post(path, json=body), status, code)
    changed = await api.patch(policy, json={"retentionYears": years}, headers=seen)
    for problem in (made, check_problem(changed, status, code)):
        assert [one["pointer"] for one in problem["errors"]] == ["#/retentionYears"]
    assert (await api.get(path)).json() == before
    assert await etag(api, policy) == seen


async def test_bkp_06_an_object_both_in_and_out_is_named_and_nothing_written(
    two: World, api: httpx.AsyncClient
) -> None:
    path = f"/api/v1/customers/{two.mine['customer_id']}/policies"
    one, before = two.mine["object_id"], (await api.get(path)).json()
    body = {"name": "P", "backupType": "SelectedItems", "include": [one, one], "exclude": [one]}
    problem = check_problem(await api.post(path, json=body), 422, "SELECTION_OVERLAPS")
    assert [each["pointer"] for each in problem["errors"]] == ["#/exclude"]
    assert one in problem["detail"]
    assert (await api.get(path)).json() == before


async def test_bkp_07_the_schedule_is_changed_by_support_only(
    api: httpx.AsyncClient, policy: str
) -> None:
    answer = await api.patch(policy, json={"intervalHours": 12}, headers=await etag(api, policy))
    check_problem(answer, 403, "SCHEDULE_SUPPORT_ONLY")
    assert (await api.get(policy)).json()["intervalHours"] == 24


async def test_bkp_10_disabled_has_no_next_run_and_enabled_has_one(
    two: World, api: httpx.AsyncClient, policy: str
) -> None:
    off = await api.post(f"{policy}:disable")
    assert (off.json()["enabled"], off.json()["nextRunAt"]) == (False, None)
    assert (await api.post(f"{policy}:disable")).json() == off.json()
    started = await api.post(f"{policy}/sessions")
    assert started.status_code == 202, started.text
    on = await api.post(f"{policy}:enable")
    now = two.deps.clock.now()
    assert on.json()["enabled"]
    stored = await repository.get_policy(two.deps.tables, two.a.scope, two.mine["policy_id"])
    assert now < stored.next_run_at <= now + timedelta(hours=24)
    later = stored.next_run_at + timedelta(seconds=1)
    due = [one async for one in repository.list_due(two.deps.tables, later)]
    mine = [one.due_at for one in due if one.policy_id == stored.policy_id]
    assert stored.next_run_at.replace(microsecond=0) in mine


async def test_bkp_11_a_deleted_policy_is_gone_and_its_sessions_stay(
    two: World, api: httpx.AsyncClient, policy: str
) -> None:
    check_problem(await api.delete(policy), 428, "PRECONDITION_REQUIRED")
    gone = await api.delete(policy, headers=await etag(api, policy))
    assert gone.status_code == 204, gone.text
    check_problem(await api.get(policy), 404, "NOT_FOUND")
    listed = (await api.get("/api/v1/policies")).json()["value"]
    assert two.mine["policy_id"] not in {one["id"] for one in listed}
    assert (await api.get(f"/api/v1/sessions/{two.mine['session_id']}")).status_code == 200
    assert (await api.get(f"/api/v1/objects/{two.mine['object_id']}")).status_code == 200


async def test_bkp_11_a_running_policy_is_not_deleted(
    two: World, api: httpx.AsyncClient, policy: str
) -> None:
    await api.post(f"{policy}/sessions")
    problem = check_problem(
        await api.delete(policy, headers=await etag(api, policy)), 409, "ALREADY_RUNNING"
    )
    assert problem["sessionId"] == (await api.get(policy)).json()["runningSessionId"]


async def test_bkp_12_policies_are_filtered_by_their_last_status(
    two: World, api: httpx.AsyncClient
) -> None:
    await update(two, last_status=SessionState.FAILED)

    async def listed(*status: str) -> set[str]:
        given = {"status": list(status), "maxpagesize": 1}
        page = (await api.get("/api/v1/policies", params=given)).json()
        found = [one["id"] for one in page["value"]]
        while link := page.get("nextLink"):
            page = (await api.get(link)).json()
            found += [one["id"] for one in page["value"]]
        return set(found)

    assert await listed("Failed") == {two.mine["policy_id"]}
    assert await listed("Success") == set()
    assert two.mine["policy_id"] in await listed("Failed", "Warning")
    assert await listed() == {two.mine["policy_id"], two.hidden["policy_id"]}
    await api.post(f"/api/v1/policies/{two.hidden['policy_id']}/sessions")
    assert await listed("Running") == {two.hidden["policy_id"]}
    answer = await api.get("/api/v1/policies", params={"status": "Sleeping"})
    check_problem(answer, 400, "INVALID_INPUT")


async def test_bkp_14_sessions_are_filtered_by_status_and_start(
    two: World, api: httpx.AsyncClient, policy: str
) -> None:
    made = await sessions(two.deps, two.a.scope, two.mine, 4)

    async def listed(**given: Any) -> list[str]:
        found = await api.get(f"{policy}/sessions", params=given)
        assert found.status_code == 200, found.text
        return [one["id"] for one in found.json()["value"]]

    ran = [made[3], made[2], made[1], made[0]]
    began = {"from": "2026-02-02T01:00:00Z", "to": "2026-02-04T01:00:00Z"}
    assert await listed(**began) == [made[2], made[1]]
    assert await listed(status="Failed", **began) == [made[1]]
    assert (await listed(to="2026-02-03T01:00:00Z"))[:2] == [made[1], made[0]]
    assert await listed(**{"from": "2026-02-01T00:00:00Z"}) == ran
    page = (await api.get(f"{policy}/sessions", params={**began, "maxpagesize": 1})).json()
    assert [one["id"] for one in page["value"]] == [made[2]]
    following = (await api.get(page["nextLink"])).json()
    assert [one["id"] for one in following["value"]] == [made[1]]
    assert "nextLink" not in following


async def sessions(deps: Deps, scope: Scope, whose: dict[str, str], days: int) -> list[str]:
    """Ended sessions from 1 February on, one a day at 00:00, started an hour later."""
    made = []
    for day in range(days):
        at = START.replace(month=2, day=1 + day)
        session = Session(
            session_id=ids.newest_first(whose["customer_id"], ids.SESSION, at),
            policy_id=whose["policy_id"],
            partner_id=scope.partner_id,
            customer_id=whose["customer_id"],
            trigger="Schedule",
            state=SessionState.FAILED if day % 2 else SessionState.SUCCESS,
            created_at=at,
            started_at=at + timedelta(hours=1),
            ended_at=at + timedelta(hours=2),
            updated_at=at,
        )
        await repository.add_session(deps.tables, scope, session)
        made.append(session.session_id)
    return made


async def test_bkp_13_and_14_sessions_of_a_customer_over_all_its_policies(
    two: World, api: httpx.AsyncClient, policy: str
) -> None:
    made = await sessions(two.deps, two.a.scope, two.mine, 3)
    path = f"/api/v1/customers/{two.mine['customer_id']}/sessions"
    gone = await api.delete(policy, headers=await etag(api, policy))
    assert gone.status_code == 204  # sessions of a deleted policy stay in the list

    async def listed(**given: Any) -> list[str]:
        page = (await api.get(path, params={"maxpagesize": 1, **given})).json()
        found = [one["id"] for one in page["value"]]
        while link := page.get("nextLink"):
            page = (await api.get(link)).json()
            found += [one["id"] for one in page["value"]]
        return found

    assert await listed() == [*made[::-1], two.mine["session_id"]]
    assert await listed(status="Failed") == [made[1]]
    began = {"from": "2026-02-02T01:00:00Z", "to": "2026-02-03T01:00:00Z"}
    assert await listed(**began) == [made[1]]
    foreign = f"/api/v1/customers/{two.theirs['customer_id']}/sessions"
    check_problem(await api.get(foreign), 404, "NOT_FOUND")


async def test_bkp_02_and_06_a_policy_becomes_a_selection_and_the_whole_again(
    two: World, api: httpx.AsyncClient, policy: str
) -> None:
    async def edit(**body: Any) -> httpx.Response:
        return await api.patch(policy, json=body, headers=await etag(api, policy))

    one = two.mine["object_id"]
    check_problem(await edit(backupType="SelectedItems"), 400, "INVALID_INPUT")
    chosen = await edit(backupType="SelectedItems", include=[one])
    assert (chosen.json()["backupType"], chosen.json()["include"]) == ("SelectedItems", [one])
    problem = check_problem(await edit(backupType="EntireOrganization"), 400, "INVALID_INPUT")
    assert [each["pointer"] for each in problem["errors"]] == ["#/include"]
    whole = await edit(backupType="EntireOrganization", include=[])
    assert (whole.json()["backupType"], whole.json()["include"]) == ("EntireOrganization", [])


async def test_bkp_06_nothing_may_be_left_of_what_is_included(
    two: World, api: httpx.AsyncClient
) -> None:
    path = f"/api/v1/customers/{two.mine['customer_id']}/policies"
    before = (await api.get(path)).json()
    one, owner = two.mine["object_id"], f"user:{OWNER}"
    for include, exclude in (([one], [owner]), ([owner], [one])):
        body = {"name": "P", "backupType": "SelectedItems", "include": include, "exclude": exclude}
        problem = check_problem(await api.post(path, json=body), 422, "SELECTION_OVERLAPS")
        assert [each["pointer"] for each in problem["errors"]] == ["#/exclude"]
        assert include[0] in problem["detail"]
    assert (await api.get(path)).json() == before


async def test_bkp_06_who_has_left_is_no_reason_to_refuse_another_change(
    two: World, api: httpx.AsyncClient, policy: str
) -> None:
    await update(two, exclude=["user:gone-meanwhile"])
    body = {"exclude": ["user:gone-meanwhile", two.mine["object_id"]]}
    answer = await api.patch(policy, json=body, headers=await etag(api, policy))
    assert answer.json()["exclude"] == body["exclude"], answer.text
    worse = {"exclude": [*body["exclude"], "user:never-seen"]}
    problem = check_problem(
        await api.patch(policy, json=worse, headers=await etag(api, policy)),
        422, "UNKNOWN_OBJECTS",
    )  # fmt: skip
    assert "never-seen" in problem["detail"]
    assert "gone-meanwhile" not in problem["detail"]


async def test_sec_08_one_to_25_years_and_without_end_are_accepted(
    api: httpx.AsyncClient, policy: str
) -> None:
    for years in (1, 25, 0, None):
        seen = await etag(api, policy)
        answer = await api.patch(policy, json={"retentionYears": years}, headers=seen)
        assert answer.json()["retentionYears"] == years, answer.text


async def test_sec_16_every_change_of_a_policy_and_its_runs_has_a_line(
    two: World, api: httpx.AsyncClient
) -> None:
    path = f"/api/v1/customers/{two.mine['customer_id']}/policies"
    made = (await api.post(path, json={"name": "P"})).json()["id"]
    one = f"/api/v1/policies/{made}"
    await api.patch(one, json={"name": "Q"}, headers=await etag(api, one))
    await api.post(f"{one}:disable")
    await api.post(f"{one}:enable")
    started = (await api.post(f"{one}/sessions")).json()["id"]
    await api.delete(one, headers=await etag(api, one))  # refused while it runs
    await api.post(f"/api/v1/sessions/{started}/stop")
    found = (await api.get("/api/v1/audit-events", params={"from": "2026-01-01T00:00:00Z"})).json()
    lines = [one for one in found["value"] if one["target"]["id"] in {made, started}]
    lines.sort(key=lambda line: line["seq"])
    assert [(line["action"], line["outcome"]) for line in lines] == [
        ("policies.create", "done"),
        ("policies.edit", "done"),
        ("policies.disable", "done"),
        ("policies.enable", "done"),
        ("sessions.start", "done"),
        ("policies.delete", "refused"),
        ("sessions.stop", "done"),
    ]
    assert {line["customerId"] for line in lines} == {two.mine["customer_id"]}
    assert lines[5]["code"] == "ALREADY_RUNNING"
    edited = lines[1]
    assert edited["before"] != edited["after"]


async def test_bkp_05_the_first_needs_one_right_and_every_further_one_two(
    two: World, api: httpx.AsyncClient, policy: str
) -> None:
    basic = await role_of(api, "Basic", "BackupManagement")
    more = await role_of(api, "More", "BackupManagement", "AdvancedBackupManagement")
    await user_of(api, "kim@a.example", basic)
    await user_of(api, "lou@a.example", more)
    kim, lou = two.user("kim", "kim@a.example"), two.user("lou", "lou@a.example")
    customer = f"/api/v1/customers/{two.mine['customer_id']}"
    path, start = f"{customer}/policies", f"{customer}/services:start"
    body = {"name": "P"}
    check_problem(await api.post(path, json=body, headers=kim), 403, "PERMISSION_MISSING")
    check_problem(await api.post(start, json={}, headers=kim), 403, "PERMISSION_MISSING")
    assert len((await api.get(path)).json()["value"]) == 1
    assert (await api.post(path, json=body, headers=lou)).status_code == 201
    for one in (await api.get(path)).json()["value"]:
        address = f"/api/v1/policies/{one['id']}"
        gone = await api.delete(address, headers={**kim, **await etag(api, address)})
        assert gone.status_code == 204, gone.text
    answer = await api.post(start, json={}, headers=kim)  # it would be the first
    check_problem(answer, 409, "NO_AVAILABLE_SUBSCRIPTION")
    assert (await api.post(path, json=body, headers=kim)).status_code == 201
    check_problem(await api.post(path, json=body, headers=kim), 403, "PERMISSION_MISSING")
