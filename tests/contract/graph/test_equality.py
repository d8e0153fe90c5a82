"""A restored message is its source: every CPython test message and odd ones, field by field.

The simulator and the product read MIME by the same written rule, each in its own way; here they
meet. What cannot be brought back is listed in `LOSSES`, and nowhere else.
"""

from base64 import b64decode
from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from local.demo.proof import MAIL, NESTED, expand
from local.microsoft365.clock import parse_iso
from local.microsoft365.mail_created import created_from
from local.microsoft365.mime_read import Attachment, MailContent, MailMeta, read_content, read_meta
from local.microsoft365.world_real import python_mails
from shared.microsoft365 import mail_json
from shared.microsoft365.mail_restore import MailboxRestore
from shared.microsoft365.mime import parse_mail
from tests.contract.graph.conftest import Cloud, content_of, run_pass
from tests.contract.graph.odd_mail import ODD, TABLE, TOO_DEEP, parts

CPYTHON = {f"message {n}": mail.source.mime() for n, mail in enumerate(python_mails())}
LOSSES: dict[str, str] = {}
"""Messages of the tables below that do not come back equal, and why."""

ITEM = "#microsoft.graph.itemAttachment"
MESSAGE = [*(name for name in MAIL.split(",") if name != "id"), "flag", "hasAttachments"]
INNER = [*NESTED.split(","), "receivedDateTime", "hasAttachments"]
FILE = ["@odata.type", "name", "contentType", "isInline", "contentId", "contentBytes"]


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 1, "mails": 0, "files": 0, "seed": 7}


