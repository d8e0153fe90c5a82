"""Mail: lists, MIME, ids, deltas that lose nothing, creation and attachments."""

import base64
import hashlib
import json

import pytest

from local.microsoft365.clock import Clock
from tests.local.microsoft365.conftest import READER, Client, client

MIB = 1024 * 1024


def user_path(one: Client, number: int = 0) -> str:
    return f"/users/{one.users[number]['id']}"


async def inbox_delta(one: Client, select: str = "subject") -> tuple[list[dict], str]:
    path = f"{user_path(one)}/mailFolders/inbox/messages/delta?$select={select}"
    found, link, _ = await one.pages(path)
    return found, link


async def test_every_mime_is_exactly_the_stored_one(reader: Client) -> None:
    truth = await reader.truth(reader.users[0])
    for mail in truth["mails"]:
        body = await reader.raw(
            "GET",
            f"/v1.0{user_path(reader)}/messages/{mail['id']}/$value",
            {"Authorization": f"Bearer {reader.token}"},
        )
        assert hashlib.sha256(body[2]).hexdigest() == mail["sha256"]


async def test_folder_lists_delta_and_paging_agree_with_the_truth(reader: Client) -> None:
    truth = await reader.truth(reader.users[0])
    reader.prefer = [*reader.prefer, "odata.maxpagesize=3"]
    shown, link, sizes = await reader.pages(f"{user_path(reader)}/mailFolders/delta")
    assert max(sizes) == 3
    visible = {f["id"] for f in truth["folders"] if not f["hidden"] and f["parentId"]}
    assert {folder["id"] for folder in shown} == visible
    listed, _, _ = await reader.pages(f"{user_path(reader)}/mailFolders?includeHiddenFolders=true")
    assert any(folder["isHidden"] for folder in listed)
    parent = next(f for f in listed if f["childFolderCount"])
    children, _, _ = await reader.pages(
        f"{user_path(reader)}/mailFolders/{parent['id']}/childFolders"
    )
    assert len(children) == parent["childFolderCount"]
    assert (await reader.pages(link))[0] == []


async def test_immutable_ids_survive_a_move_and_ordinary_ids_do_not(writer: Client) -> None:
    found, _ = await inbox_delta(writer)
    immutable = found[0]["id"]
    writer.prefer = []
    path = f"{user_path(writer)}/messages"
    before = (await writer.graph("GET", f"{path}/{immutable}"))["id"]
    assert before != immutable
    moved = await writer.graph(
        "POST", f"{path}/{before}/move", json={"destinationId": "archive"}, status=201
    )
    assert moved["id"] != before
    body = await writer.graph("GET", f"{path}/{before}", status=404)
    assert body["error"]["code"] == "ErrorItemNotFound"
    writer.prefer = ['IdType="ImmutableId"']
    assert (await writer.graph("GET", f"{path}/{immutable}"))["id"] == immutable
    await writer.graph("GET", f"{path}/{immutable.swapcase()}", status=404)


async def test_delta_shows_new_flagged_moved_and_deleted_mail(writer: Client) -> None:
    found, link = await inbox_delta(writer, "isRead,flag")
    assert set(found[0]) == {"@odata.type", "@odata.etag", "id", "isRead", "flag"}
    flagged, moved, gone = (mail["id"] for mail in found[:3])
    path = f"{user_path(writer)}/messages"
    await writer.graph("PATCH", f"{path}/{flagged}", json={"flag": {"flagStatus": "flagged"}})
    await writer.graph("POST", f"{path}/{moved}/move", json={"destinationId": "archive"},
                       status=201)  # fmt: skip
    await writer.graph("POST", f"{path}/{gone}/permanentDelete", status=204)
    base = f"/tenants/{writer.tenant_id}{user_path(writer)}"
    new = (await writer.sim("POST", base + "/mails?received=2026-02-03T04:05:06Z",
                            data=b"Subject: hi\r\n\r\nbody"))["id"]  # fmt: skip
    changes, link, _ = await writer.pages(link)
    by_id = {change["id"]: change for change in changes}
    assert by_id[flagged]["flag"] == {"flagStatus": "flagged"}
    assert by_id[moved]["@removed"] == {"reason": "deleted"}
    assert by_id[gone]["@removed"] == {"reason": "deleted"}
    assert set(by_id) == {flagged, moved, gone, new}
    assert (await writer.pages(link))[0] == []
    archived, _, _ = await writer.pages(f"{user_path(writer)}/mailFolders/archive/messages/delta")
    assert moved in {mail["id"] for mail in archived}


