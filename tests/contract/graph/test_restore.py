"""Restores through real sockets: fidelity, collisions, sessions, lost answers."""

import hashlib
import math
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import orjson
import pytest

from shared.microsoft365.drive_restore import DriveRestore
from shared.microsoft365.mail_restore import MailboxRestore
from shared.microsoft365.model import Change
from tests.contract.graph.conftest import Cloud, content_of, run_pass


async def _mail(cloud: Cloud, user: dict[str, Any], mime: bytes) -> tuple[Change, bytes]:
    """Put one mail into the mailbox and read it as a backup does."""
    made = await cloud.in_tenant(
        "POST", f"/users/{user['id']}/mails?folder=Inbox&received=2024-05-06T07:08:09Z", data=mime
    )
    mailbox = cloud.mailbox(user)
    found = await run_pass(mailbox)
    change = found.rows[made["id"]]
    return change, await content_of(mailbox, change)


async def _shown(cloud: Cloud, user: dict[str, Any], message_id: str) -> dict[str, Any]:
    """The restored message as a client of Graph sees it."""
    query = "?$expand=attachments"
    url = f"{cloud.settings.graph}/v1.0/users/{user['id']}/messages/{message_id}{query}"
    token = await cloud.tokens.get(cloud.tenant_id, cloud.registrations.restorer)
    headers = {"Authorization": f"Bearer {token.token}", "Prefer": 'IdType="ImmutableId"'}
    async with cloud.wire.session.get(url, headers=headers) as response:
        shown: dict[str, Any] = orjson.loads(await response.read())
        assert response.status == 200, shown
        return shown


def _mime(*, attachment: bytes = b"abc") -> bytes:
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = "Ada Lovelace <ada@example.org>"
    mail["To"] = "Charles <charles@example.org>, mary@example.org"
    mail["Cc"] = "Grüße <gruesse@example.org>"
    mail["Subject"] = "Über die Maschine"
    mail["Date"] = "Mon, 06 May 2024 09:00:00 +0200"
    mail["Message-ID"] = "<engine-1@example.org>"
    mail.set_content("plain words")
    mail.add_alternative("<p>better words</p>", subtype="html")
    mail.add_attachment(attachment, maintype="application", subtype="pdf", filename="plan.pdf")
    inner = EmailMessage(policy=policy.SMTP)
    inner["Subject"], inner["From"] = "inside", "x@example.org"
    inner.set_content("nested")
    mail.add_attachment(inner)
    return mail.as_bytes()


async def test_restored_message_keeps_times_and_is_not_a_draft(cloud: Cloud) -> None:
    user = cloud.user()
    change, mime = await _mail(cloud, user, _mime())
    restore = MailboxRestore(cloud.transport(restorer=True), user["id"])
    folder = await restore.ensure_folder(["Restored 2026-01-01", "Inbox"])
    result = await restore.restore_message(change.item, mime, folder)
    shown = await _shown(cloud, user, result.target_id)
    assert result.outcome == "created"
    assert not shown["isDraft"]
    assert shown["receivedDateTime"] == change.item["m"]["received"] == "2024-05-06T07:08:09Z"
    assert shown["sentDateTime"] == change.item["m"]["sent"]
    assert shown["subject"] == "Über die Maschine"
    assert shown["body"]["contentType"] == "html"
    assert "better words" in shown["body"]["content"]
    assert shown["internetMessageId"] == "<engine-1@example.org>"
    assert [r["emailAddress"]["address"] for r in shown["toRecipients"]] == [
        "charles@example.org", "mary@example.org",
    ]  # fmt: skip
    kinds = sorted((a["@odata.type"].rpartition(".")[2], a["name"]) for a in shown["attachments"])
    assert kinds == [("fileAttachment", "plan.pdf"), ("itemAttachment", "inside")]
    again = await restore.restore_message(change.item, mime, folder)
    assert (again.outcome, again.target_id) == ("skipped", result.target_id)


async def test_replace_and_copy_never_lose(cloud: Cloud) -> None:
    user = cloud.user()
    change, mime = await _mail(cloud, user, _mime())
    restore = MailboxRestore(cloud.transport(restorer=True), user["id"])
    folder = await restore.ensure_folder(["Again"])
    first = await restore.restore_message(change.item, mime, folder)
    copy = await restore.restore_message(change.item, mime, folder, "copy")
    assert copy.target_id != first.target_id
    replaced = await restore.restore_message(change.item, mime, folder, "replace")
    assert replaced.outcome == "replaced"
    assert await restore.find_existing(folder, change.item) == replaced.target_id


async def test_large_attachment_goes_up_in_fragments(cloud: Cloud) -> None:
    user = cloud.user()
    body = bytes(range(256)) * 36_000
    change, mime = await _mail(cloud, user, _mime(attachment=body))
    restore = MailboxRestore(cloud.transport(restorer=True), user["id"])
    folder = await restore.ensure_folder(["Large"])
    result = await restore.restore_message(change.item, mime, folder)
    shown = await _shown(cloud, user, result.target_id)
    sizes = {a["name"]: a["size"] for a in shown["attachments"]}
    assert sizes["plan.pdf"] >= len(body)