def _attachment(shown: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {name: shown.get(name) for name in FILE}
    if shown["@odata.type"] == ITEM:
        item = shown["item"]
        told["item"] = {name: item.get(name) for name in INNER}
        told["item"]["attachments"] = [_attachment(one) for one in item["attachments"]]
    return told


async def _seen(cloud: Cloud, user: dict[str, Any], message_id: str) -> dict[str, Any]:
    """All that Graph shows of a message, nested messages opened."""
    token = await cloud.tokens.get(cloud.tenant_id, cloud.registrations.restorer)
    headers = {"Authorization": f"Bearer {token.token}", "Prefer": 'IdType="ImmutableId"'}
    base = f"{cloud.settings.graph}/v1.0/users/{user['id']}/messages/{message_id}"

    async def get(path: str) -> dict[str, Any]:
        async with cloud.wire.session.get(base + path, headers=headers) as response:
            shown: dict[str, Any] = orjson.loads(await response.read())
            assert response.status == 200, shown
            return shown

    message = await get("?$expand=attachments")
    seen: dict[str, Any] = {name: message.get(name) for name in MESSAGE}
    seen["attachments"] = []
    for one in message["attachments"]:
        if one["@odata.type"] == ITEM:
            one = await get(f"/attachments/{one['id']}?$expand={expand(10)}")
        seen["attachments"].append(_attachment(one))
    return seen


async def _there_and_back(
    cloud: Cloud, mails: dict[str, bytes], **options: str
) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Deliver, back up, restore beside; (before, after) as Graph shows them, by name."""
    user, mailbox = cloud.user(), cloud.mailbox(cloud.user())
    ids = {}
    for name, mime in mails.items():
        query = "&".join(f"{k}={v}" for k, v in options.items())
        path = f"/users/{user['id']}/mails?folder=Inbox&received=2024-05-06T07:08:09Z&{query}"
        ids[name] = (await cloud.in_tenant("POST", path, data=mime))["id"]
    rows = (await run_pass(mailbox)).rows
    restore = MailboxRestore(cloud.transport(restorer=True), user["id"])
    folder = await restore.ensure_folder(["Restored"])
    found = {}
    for name, identity in ids.items():
        mime = await content_of(mailbox, rows[identity])
        assert mime == mails[name]
        made = await restore.restore_message(rows[identity].item, mime, folder, "copy")
        assert made.notes == []
        found[name] = (
            await _seen(cloud, user, identity), await _seen(cloud, user, made.target_id)
        )  # fmt: skip
    return found


def _differences(
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]],
) -> dict[str, dict[str, Any]]:
    unequal = {}
    for name, (before, after) in found.items():
        fields = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
        if fields and name not in LOSSES:
            unequal[name] = fields
    return unequal


async def test_every_cpython_message_comes_back_field_by_field(cloud: Cloud) -> None:
    assert len(CPYTHON) > 40
    assert _differences(await _there_and_back(cloud, CPYTHON, read="true")) == {}


async def test_odd_messages_come_back_field_by_field(cloud: Cloud) -> None:
    assert _differences(await _there_and_back(cloud, TABLE)) == {}


async def test_drafts_come_back_field_by_field(cloud: Cloud) -> None:
    some = {name: TABLE[name] for name in ("nested", "priorities", "words for people", "empty")}
    found = await _there_and_back(cloud, some, draft="true")
    assert _differences(found) == {}
    assert all(after["isDraft"] for _, after in found.values())


async def test_messages_deeper_than_we_follow_become_files_and_are_named(cloud: Cloud) -> None:
    user, mailbox = cloud.user(), cloud.mailbox(cloud.user())
    path = f"/users/{user['id']}/mails?folder=Inbox"
    made = await cloud.in_tenant("POST", path, data=TOO_DEEP)
    row = (await run_pass(mailbox)).rows[made["id"]]
    restore = MailboxRestore(cloud.transport(restorer=True), user["id"])
    folder = await restore.ensure_folder(["Deep"])
    restored = await restore.restore_message(row.item, TOO_DEEP, folder)
    assert restored.notes == ["message_as_file:innermost.eml"]


@pytest.mark.parametrize("size_of_file", [2_700_000, 2_900_000, 3_050_000, 3_200_000])
async def test_files_around_the_limits_of_one_request_come_back(
    cloud: Cloud, size_of_file: int
) -> None:
    """Base64 makes three bytes four and one request holds 4 MiB; sessions begin at 3 MiB."""
    body = b"Content-Type: text/html\r\n\r\n" + b"<p>x</p>" * 50_000 + b"\r\n"
    data = b"Content-Type: a/b\r\nContent-Disposition: attachment; filename=f\r\n\r\n"
    mime = parts("mixed", body, data + b"01234567" * (size_of_file // 8) + b"\r\n")
    assert _differences(await _there_and_back(cloud, {"large": mime})) == {}


def _view(meta: MailMeta, content: MailContent) -> dict[str, Any]:
    """What the simulator would show, nested messages opened."""
    submitter = meta.submitter or meta.sender
    return {
        "subject": meta.subject,
        "from": _named([meta.sender] if meta.sender else []),
        "sender": _named([submitter] if submitter else []),
        "people": [_named(found) for found in (meta.to, meta.cc, meta.bcc, meta.reply_to)],
        "sent": meta.sent,
        "received": meta.received,
        "importance": meta.importance,
        "messageId": meta.internet_message_id,
        "unsent": meta.unsent,
        "body": (content.content_type, content.body),
        "attachments": [_shown(one) for one in content.attachments],
    }


def _shown(one: Attachment) -> tuple[Any, ...]:
    # Graph shows no contentId of a nested message.
    if one.nested:
        return one.name, one.inline, _view(*one.opened())
    return one.name, one.inline, one.content_type, one.content_id, one.data


def _named(people: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name or address, address) for name, address in people]


def _restored(mime: bytes, meta: MailMeta) -> tuple[MailMeta, MailContent]:
    """The message as created from the JSON that the product makes, without a network."""
    mail = parse_mail(mime)
    row = {"m": {"imid": meta.internet_message_id, "importance": meta.importance}}
    body = mail_json.message_json(mail, row)
    body["attachments"] = [mail_json.attachment_json(one) for one in mail.attachments]
    told = {one["id"][-4:]: one["value"] for one in body["singleValueExtendedProperties"]}
    sent, received = (told.get(name) for name in ("0039", "0E06"))
    made = created_from(
        orjson.loads(orjson.dumps(body)),
        parse_iso(sent) if sent else None,
        parse_iso(received) if received else None,
    )
    return made.meta(), made.content()


def _check(mime: bytes) -> None:
    meta, content = read_meta(mime), read_content(mime)
    before, after = _view(meta, content), _view(*_restored(mime, meta))
    # A delivered message's time is its row's, not its header's.
    before.pop("received"), after.pop("received")
    assert after == before


@settings(max_examples=400, deadline=None)
@given(ODD)
def test_both_readings_of_any_mail_agree(mime: bytes) -> None:
    _check(mime)


@pytest.mark.parametrize("name", [*TABLE, *CPYTHON])
def test_both_readings_agree(name: str) -> None:
    _check({**TABLE, **CPYTHON}[name])


def test_parts_nested_without_end_do_not_end_a_restore() -> None:
    for mime in (_multiparts(3000), _messages(3000)):
        parse_mail(mime)
        read_meta(mime)


def _multiparts(levels: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=m%d\r\n\r\n--m%d\r\n" % (n, n)
        for n in range(levels)
    )


def _messages(levels: int) -> bytes:
    return b"Content-Type: message/rfc822\r\n\r\n" * levels


def test_a_nested_file_keeps_its_bytes() -> None:
    mail = parse_mail(TABLE["nested"])
    shown = mail_json.attachment_json(mail.attachments[0])
    assert b64decode(shown["item"]["attachments"][0]["contentBytes"]) == b"png"