async def test_delete_moves_to_deleted_items_first(writer: Client) -> None:
    found, _ = await inbox_delta(writer)
    path = f"{user_path(writer)}/messages/{found[0]['id']}"
    await writer.graph("DELETE", path, status=204)
    bin_ = await writer.graph("GET", f"{user_path(writer)}/mailFolders/deleteditems")
    assert (await writer.graph("GET", path))["parentFolderId"] == bin_["id"]
    await writer.graph("DELETE", path, status=204)
    await writer.graph("GET", path, status=404)


@pytest.mark.parametrize("status", [410, 400])
async def test_expired_mail_token_asks_for_a_resync(status: int) -> None:
    clock = Clock()
    limits = {"delta": {"mailLifetime": 60, "mailExpiredStatus": status}}
    async with client(clock=clock, limits=limits) as one:
        await one.become(READER)
        _, link = await inbox_delta(one)
        clock.advance(61)
        body = await one.graph("GET", link, status=status)
        assert body["error"]["code"] == "SyncStateNotFound"
        assert (await inbox_delta(one))[0]


async def test_read_flag_alone_may_stay_out_of_the_delta_m7(writer: Client) -> None:
    await writer.sim("POST", "/limits", json={"switches": {"readFlagInDelta": False}})
    found, link = await inbox_delta(writer)
    path = f"{user_path(writer)}/messages/{found[0]['id']}"
    await writer.graph("PATCH", path, json={"isRead": False})
    assert (await writer.pages(link))[0] == []


async def test_json_create_with_extended_properties_is_no_draft(writer: Client) -> None:
    folder = await writer.graph("POST", f"{user_path(writer)}/mailFolders",
                                json={"displayName": "Restored"}, status=201)  # fmt: skip
    again = await writer.graph("POST", f"{user_path(writer)}/mailFolders",
                               json={"displayName": "restored"}, status=409)  # fmt: skip
    assert again["error"]["code"] == "ErrorFolderExists"
    person = {"emailAddress": {"name": "Zoë Ünal", "address": "zoe@partner.example"}}
    body = {
        "subject": "Größe\r\nBcc: evil@example.com",
        "body": {"contentType": "html", "content": "<p>héllo</p>"},
        "from": person,
        "toRecipients": [person],
        "internetMessageId": "<one@example>",
        "isRead": False,
        "flag": {"flagStatus": "flagged"},
        "categories": ["Blue"],
        "internetMessageHeaders": [{"name": "x-holdfast", "value": "1"}],
        "singleValueExtendedProperties": [
            {"id": "Integer 0x0E07", "value": "4"},
            {"id": "SystemTime 0x0039", "value": "2020-01-02T03:04:05Z"},
            {"id": "SystemTime 0xE06", "value": "2020-01-02T03:04:06Z"},
        ],
        "attachments": [
            {
                "@odata.type": "#microsoft.graph.fileAttachment",
                "name": "naïve.bin",
                "contentBytes": base64.b64encode(b"\0\1\2").decode(),
            },
            {
                "@odata.type": "#microsoft.graph.itemAttachment",
                "name": "inner",
                "item": {"subject": "inner", "body": {"contentType": "text", "content": "deep"}},
            },
        ],
    }
    path = f"{user_path(writer)}/mailFolders/{folder['id']}/messages"
    made = await writer.graph("POST", path, json=body, status=201)
    assert (made["isDraft"], made["isRead"], made["hasAttachments"]) == (False, False, True)
    assert made["sentDateTime"] == "2020-01-02T03:04:05Z"
    assert made["receivedDateTime"] == "2020-01-02T03:04:06Z"
    assert made["from"] == person
    item = f"{user_path(writer)}/messages/{made['id']}"
    attachments = (await writer.graph("GET", item + "/attachments"))["value"]
    assert [one["name"] for one in attachments] == ["naïve.bin", "inner"]
    inner = await writer.graph(
        "GET", f"{item}/attachments/{attachments[1]['id']}"
        "?$expand=microsoft.graph.itemAttachment/item"
    )  # fmt: skip
    assert inner["item"]["subject"] == "inner"
    bad = {"singleValueExtendedProperties": [{"id": "Integer 0x0E07", "value": "1"}]}
    await writer.graph("PATCH", item, json=bad, status=400)
    await writer.graph("PATCH", item, json={"subject": "no"}, status=400)
    found = await writer.graph(
        "GET", f"{user_path(writer)}/messages?$filter=internetMessageId%20eq%20'%3Cone@example%3E'"
        "&$expand=singleValueExtendedProperties($filter=id%20eq%20'Integer%200x0E07')"
    )  # fmt: skip
    assert [mail["id"] for mail in found["value"]] == [made["id"]]
    assert found["value"][0]["singleValueExtendedProperties"][0]["value"] == "1"
    mime = await writer.graph("GET", item + "/$value")
    assert b"\nBcc: evil" not in mime
    assert b"x-holdfast: 1" in mime


