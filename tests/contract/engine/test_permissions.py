"""Permissions of files and folders: read where they changed, given back where asked, no mail."""

from typing import Any

import pytest

from local.microsoft365.roles import READER
from shared.kit.errors import Invalid
from shared.microsoft365.shares import ROLE
from shared.protection.model import ObjectRun
from shared.restore import preview as previews
from shared.restore import service
from shared.restore.choosing import Wanted
from tests.contract.engine.conftest import Ground

Json = dict[str, Any]


@pytest.fixture
def size() -> Json:
    return {"users": 4, "mails": 0, "files": 12, "events": 0, "contacts": 0, "seed": 7}


@pytest.fixture
async def controlled(ground: Ground) -> Ground:
    """The tenant allows our reader full control of sites."""
    reader = ground.cloud.registrations.reader
    await ground.cloud.in_tenant("DELETE", f"/consent?clientId={reader}")
    await ground.cloud.in_tenant(
        "POST", "/consent", json={"clientId": reader, "roles": [*READER, ROLE]}
    )
    ground.cloud.tokens._held.clear()
    return ground


async def files(ground: Ground, user: int = 0) -> list[Json]:
    truth = await ground.cloud.truth(ground.cloud.user(user))
    return sorted(truth["files"], key=lambda one: str(one["path"]))


async def drive_of(ground: Ground) -> str:
    return f"/drives/{ground.cloud.user()['driveId']}"


async def call(
    ground: Ground, method: str, path: str, body: Json | None = None, beta: bool = False
) -> Json:
    cloud = ground.cloud
    token = await cloud.tokens.get(cloud.tenant_id, cloud.registrations.restorer)
    link = f"{cloud.settings.graph}/{'beta' if beta else 'v1.0'}{path}"
    head = {"Authorization": f"Bearer {token.token}"}
    async with cloud.wire.session.request(method, link, json=body, headers=head) as answer:
        assert answer.status < 300, await answer.read()
        found: Json = await answer.json() if answer.status != 204 else {}
        return found


async def share(ground: Ground, item: str, role: str, number: int = 1) -> None:
    body = {
        "roles": [role],
        "recipients": [{"objectId": ground.cloud.user(number)["id"]}],
        "sendInvitation": False,
    }
    await call(ground, "POST", f"{await drive_of(ground)}/items/{item}/invite", body)


async def own(ground: Ground, item: str) -> list[tuple[Any, ...]]:
    """Roles and who or what holds them, of the item's own permissions as Graph lists them."""
    listed = await call(ground, "GET", f"{await drive_of(ground)}/items/{item}/permissions")
    return sorted(
        (*one["roles"], one["link"]["type"] if "link" in one else one["grantedToV2"]["user"]["id"])
        for one in listed["value"]
        if "inheritedFrom" not in one and one["roles"] != ["owner"]
    )


async def run_of(ground: Ground) -> ObjectRun:
    runs = await ground.runs(await ground.back_up())
    return runs["drive", ground.cloud.user()["driveId"]]


async def asked(ground: Ground) -> int:
    """Requests about permissions so far, those of the test's own hands included."""
    return int((await ground.cloud.stats())["requests"].get("drive.permissions", 0))


async def test_only_items_whose_sharing_changed_are_asked_for(controlled: Ground) -> None:
    first, second = (await files(controlled))[:2]
    await share(controlled, first["id"], "read")
    before = await asked(controlled)
    run = await run_of(controlled)
    assert await asked(controlled) - before == 1
    row = (await controlled.held(run))[first["id"]]
    (held,) = row.item["m"]["permissions"]
    assert (held["roles"], held["to"][0]["id"]) == (["read"], controlled.cloud.user(1)["id"])
    # Another version of the content is no reason to ask again, and nothing is forgotten.
    path = f"{await drive_of(controlled)}/items/{first['id']}"
    await call(controlled, "PATCH", path, {"name": "renamed.txt"})
    before = await asked(controlled)
    run = await run_of(controlled)
    assert await asked(controlled) == before
    row = (await controlled.held(run))[first["id"]]
    assert (row.name, row.item["m"]["permissions"]) == ("renamed.txt", [held])
    await share(controlled, second["id"], "write", 2)
    await share(controlled, first["id"], "write", 2)
    before = await asked(controlled)
    run = await run_of(controlled)
    assert await asked(controlled) - before == 2
    rows = await controlled.held(run)
    assert len(rows[first["id"]].item["m"]["permissions"]) == 2
    quiet = await asked(controlled)
    assert (await controlled.back_up()).counts.protected == 0
    assert await asked(controlled) == quiet


async def test_without_full_control_nothing_is_asked_and_nothing_claimed(ground: Ground) -> None:
    first = (await files(ground))[0]
    await share(ground, first["id"], "read")
    before = await asked(ground)
    run = await run_of(ground)
    assert await asked(ground) == before
    assert "permissions" not in (await ground.held(run))[first["id"]].item["m"]