async def test_lost_answer_to_a_creation_makes_no_second_message(cloud: Cloud) -> None:
    user = cloud.user()
    change, mime = await _mail(cloud, user, _mime())
    restore = MailboxRestore(cloud.transport(restorer=True), user["id"])
    folder = await restore.ensure_folder(["Once"])
    await cloud.fault("reset", "messages", match={"method": "POST"})
    await restore.restore_message(change.item, mime, folder)
    mails = (await cloud.truth(user))["mails"]
    assert sum(mail["folderId"] == folder for mail in mails) == 1


async def test_every_real_mail_can_be_restored(cloud: Cloud) -> None:
    """All mails of the world, CPython's malformed ones among them, keep subject and time."""
    user = cloud.user()
    mailbox = cloud.mailbox(user)
    found = await run_pass(mailbox)
    restore = MailboxRestore(cloud.transport(restorer=True), user["id"])
    folder = await restore.ensure_folder(["All"])
    for change in [c for c in found.rows.values() if c.content]:
        mime = await content_of(mailbox, change)
        made = await restore.restore_message(change.item, mime, folder, "copy")
        shown = await _shown(cloud, user, made.target_id)
        assert shown["receivedDateTime"] == change.item["m"]["received"]
        assert bool(shown["isDraft"]) == bool(change.item.get("x", 0) & 4)
        assert shown["isRead"] == bool(change.item.get("x", 0) & 1)
        text = message_from_bytes(mime)
        if not text.is_multipart() and text.get_content_maintype() == "text":
            assert shown["body"]["content"].strip() or not text.get_payload()


async def _file(cloud: Cloud, user: dict[str, Any], body: bytes) -> Change:
    await cloud.in_tenant("PUT", f"/users/{user['id']}/files?path=a b/ü%231.bin", data=body)
    found = await run_pass(cloud.drive(user))
    return next(c for c in found.rows.values() if c.item["n"] == "ü#1.bin")


@pytest.mark.parametrize("length", [0, 1000, 12_000_001])
async def test_restored_file_keeps_bytes_and_times(cloud: Cloud, length: int) -> None:
    user = cloud.user()
    body = (bytes(range(256)) * math.ceil(length / 256 + 1))[:length]
    change = await _file(cloud, user, body)
    restore = DriveRestore(cloud.transport(restorer=True), user["driveId"])
    folder = await restore.ensure_folder(["Restored", "a b"])
    result = await restore.restore_file(change.item, body, length, folder)
    found = await run_pass(cloud.drive(user))
    made = found.rows[result.target_id]
    assert result.outcome == "created"
    assert made.item["m"]["modified"] == change.item["m"]["modified"]
    assert made.item["m"]["created"] == change.item["m"]["created"]
    assert await content_of(cloud.drive(user), made) == body
    again = await restore.restore_file(change.item, body, length, folder)
    assert (again.outcome, again.target_id) == ("skipped", result.target_id)
    copy = await restore.restore_file(change.item, body, length, folder, "copy")
    assert copy.target_id != result.target_id


@pytest.mark.parametrize("versioned", [True, False])
async def test_replacing_a_file(cloud: Cloud, versioned: bool) -> None:
    user = cloud.user()
    change = await _file(cloud, user, b"old")
    restore = DriveRestore(cloud.transport(restorer=True), user["driveId"], versioned=versioned)
    result = await restore.restore_file(change.item, b"newer", 5, change.item["p"], "replace")
    found = await run_pass(cloud.drive(user))
    same = [c for c in found.rows.values() if c.item.get("p") == change.item["p"] and c.content]
    assert result.outcome == "replaced"
    assert [c.item["n"] for c in same] == ["ü#1.bin"]
    assert await content_of(cloud.drive(user), same[0]) == b"newer"
    assert (same[0].item["i"] == change.item["i"]) == versioned


@pytest.mark.parametrize("action", ["reset", "unavailable"])
async def test_upload_session_goes_on_after_a_fault(cloud: Cloud, action: str) -> None:
    user = cloud.user()
    body = bytes(range(256)) * 70_000
    restore = DriveRestore(cloud.transport(restorer=True), user["driveId"])
    folder = await restore.ensure_folder(["Up"])
    await cloud.fault(action, "upload", times=3, match={"method": "PUT", "nth": 2})
    made = await restore.restore_file({"n": "up.bin"}, body, len(body), folder)
    files = {f["id"]: f["sha256"] for f in (await cloud.truth(user))["files"]}
    assert files[made.target_id] == hashlib.sha256(body).hexdigest()


async def test_lost_answer_to_a_small_upload_makes_no_second_file(cloud: Cloud) -> None:
    user = cloud.user()
    restore = DriveRestore(cloud.transport(restorer=True), user["driveId"])
    folder = await restore.ensure_folder(["Small"])
    await cloud.fault("reset", "content", match={"method": "PUT"})
    await restore.restore_file({"n": "s.bin"}, b"abc", 3, folder)
    files = [f for f in (await cloud.truth(user))["files"] if f["path"].endswith("s.bin")]
    assert len(files) == 1