async def test_mime_create_is_a_draft(writer: Client) -> None:
    mime = b"Subject: as it was\r\nX-Odd: kept\r\n\r\nbody\r\n"
    path = f"{user_path(writer)}/messages"
    plain = {"Content-Type": "text/plain"}
    made = await writer.graph("POST", path, data=base64.b64encode(mime), headers=plain, status=201)
    assert made["isDraft"] is True
    assert await writer.graph("GET", f"{path}/{made['id']}/$value") == mime
    await writer.graph("PATCH", f"{path}/{made['id']}", json={"subject": "changed"})
    assert (await writer.graph("GET", f"{path}/{made['id']}"))["subject"] == "changed"


async def test_large_attachment_arrives_in_fragments(writer: Client) -> None:
    made = await writer.graph("POST", f"{user_path(writer)}/messages", json={"subject": "big"},
                              status=201)  # fmt: skip
    path = f"{user_path(writer)}/messages/{made['id']}/attachments/createUploadSession"
    small = {"AttachmentItem": {"attachmentType": "file", "name": "x", "size": 100}}
    await writer.graph("POST", path, json=small, status=400)
    data = bytes(range(256)) * (5 * MIB // 256)
    item = {"AttachmentItem": {"attachmentType": "file", "name": "big.bin", "size": len(data)}}
    session = await writer.graph("POST", path, json=item, status=201)
    url = session["uploadUrl"]
    first = {"Content-Range": f"bytes 0-{4 * MIB - 1}/{len(data)}"}
    status, _, body = await writer.raw("PUT", url, first, data=data[: 4 * MIB])
    assert (status, json.loads(body)["nextExpectedRanges"]) == (200, [f"{4 * MIB}-"])
    last = {"Content-Range": f"bytes {4 * MIB}-{len(data) - 1}/{len(data)}"}
    status, _, _ = await writer.raw("PUT", url, last, data=data[4 * MIB :])
    assert status == 201
    path = f"{user_path(writer)}/messages/{made['id']}/attachments"
    entry = (await writer.graph("GET", path + "?$select=id,name,size"))["value"][0]
    assert (entry["size"], "contentBytes" in entry) == (len(data), False)
    assert await writer.graph("GET", f"{path}/{entry['id']}/$value") == data


async def test_people_without_mailbox_are_named_as_such(reader: Client) -> None:
    body = await reader.graph("GET", f"{user_path(reader, 2)}/mailFolders", status=404)
    assert body["error"]["code"] == "MailboxNotEnabledForRESTAPI"
    body = await reader.graph("GET", "/users/nobody@x.example/mailFolders", status=404)
    assert body["error"]["code"] == "ErrorInvalidUser"
    body = await reader.graph("GET", f"{user_path(reader, 2)}/drive", status=404)
    assert "mysite not found" in body["error"]["message"]


async def test_broken_mail_has_a_json_view(reader: Client) -> None:
    broken = [
        b"",
        b"\xff\xfe\x00",
        b'Subject: =?utf-8?b?!!!?=\r\nFrom: "\xff\r\nDate: never\r\n\r\n',
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n",
        b"Content-Type: text/html; charset=klingon\r\n\r\n<p>\xe4</p>",
        b"Content-Disposition: attachment; filename*=utf-9''%ff\r\n\r\nx",
    ]
    base = f"/tenants/{reader.tenant_id}{user_path(reader)}"
    for mime in broken:
        made = await reader.sim("POST", base + "/mails", data=mime)
        path = f"{user_path(reader)}/messages/{made['id']}"
        shown = await reader.graph("GET", path)
        assert shown["body"]["contentType"] in ("text", "html")
        await reader.graph("GET", path + "/attachments")


async def test_delta_switches_repeat_items_and_insert_empty_pages(reader: Client) -> None:
    plain, _ = await inbox_delta(reader)
    switches = {"repeatInDelta": True, "emptyPageInDelta": True}
    await reader.sim("POST", "/limits", json={"switches": switches})
    reader.prefer = [*reader.prefer, "odata.maxpagesize=2"]
    path = f"{user_path(reader)}/mailFolders/inbox/messages/delta"
    found, _, sizes = await reader.pages(path)
    assert 0 in sizes
    assert len(found) > len(plain)
    assert {mail["id"] for mail in found} == {mail["id"] for mail in plain}
