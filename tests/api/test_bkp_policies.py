"""Backup policies through the API over the real engine: one test a row of BKP (features.md 7)."""

from datetime import timedelta

import httpx
import pytest

from shared.access.contexts import Flags
from shared.customers import repository as customers
from shared.customers.model import CustomerState, Service
from shared.protection import changes, repository
from tests.api.conftest import check_problem
from tests.api.plant import Plant, certificates, cloud, credential, plant, size
from tests.api.world import World

__all__ = ["certificates", "cloud", "credential", "plant", "size"]


async def test_bkp_01_last_run_and_average_are_listed_across_customers(plant: Plant) -> None:
    began = plant.cloud.clock.now()
    await changes.change_policy(
        plant.deps.tables, plant.scope, plant.policy_id,
        lambda found: found.model_copy(
            update={"ended_sessions": 2, "ended_seconds": 30 * 60, "last_run_at": began}
        ),
    )  # fmt: skip
    (one,) = (await plant.get("/api/v1/policies"))["value"]
    assert one["averageProcessTime"] == "00:15:00"
    assert one["averageProcessSeconds"] == 15 * 60
    assert one["lastRunAt"].startswith(f"{began:%Y-%m-%dT%H:%M}")
    wanted = {"name", "customerId", "backupType", "policyType", "enabled", "lastStatus"}
    assert wanted | {"nextRunAt"} <= one.keys()


async def test_bkp_02_selected_items_need_items_and_a_whole_organisation_takes_all(
    plant: Plant,
) -> None:
    body = {"name": "P", "backupType": "SelectedItems"}
    refused = await plant.api.post(plant.path("/policies"), json=body)
    check_problem(refused, 400, "INVALID_INPUT")
    whole = await plant.protected(await plant.run(plant.policy_id))
    everybody = {str(number) for number in range(len(plant.people))}
    assert whole == {(kind, n) for kind in ("mailbox", "drive") for n in everybody}


@pytest.mark.parametrize("nested", [False, True])
async def test_bkp_02_members_of_a_group_are_protected_as_they_come_and_go(
    plant: Plant, nested: bool
) -> None:
    first, second = plant.people[0], plant.people[1]
    inner = await plant.group("Board", [first["upn"]])
    outer = await plant.group("Everybody on the board", [inner]) if nested else inner
    made = await plant.policy(backupType="SelectedItems", include=[f"group:{outer}"])
    assert made["include"] == [f"group:{outer}"]
    assert await plant.protected(await plant.run(made["id"])) == {("mailbox", "0"), ("drive", "0")}
    await plant.group("Board", [first["upn"], second["upn"]], inner)
    both = await plant.protected(await plant.run(made["id"]))
    assert both == {(kind, n) for kind in ("mailbox", "drive") for n in "01"}
    answer = await plant.edit(made["id"], exclude=[f"user:{second['id']}"])
    assert answer.status_code == 200, answer.text
    assert await plant.protected(await plant.run(made["id"])) == {("mailbox", "0"), ("drive", "0")}


async def test_bkp_02_a_group_that_vanishes_ends_no_protection_silently(plant: Plant) -> None:
    group = await plant.group("Board", [plant.people[0]["upn"]])
    made = await plant.policy(backupType="SelectedItems", include=[f"group:{group}"])
    await plant.run(made["id"])
    await plant.cloud.in_tenant("DELETE", f"/groups/{group}")
    session = await plant.run(made["id"])
    assert await plant.protected(session) == {("mailbox", "0"), ("drive", "0")}
    log = (await plant.get(f"/api/v1/sessions/{session.session_id}/log"))["value"]
    (said,) = [one for one in log if group in one["message"]]
    assert said["status"] == "Warning"


async def test_bkp_02_what_a_selection_names_has_to_exist(plant: Plant) -> None:
    await plant.run(plant.policy_id)
    nobody = "00000000-1111-2222-3333-444444444444"
    for kind in ("user", "group", "site", "team"):
        body = {"name": "P", "backupType": "SelectedItems", "include": [f"{kind}:{nobody}"]}
        answer = await plant.api.post(plant.path("/policies"), json=body)
        check_problem(answer, 422, "UNKNOWN_OBJECTS")
    body = {"name": "P", "exclude": ["user:a b"]}
    check_problem(await plant.api.post(plant.path("/policies"), json=body), 400, "INVALID_INPUT")


async def test_bkp_02_new_objects_are_included_by_themselves(plant: Plant) -> None:
    leaver = plant.people[1]
    await plant.run(plant.policy_id)
    row = await plant.object_of(leaver)
    found = await repository.get_object(plant.deps.tables, plant.scope, row["id"])
    await plant.deps.tables["Objects"].delete(
        plant.customer.customer_id, repository.object_key(found)
    )  # as if the person had not been there at the first session
    session = await plant.run(plant.policy_id)
    assert ("mailbox", "1") in await plant.protected(session)


