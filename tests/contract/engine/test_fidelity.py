"""The fidelity matrix says what is so: everything it says a test proves is restored and compared.

A property that comes back better than the matrix says fails as well: the matrix is what customers
read before they restore.
"""

from collections.abc import Callable
from email import message_from_bytes
from typing import Any

import orjson
import pytest

from shared.protection.model import ObjectRun
from shared.restore.fidelity import fidelity
from tests.contract.engine.conftest import Ground

Json = dict[str, Any]
Same = Callable[[Json, Json], bool]

MIME = b"""\
Received: from mx.example (mx.example [192.0.2.1]) by in.example; Mon, 5 Jan 2026 10:00:01 +0000
From: Ada Lovelace <ada@partner.example>
Sender: Desk <desk@partner.example>
To: You <you@customer.example>
Cc: Cece <cece@customer.example>
Reply-To: Answers <answers@partner.example>
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and a table
Date: Mon, 05 Jan 2026 10:00:00 +0000
Message-ID: <fidelity@partner.example>
Importance: high
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html; charset=utf-8

<p>The <b>body</b>.</p>
--b
Content-Type: application/octet-stream; name=data.bin
Content-Disposition: attachment; filename=data.bin
Content-Transfer-Encoding: base64

AAECAwQFBgc=
--b--
"""


def graph(*names: str) -> Same:
    """Graph shows the same for all of these members, and it shows something."""

    def same(before: Json, after: Json) -> bool:
        assert all(before.get(name) is not None for name in names), names
        return all(before[name] == after.get(name) for name in names)

    return same


def attachments(shown: Json) -> list[tuple[Any, ...]]:
    return [(a["name"], a["contentBytes"], a["isInline"]) for a in shown["attachments"]]


MAIL: dict[str, Same] = {
    "subject": graph("subject"),
    "sender": graph("from", "sender"),
    "recipients": graph("toRecipients", "ccRecipients", "replyTo"),
    "body": graph("body"),
    "attachments": lambda b, a: bool(b["attachments"]) and attachments(b) == attachments(a),
    "sentAt": graph("sentDateTime"),
    "receivedAt": graph("receivedDateTime"),
    "notDraft": graph("isDraft"),
    "isRead": graph("isRead"),
    "flag": lambda b, a: b["flag"]["flagStatus"] == "flagged" == a["flag"]["flagStatus"],
    "categories": lambda b, a: bool(b["categories"]) and b["categories"] == a["categories"],
    "importance": lambda b, a: b["importance"] == "high" == a["importance"],
    "messageId": graph("internetMessageId"),
    "folder": lambda b, a: a["path"] == f"Back/{b['path']}",
    "itemId": graph("id"),
    "modifiedAt": graph("lastModifiedDateTime"),
    "transportHeaders": lambda b, a: "Received" in headers(a) or "Received" not in headers(b),
    "exactMime": graph("mime"),
}
FILE: dict[str, Same] = {
    "content": graph("sha256"),
    "name": graph("name"),
    "folder": lambda b, a: a["path"].strip("/") == f"Back/{b['path'].strip('/')}",
    "createdAt": lambda b, a: times(b)["createdDateTime"] == times(a)["createdDateTime"],
    "modifiedAt": lambda b, a: times(b)["lastModifiedDateTime"] == times(a)["lastModifiedDateTime"],
    "itemId": graph("id"),
    "permissions": graph("shared"),
    "sharingLinks": lambda b, a: bool(b["links"]) and b["links"] == a["links"],
}
TREE: dict[str, Same] = {
    "name": graph("folderNames"),
    "tree": graph("folderPaths"),
}


def headers(shown: Json) -> set[str]:
    return set(message_from_bytes(shown["mime"]).keys())


def times(shown: Json) -> Json:
    found: Json = shown["fileSystemInfo"]
    return found


@pytest.fixture
def size() -> Json:
    return {"users": 1, "mails": 0, "files": 0, "seed": 7}


async def read(ground: Ground, path: str) -> bytes:
    """What Graph shows."""
    cloud = ground.cloud
    token = await cloud.tokens.get(cloud.tenant_id, cloud.registrations.restorer)
    headers = {"Authorization": f"Bearer {token.token}", "Prefer": 'IdType="ImmutableId"'}
    link = f"{cloud.settings.graph}/v1.0{path}"
    async with cloud.wire.session.get(link, headers=headers) as response:
        body = bytes(await response.read())
        assert response.status == 200, body
        return body


async def run_of(ground: Ground, workload: str) -> ObjectRun:
    runs = await ground.runs(await ground.back_up())
    return next(run for (kind, _), run in runs.items() if kind == workload)


def told(workload: str, kind: str) -> dict[str, str]:
    """Property -> verdict, of what the matrix says a test proves."""
    found = fidelity().find(workload, kind)
    assert found is not None
    return {one.name: one.verdict for one in found.properties if one.proof == "test"}


def compared(checks: dict[str, Same], before: Json, after: Json) -> dict[str, bool]:
    return {name: check(before, after) for name, check in checks.items()}


def said(verdicts: dict[str, str]) -> dict[str, bool]:
    return {name: verdict == "kept" for name, verdict in verdicts.items()}


