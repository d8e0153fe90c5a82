"""Rows of BKP and RST that have a door of their own: services, reported jobs, contacts, status."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.bootstrap import Deps
from shared.kit import ids
from shared.kit.storage import Storage
from shared.notifications import rules, service
from shared.notifications.model import Contact, Topic
from shared.protection import changes
from shared.protection.model import Point, Policy, ProtectedObject, RunState
from shared.restore import availability, repository
from shared.restore.availability import AREAS, COMPONENTS, area_of, components, health_of
from shared.restore.model import Restore, RestoreState, Target
from shared.usage.days import counted_users
from tests.api.conftest import RecordedClient, check_problem
from tests.api.licensing import Shop
from tests.api.world import START, World


@pytest.fixture
async def shop(deps: Deps, anonymous: httpx.AsyncClient, bearer: Callable[..., Any]) -> Shop:
    return await Shop(deps, anonymous, bearer).open()


def path(two: World, tail: str) -> str:
    return f"/api/v1/customers/{two.mine['customer_id']}/{tail}"


async def test_bkp_22_start_services_protects_all_and_queues_a_session(
    shop: Shop, durable: RecordedClient
) -> None:
    start = f"/customers/{shop.customer}/services:start"
    check_problem(await shop.post(start, {"service": "CBM"}), 409, "NO_AVAILABLE_SUBSCRIPTION")
    assert (await shop.get(f"/customers/{shop.customer}/policies"))["value"] == []
    await shop.buy()
    await shop.assigned()
    answer = await shop.post(start, {"service": "CBM"})
    assert answer.status_code == 202, answer.text
    (policy,) = (await shop.get(f"/customers/{shop.customer}/policies"))["value"]
    session = await shop.get(f"/sessions/{answer.headers['Location'].rpartition('/')[2]}")
    assert (session["policyId"], session["state"]) == (policy["id"], "Queued")
    assert len(durable.started) == 1
    check_problem(await shop.post(start, {"service": "CBM"}), 409, "ALREADY_RUNNING")


async def test_bkp_22_services_that_run_elsewhere_are_refused_by_name(shop: Shop) -> None:
    start = f"/customers/{shop.customer}/services:start"
    refused = await shop.post(start, {"service": "CBG"})
    check_problem(refused, 422, "SERVICE_RUNS_ELSEWHERE")
    assert "Google Workspace" in refused.json()["detail"]
    check_problem(await shop.post(start, {"service": "XXX"}), 400, "INVALID_INPUT")


def _object(owner: str, ended_at: datetime | None) -> ProtectedObject:
    customer = "c" * 16
    point = None
    if ended_at is not None:
        point = Point(n=1, status="complete", ended_at=ended_at, items=1, root="r", record="r")
    return ProtectedObject(
        object_id=ids.object_id(customer, "mailbox", owner), partner_id="p", customer_id=customer,
        workload="mailbox", source_id=owner, owner_id=owner, display_name=owner, address=owner,
        licensed=True, state="active", last_point=point, discovered_at=START,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("enabled", "last", "counts"),
    [
        (True, None, True),
        (False, datetime(2026, 3, 2, tzinfo=UTC), True),
        (False, datetime(2026, 2, 27, tzinfo=UTC), False),
        (False, None, False),
    ],
)
def test_bkp_29_kept_in_an_enabled_policy_or_processed_in_the_month(
    enabled: bool, last: datetime | None, counts: bool
) -> None:
    """AMB-31: pure retention does not count."""
    customer = "c" * 16
    policy = Policy(
        policy_id=ids.policy_id(customer), partner_id="p", customer_id=customer, name="P",
        services=["exchange"], enabled=enabled, created_at=START,
        next_run_at=START,
    )  # fmt: skip
    found = counted_users([_object("ada", last)], [policy], ["exchange"], date(2026, 3, 31))
    assert [one.user_id for one in found] == (["ada"] if counts else [])


async def test_bkp_31_a_reported_job_is_counted_under_its_service(
    two: World, anonymous: httpx.AsyncClient
) -> None:
    headers = two.caller("daemon")
    body = {
        "service": "CBS", "jobId": "vm-1/2026-01-05", "name": "Machines", "status": "Running",
        "startedAt": "2026-01-05T01:00:00Z",
    }  # fmt: skip
    at = path(two, "reported-jobs")
    assert (await anonymous.post(at, json=body, headers=headers)).status_code == 200
    ended = {**body, "status": "Success", "endedAt": "2026-01-05T02:00:00Z"}
    for _ in range(2):
        assert (await anonymous.post(at, json=ended, headers=headers)).status_code == 200
    counted = await anonymous.get(path(two, "job-counts?month=2026-01"), headers=headers)
    assert counted.json()["services"]["CBS"] == {"Success": 1}
    listed = (await anonymous.get(f"{at}?month=2026-01", headers=headers)).json()["value"]
    assert [(one["jobId"], one["status"]) for one in listed] == [("vm-1/2026-01-05", "Success")]
    other = await anonymous.get(path(two, "job-counts?month=2026-02"), headers=headers)
    assert "CBS" not in other.json()["services"]


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"service": "NIX"}, "/service"),
        ({"service": "CBM"}, "/service"),
        ({"startedAt": "2999-01-01T00:00:00Z"}, "/startedAt"),
        ({"endedAt": "2025-01-01T00:00:00Z"}, "/endedAt"),
    ],
)
async def test_bkp_31_impossible_jobs_are_refused(
    two: World, anonymous: httpx.AsyncClient, changed: dict[str, str], pointer: str
) -> None:
    body = {
        "service": "CBS", "jobId": "1", "name": "N", "status": "Failed",
        "startedAt": "2026-01-01T00:00:00Z", **changed,
    }  # fmt: skip
    answer = await anonymous.post(
        path(two, "reported-jobs"), json=body, headers=two.caller("daemon")
    )
    check_problem(answer, 400, "INVALID_INPUT")
    assert answer.json()["errors"][0]["pointer"].endswith(pointer)


async def test_ntf_03_contacts_are_set_whole_under_their_etag(
    two: World, anonymous: httpx.AsyncClient
) -> None:
    headers, at = two.caller("daemon"), path(two, "contacts")
    read = await anonymous.get(at, headers=headers)
    assert read.json() == {"contacts": []}
    body = {"contacts": [{"email": "ada@x.example", "name": "Ada"}]}
    check_problem(await anonymous.put(at, json=body, headers=headers), 428, "PRECONDITION_REQUIRED")
    tagged = headers | {"If-Match": read.headers["ETag"]}
    made = await anonymous.put(at, json=body, headers=tagged)
    assert made.status_code == 200, made.text
    # AMB-28: changes of licences are off by default.
    assert made.json()["contacts"][0]["topics"] == [
        "BackupComplete", "BackupFailed", "RestoreActivity",
    ]  # fmt: skip
    check_problem(await anonymous.put(at, json=body, headers=tagged), 412, "PRECONDITION_FAILED")
    again = headers | {"If-Match": made.headers["ETag"]}
    double = {"contacts": [{"email": "a@x.example"}, {"email": "A@x.example"}]}
    check_problem(await anonymous.put(at, json=double, headers=again), 400, "INVALID_INPUT")
    assert (await anonymous.get(at, headers=headers)).json() == made.json()


@pytest.mark.parametrize(
    ("outcome", "topic"),
    [
        ("Success", Topic.BACKUP_COMPLETE),
        ("Warning", Topic.BACKUP_COMPLETE),
        ("Failed", Topic.BACKUP_FAILED),
        ("Disconnected", Topic.BACKUP_FAILED),
        ("Stopped", None),
    ],
)
def test_ntf_03_topic_follows_from_how_a_session_ended(outcome: str, topic: Topic | None) -> None:
    assert rules.topic_of_session(outcome) is topic


async def test_ntf_03_only_backup_failed_chosen_and_a_backup_succeeds(two: World) -> None:
    customer, tables = two.mine["customer_id"], two.deps.tables
    chosen = [Contact(email="ada@x.example", topics=(Topic.BACKUP_FAILED,))]
    await service.set_contacts(two.deps, two.a.scope, customer, chosen, "*")

    async def tell(topic: Topic) -> bool:
        return await service.tell(tables, customer, topic, subject="s", outcome="x", at=START)

    assert not await tell(Topic.BACKUP_COMPLETE)
    assert await tell(Topic.BACKUP_FAILED)
    assert not await tell(Topic.BACKUP_FAILED)  # said once, however often the process repeats
    found, _ = await service.list_notifications(two.deps, two.a.scope, customer, after="", limit=10)
    assert [(one.topic, one.recipients) for one in found] == [
        (Topic.BACKUP_FAILED, ("ada@x.example",))
    ]


def test_rst_08_three_regions_have_eighteen_components_in_one_order() -> None:
    found = components({("APJ", "Restores"): (2, 2), ("EMEA", "Teams"): (10, 2)})
    assert len(found) == 18
    assert [(one.area, one.name) for one in found] == [(a, n) for a in AREAS for n in COMPONENTS]
    assert {(one.area, one.name): one.health for one in found if one.health != "Operational"} == {
        ("APJ", "Restores"): "Unavailable",
        ("EMEA", "Teams"): "Degraded",
    }


@pytest.mark.parametrize(
    ("region", "area"),
    [
        ("westeurope", "EMEA"), ("uksouth", "EMEA"), ("uaenorth", "EMEA"), ("eastus2", "AMER"),
        ("canadacentral", "AMER"), ("brazilsouth", "AMER"), ("southeastasia", "APJ"),
        ("japaneast", "APJ"), ("australiaeast", "APJ"), ("centralindia", "APJ"),
        ("southafricanorth", "EMEA"),
    ],
)  # fmt: skip
def test_rst_08_every_storage_region_lies_in_one_area(region: str, area: str) -> None:
    assert area_of(region) == area


@pytest.mark.parametrize(
    ("checked", "failed", "health"),
    [(0, 0, "Operational"), (10, 1, "Operational"), (10, 2, "Degraded"), (1, 1, "Unavailable")],
)
def test_rst_08_health_follows_from_failures(checked: int, failed: int, health: str) -> None:
    assert health_of(checked, failed) == health


async def test_rst_08_restores_down_in_one_region_show_there_only(
    two: World, anonymous: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.customers import repository as customers

    customer = await customers.get(two.deps.tables, two.a.scope, two.mine["customer_id"])
    moved = customer.model_copy(update={"region": "japaneast"})
    await customers.save(two.deps.tables, two.a.scope, moved)
    now = two.deps.clock.now()
    await repository.add(
        two.deps.tables,
        two.a.scope,
        Restore(
            restore_id=ids.newest_first(customer.customer_id, ids.RESTORE, now),
            partner_id=two.a.scope.partner_id, customer_id=customer.customer_id,
            object_id=two.mine["object_id"], workload="drive", source_id="d", snapshot=1,
            target=Target(object_id=two.mine["object_id"], source_id="d"),
            state=RestoreState.FAILED, created_at=now, updated_at=now,
            ended_at=now - timedelta(minutes=1),
        ),
    )  # fmt: skip

    await changes.change_object(
        two.deps.tables, two.a.scope, two.mine["object_id"],
        lambda found: found.model_copy(update={"last_run_state": RunState.FAILED}),
    )  # fmt: skip
    real = Storage.in_region

    def in_region(self: Storage, region: str) -> Storage:
        if region == "eastus":
            raise KeyError(region)
        return real(self, region)

    monkeypatch.setattr(Storage, "in_region", in_region)
    answer = await anonymous.get("/api/v1/status", headers=two.caller("daemon"))
    assert answer.status_code == 200, answer.text
    found = answer.json()["components"]
    assert len(found) == 18
    down = {(one["region"], one["name"]) for one in found if one["status"] != "Operational"}
    backed_up = availability.BACKUPS["mailbox"]
    assert ("APJ", "Restores") in down
    assert ("AMER", "Backup storage") in down
    assert down <= {("APJ", "Restores"), ("AMER", "Backup storage"), ("APJ", backed_up)}