async def test_bkp_03_other_policy_types_are_not_sold(plant: Plant) -> None:
    for body, code in (
        ({"policyType": "Express"}, "PLAN_NOT_SELLABLE"),
        ({"engine": "microsoft365Backup"}, "ENGINE_UNAVAILABLE"),
    ):
        answer = await plant.api.post(plant.path("/policies"), json={"name": "P", **body})
        check_problem(answer, 422, code)
    assert (await plant.policy(policyType="Flex", engine="holdfast"))["engine"] == "holdfast"


async def test_bkp_04_a_new_policy_is_on_and_planned_a_pending_customer_has_none(
    plant: Plant,
) -> None:
    made = await plant.policy()
    assert made["enabled"]
    assert made["nextRunAt"]
    pending = plant.customer.model_copy(update={"state": CustomerState.PENDING})
    await customers.save(plant.deps.tables, plant.scope, pending)
    answer = await plant.api.post(plant.path("/policies"), json={"name": "P"})
    check_problem(answer, 409, "CUSTOMER_NOT_READY")


async def test_bkp_06_what_is_taken_out_is_not_processed_and_keeps_its_points(
    plant: Plant,
) -> None:
    await plant.run(plant.policy_id)
    out = await plant.object_of(plant.people[0])
    assert (await plant.edit(plant.policy_id, exclude=[out["id"]])).status_code == 200
    session = await plant.run(plant.policy_id)
    assert ("mailbox", "0") not in await plant.protected(session)
    assert session.excluded >= 1
    kept = await plant.get(f"/api/v1/objects/{out['id']}/snapshots")
    assert [one["n"] for one in kept["value"]] == [1]


async def test_bkp_07_support_sets_the_interval_from_the_last_run_on(plant: Plant) -> None:
    await plant.run(plant.policy_id)
    check_problem(await plant.edit(plant.policy_id, intervalHours=12), 403, "SCHEDULE_SUPPORT_ONLY")
    address = f"/api/v1/policies/{plant.policy_id}:setSchedule"
    body = {"partnerId": plant.scope.partner_id, "intervalHours": 12}
    assert (await plant.api.post(address, json=body)).status_code == 403
    operator = plant.bearer(plant.partner_tenant, azp="operator")
    answer = await plant.api.post(address, json=body, headers=operator)
    assert answer.status_code == 200, answer.text
    stored = await repository.get_policy(plant.deps.tables, plant.scope, plant.policy_id)
    assert stored.last_run_at is not None
    assert stored.next_run_at == stored.last_run_at + timedelta(hours=12)
    due = [
        one.policy_id async for one in repository.list_due(plant.deps.tables, stored.next_run_at)
    ]
    assert plant.policy_id in due


async def test_bkp_08_and_09_one_runs_at_a_time_and_stopping_starts_no_further_object(
    plant: Plant,
) -> None:
    address = f"/api/v1/policies/{plant.policy_id}/sessions"
    started = (await plant.api.post(address)).json()
    check_problem(await plant.api.post(address), 409, "ALREADY_RUNNING")
    stopping = await plant.api.post(f"/api/v1/sessions/{started['id']}/stop")
    assert stopping.status_code == 202, stopping.text
    session = await plant.process(started["id"])
    assert session.state.value == "Stopped"
    assert await plant.all_runs(session) == []
    check_problem(
        await plant.api.post(f"/api/v1/sessions/{started['id']}/stop"), 409, "NOT_RUNNING"
    )


async def test_bkp_19_the_recommended_policy_holds_every_protectable_object(plant: Plant) -> None:
    await plant.run(plant.policy_id)
    covered = await plant.get(plant.path("/coverage/objects"))
    licensed = [one for one in covered["value"] if one["licensed"]]
    assert licensed
    assert all(one["policyIds"] == [plant.policy_id] for one in licensed)


async def test_bkp_20_without_consent_a_due_run_is_disconnected_and_reads_nothing(
    plant: Plant,
) -> None:
    client = plant.cloud.registrations.reader
    await plant.cloud.in_tenant("DELETE", "/consent", params={"clientId": client})
    session = await plant.run(plant.policy_id)
    assert session.state.value == "Disconnected"
    assert await plant.all_runs(session) == []
    policy = await plant.get(f"/api/v1/policies/{plant.policy_id}")
    assert policy["lastStatus"] == "Disconnected"


async def test_bkp_21_a_service_that_was_not_chosen_is_never_processed(plant: Plant) -> None:
    chosen = plant.customer.model_copy(update={"services": [Service.EXCHANGE]})
    await customers.save(plant.deps.tables, plant.scope, chosen)
    session = await plant.run(plant.policy_id)
    assert {kind for kind, _ in await plant.protected(session)} == {"mailbox"}