async def test_mail_comes_back_property_by_property_as_the_matrix_says(ground: Ground) -> None:
    user = ground.cloud.user()
    at = f"/users/{user['id']}/mails?folder=Inbox/Deep&received=2026-01-05T10:00:03Z&read=true"
    made = await ground.cloud.in_tenant("POST", at, data=MIME)
    change = {"flag": "flagged", "categories": ["Red category"]}
    path = f"/users/{user['id']}/mails/{made['id']}"
    await ground.cloud.in_tenant("PATCH", path, data=orjson.dumps(change))
    run = await run_of(ground, "mailbox")

    async def seen(message: str) -> Json:
        link = f"/users/{user['id']}/messages/{message}"
        shown: Json = orjson.loads(await read(ground, f"{link}?$expand=attachments"))
        path = mail_folders(await ground.cloud.truth(user))[shown["parentFolderId"]]
        mime = await read(ground, f"{link}/$value")
        return {**shown, "path": path, "mime": mime}

    before = await seen(made["id"])
    ground.cloud.clock.simulator.advance(60)
    restore = await ground.restore(run, target_folder="Back")
    assert restore.entries == {"Created": restore.total}
    entries = await entries_of(ground, restore.restore_id)
    (mail,) = [one for one in entries if one.kind == "mail"]
    assert mail.target_id is not None
    verdicts = told("mailbox", "mail")
    assert verdicts.keys() == MAIL.keys()
    assert compared(MAIL, before, await seen(mail.target_id)) == said(verdicts)


async def test_file_comes_back_property_by_property_as_the_matrix_says(ground: Ground) -> None:
    user = ground.cloud.user()
    path, drive = "Desk/Ünïcode & more.txt", f"/drives/{user['driveId']}"
    link = f"/users/{user['id']}/files"
    made = await ground.cloud.in_tenant("PUT", link, params={"path": path}, data=b"as protected")
    token = await ground.cloud.tokens.get(
        ground.cloud.tenant_id, ground.cloud.registrations.restorer
    )
    share = f"{ground.cloud.settings.graph}/v1.0{drive}/items/{made['id']}/invite"
    body = {"roles": ["read"], "recipients": [{"objectId": user["id"]}]}
    async with ground.cloud.wire.session.post(
        share, json=body, headers={"Authorization": f"Bearer {token.token}"}
    ) as shared:
        assert shared.status == 200, await shared.read()
    link_body = {"type": "view", "scope": "organization"}
    async with ground.cloud.wire.session.post(
        share.replace("/v1.0/", "/beta/").replace("/invite", "/createLink"),
        json=link_body, headers={"Authorization": f"Bearer {token.token}"},
    ) as linked:  # fmt: skip
        assert linked.status == 201, await linked.read()
    run = await run_of(ground, "drive")

    async def seen(item: str) -> Json:
        shown: Json = orjson.loads(await read(ground, f"{drive}/items/{item}"))
        (held,) = [f for f in (await ground.cloud.truth(user))["files"] if f["id"] == item]
        listed = orjson.loads(await read(ground, f"{drive}/items/{item}/permissions"))["value"]
        links = [one["link"]["webUrl"] for one in listed if "link" in one]
        return {**shown, "sha256": held["sha256"], "path": held["path"], "links": links}

    before = await seen(made["id"])
    ground.cloud.clock.simulator.advance(60)
    restore = await ground.restore(run, target_folder="Back")
    entries = await entries_of(ground, restore.restore_id)
    (file,) = [one for one in entries if one.kind == "file"]
    assert file.target_id is not None
    verdicts = told("drive", "file")
    assert verdicts.keys() == FILE.keys()
    assert compared(FILE, before, await seen(file.target_id)) == said(verdicts)


@pytest.mark.parametrize("workload", ["mailbox", "drive"])
async def test_folders_come_back_as_the_matrix_says(ground: Ground, workload: str) -> None:
    user = ground.cloud.user()
    if workload == "mailbox":
        at = f"/users/{user['id']}/mails?folder=Inbox/Über/Deep"
        await ground.cloud.in_tenant("POST", at, data=MIME)
    else:
        at, query = f"/users/{user['id']}/files", {"path": "Über/Deep/a.txt"}
        await ground.cloud.in_tenant("PUT", at, params=query, data=b"x")
    run = await run_of(ground, workload)
    before = folders(await ground.cloud.truth(user), workload)
    await ground.restore(run, target_folder="Back")
    after = folders(await ground.cloud.truth(user), workload)
    mine = {path.removeprefix("Back/") for path in after if path.startswith("Back/")}

    def shown(paths: set[str]) -> Json:
        return {"folderPaths": paths, "folderNames": {p.rpartition("/")[2] for p in paths}}

    verdicts = told(workload, "folder")
    assert verdicts.keys() == TREE.keys()
    assert compared(TREE, shown(before), shown(mine)) == said(verdicts)


def folders(truth: Json, workload: str) -> set[str]:
    """Paths of all folders that are there."""
    if workload == "drive":
        return {one["path"].strip("/") for one in truth["driveFolders"]} - {""}
    return set(mail_folders(truth).values()) - {""}


def mail_folders(truth: Json) -> dict[str, str]:
    """Folder id -> path; the root of the mailbox has none."""
    by_id = {one["id"]: one for one in truth["folders"]}
    found = {}
    for one in truth["folders"]:
        names, at = list[str](), one
        while at is not None and at["parentId"] is not None:
            names.insert(0, at["name"])
            at = by_id.get(at["parentId"])
        found[one["id"]] = "/".join(names)
    return found


async def entries_of(ground: Ground, restore_id: str) -> list[Any]:
    from shared.restore import service

    found, _ = await service.list_entries(
        ground.deps, ground.scope, restore_id, after="", limit=1000
    )
    return found