async def test_a_file_comes_although_its_permissions_cannot_be_read(controlled: Ground) -> None:
    first = (await files(controlled))[0]
    await share(controlled, first["id"], "read")
    await controlled.cloud.fault("accessDenied", "permissions$", times=-1)
    run = await run_of(controlled)
    row = (await controlled.held(run))[first["id"]]
    assert row.has_content
    assert row.item["m"]["permissionsUnread"] == "403/ErrorAccessDenied"
    await controlled.cloud.admin("DELETE", "/faults")
    path = f"{await drive_of(controlled)}/items/{first['id']}"
    await call(controlled, "PATCH", path, {"name": "listed again.txt"})
    row = (await controlled.held(await run_of(controlled)))[first["id"]]
    assert "permissionsUnread" not in row.item["m"]
    assert len(row.item["m"]["permissions"]) == 1


async def test_permissions_are_given_back_on_request_and_nobody_is_mailed(
    controlled: Ground,
) -> None:
    first = (await files(controlled))[0]
    await share(controlled, first["id"], "read", 1)
    await share(controlled, first["id"], "write", 2)
    path = f"{await drive_of(controlled)}/items/{first['id']}/createLink"
    await call(controlled, "POST", path, {"type": "view", "scope": "organization"}, beta=True)
    truth = await controlled.cloud.truth(controlled.cloud.user())
    folder = next(one for one in truth["driveFolders"] if one["path"].strip("/"))
    await share(controlled, folder["id"], "read", 1)
    run = await run_of(controlled)
    before = await own(controlled, first["id"])
    assert len(before) == 3
    wanted = Wanted(run.object_id, run.snapshot or 0, with_permissions=True, target_folder="Back")
    seen = await previews.preview(controlled.deps, controlled.scope, wanted)
    assert seen.load.grants == 4
    assert "permissions" not in {loss.name for loss in seen.losses}
    await controlled.cloud.admin("DELETE", "/stats")
    plain = await controlled.restore(run, target_folder="Plain")
    made = {one.name: one for one in await entries_of(controlled, plain.restore_id)}
    assert await own(controlled, made[first["path"].rpartition("/")[2]].target_id) == []
    restore = await controlled.restore(run, target_folder="Back", with_permissions=True)
    entries = {one.source_id: one for one in await entries_of(controlled, restore.restore_id)}
    assert await own(controlled, entries[first["id"]].target_id) == before
    assert len(await own(controlled, entries[folder["id"]].target_id)) == 1
    assert entries[first["id"]].notes == ["link_has_new_address"]
    assert (await controlled.cloud.stats())["invitations"] == 0


async def test_skipped_items_and_folders_that_were_there_keep_what_they_have(
    controlled: Ground,
) -> None:
    first = (await files(controlled))[0]
    await share(controlled, first["id"], "read", 1)
    run = await run_of(controlled)
    path = f"{await drive_of(controlled)}/items/{first['id']}"
    listed = await call(controlled, "GET", f"{path}/permissions")
    (mine,) = [one["id"] for one in listed["value"] if one["roles"] == ["read"]]
    await call(controlled, "DELETE", f"{path}/permissions/{mine}")
    await controlled.restore(run, place="original", with_permissions=True)
    assert await own(controlled, first["id"]) == []  # was withdrawn on purpose


async def test_refused_sharing_and_lost_people_are_notes_of_a_restored_file(
    controlled: Ground,
) -> None:
    first, second = (await files(controlled))[:2]
    await share(controlled, first["id"], "read", 1)
    await share(controlled, first["id"], "read", 2)
    run = await run_of(controlled)
    keys = [(await controlled.opened(run)).key((await controlled.held(run))[first["id"]])]
    tenant = controlled.cloud.server.sim.tenants[controlled.cloud.tenant_id]
    del tenant.users[controlled.cloud.user(2)["id"]]
    wanted = {"items": keys, "with_permissions": True}
    restore = await controlled.restore(run, target_folder="Lost", **wanted)
    (entry,) = await entries_of(controlled, restore.restore_id)
    assert [who for _, who in await own(controlled, entry.target_id)] == [
        controlled.cloud.user(1)["id"]
    ]
    assert [note.partition(":")[0] for note in entry.notes] == ["permission_lost"]
    await controlled.cloud.admin("POST", "/limits", json={"switches": {"sharingDisabled": True}})
    restore = await controlled.restore(run, target_folder="Closed", **wanted)
    (entry,) = await entries_of(controlled, restore.restore_id)
    assert restore.entries == {"Created": 1}
    assert entry.notes[0].startswith("permission_lost:")
    assert second["id"] != entry.target_id


async def test_permissions_of_a_mailbox_are_refused(controlled: Ground) -> None:
    runs = await controlled.runs(await controlled.back_up())
    mailbox = next(run for (kind, _), run in runs.items() if kind == "mailbox")
    with pytest.raises(Invalid) as refused:
        await service.start_restore(
            controlled.deps,
            controlled.scope,
            Wanted(mailbox.object_id, mailbox.snapshot or 0, with_permissions=True),
            requested_by="test",
        )
    assert refused.value.errors[0]["pointer"] == "/withPermissions"


async def entries_of(ground: Ground, restore_id: str) -> list[Any]:
    found, _ = await service.list_entries(
        ground.deps, ground.scope, restore_id, after="", limit=1000
    )
    return found