async def test_bkp_23_the_policy_says_how_long_and_the_customer_otherwise(plant: Plant) -> None:
    only = [f"user:{plant.people[0]['id']}"]
    await plant.run(plant.policy_id)
    for years, kept in ((7, 7), (0, None), (None, 1)):
        answer = await plant.edit(plant.policy_id, retentionYears=years)
        assert answer.json()["retentionYears"] == years, answer.text
        await plant.run(plant.policy_id)
        row = await plant.object_of(plant.people[0])
        points = await plant.get(f"/api/v1/objects/{row['id']}/snapshots")
        newest = points["value"][0]
        if kept is None:
            assert newest["expiresAt"] is None
        else:
            assert int(newest["expiresAt"][:4]) == int(newest["endedAt"][:4]) + kept
    check_problem(
        await plant.edit(plant.policy_id, retentionYears=26), 422, "RETENTION_OUT_OF_RANGE"
    )
    assert only


async def test_bkp_25_and_26_objects_are_stored_where_their_policy_says(plant: Plant) -> None:
    answer = await plant.api.post(
        plant.path("/repositories"), json={"name": "London", "region": "uksouth"}
    )
    assert answer.status_code == 201, answer.text
    second = answer.json()
    assert await plant.get(f"/api/v1/repositories/{second['id']}") == second
    default, other = (await plant.get(plant.path("/repositories")))["value"]
    assert (default["isDefault"], default["region"], other) == (True, "westeurope", second)
    made = await plant.policy(
        backupType="SelectedItems",
        include=[await named(plant, 1)],
        repositoryId=second["id"],
    )
    await plant.run(made["id"])
    row = await plant.object_of(plant.people[1])
    stored = plant.deps.storage.containers  # type: ignore[attr-defined]
    oids = [one.name async for one in stored[second["container"]].list("o/")]
    assert oids
    assert [one.name async for one in stored[default["container"]].list()] == []
    (default, other) = (await plant.get(plant.path("/repositories")))["value"]
    assert (default["lockMode"], other["lockMode"], other["keyLock"]) == (None, "none", "rolling")
    points = await plant.get(f"/api/v1/objects/{row['id']}/snapshots")
    assert [one["n"] for one in points["value"]] == [1]
    await plant.run(plant.policy_id)  # the whole organisation, kept in the default repository
    later = await plant.get(f"/api/v1/objects/{row['id']}/snapshots")
    assert [one["n"] for one in later["value"]] == [2, 1]  # one chain, where it began


async def named(plant: Plant, number: int) -> str:
    """A selector of a person who was never backed up: known by a first, empty selection."""
    from shared.protection.discovery import discover

    await discover(plant.deps, plant.customer)
    return f"user:{plant.people[number]['id']}"


async def test_bkp_26_further_regions_need_the_flag_and_an_offered_region(plant: Plant) -> None:
    body = {"name": "Mars", "region": "marsnorth"}
    answer = await plant.api.post(plant.path("/repositories"), json=body)
    check_problem(answer, 422, "REGION_NOT_OFFERED")
    flags = plant.customer.flags.__class__(multiple_regions=False)
    changed = plant.customer.model_copy(update={"flags": flags})
    await customers.save(plant.deps.tables, plant.scope, changed)
    body = {"name": "London", "region": "uksouth"}
    answer = await plant.api.post(plant.path("/repositories"), json=body)
    assert answer.status_code == 403
    assert len((await plant.get(plant.path("/repositories")))["value"]) == 1
    unknown = {"name": "P", "repositoryId": f"{plant.customer.customer_id}-vnowhere0"}
    answer = await plant.api.post(plant.path("/policies"), json=unknown)
    check_problem(answer, 422, "UNKNOWN_REPOSITORY")


async def test_bkp_32_the_policies_of_one_customer_and_no_others(plant: Plant) -> None:
    listed = (await plant.get(plant.path("/policies")))["value"]
    assert [one["id"] for one in listed] == [plant.policy_id]
    assert {one["customerId"] for one in listed} == {plant.customer.customer_id}


async def test_bkp_27_flags_off_bind_the_customer_and_not_its_provider(
    two: World, anonymous: httpx.AsyncClient
) -> None:
    path = f"/api/v1/customers/{two.mine['customer_id']}/policies"
    mine = await customers.get(two.deps.tables, two.a.scope, two.mine["customer_id"])
    off = mine.model_copy(update={"flags": Flags()})
    await customers.save(two.deps.tables, two.a.scope, off)
    cleo, ann = two.caller("customerAdmin"), two.caller("administrator")
    one = f"/api/v1/policies/{two.mine['policy_id']}"
    writes = (("POST", path, {"name": "P"}), ("POST", f"{one}:disable", None))
    for method, address, body in writes:
        refused = await anonymous.request(method, address, json=body, headers=cleo)
        assert refused.status_code == 403, refused.text
        done = await anonymous.request(method, address, json=body, headers=ann)
        assert done.status_code < 300, done.text
