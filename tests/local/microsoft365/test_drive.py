"""Drives: delta, downloads by range, uploads, conflicts and permissions."""

import hashlib
import json
from urllib.parse import quote

import pytest

from local.microsoft365.clock import Clock
from local.microsoft365.quickxor import QuickXor, quick_xor
from tests.local.microsoft365.conftest import READER, RESTORER, Client, client

CHUNK = 320 * 1024


def drive_path(one: Client) -> str:
    return f"/drives/{one.users[0]['driveId']}"


async def test_delta_and_downloads_agree_with_the_truth(reader: Client) -> None:
    truth = await reader.truth(reader.users[0])
    found, link, sizes = await reader.pages(f"{drive_path(reader)}/root/delta?$top=4")
    assert max(sizes) == 4
    assert "root" in found[0]
    files = {item["id"]: item for item in found if "file" in item}
    assert set(files) == {entry["id"] for entry in truth["files"]}
    for entry in truth["files"]:
        item = files[entry["id"]]
        assert "path" not in item["parentReference"]
        assert "cTag" not in item
        _, _, body = await reader.raw("GET", item["@microsoft.graph.downloadUrl"])
        assert hashlib.sha256(body).hexdigest() == entry["sha256"]
        assert quick_xor(body) == item["file"]["hashes"]["quickXorHash"]
    assert (await reader.pages(link))[0] == []


def test_quick_xor_is_the_published_algorithm() -> None:
    def slow(data: bytes) -> bytes:
        bits = 0
        for index, byte in enumerate(data):
            for bit in range(8):
                if byte >> bit & 1:
                    bits ^= 1 << ((index * 11 + bit) % 160)
        result = bytearray(bits.to_bytes(20, "little"))
        for index, byte in enumerate(len(data).to_bytes(8, "little")):
            result[12 + index] ^= byte
        return bytes(result)

    for size in (0, 1, 14, 159, 160, 161, 1000, 4097):
        data = hashlib.shake_256(bytes([size % 251])).digest(size)
        hasher = QuickXor()
        hasher.update(data[:37])
        hasher.update(data[37:])
        assert hasher.digest() == slow(data)


async def test_increment_lists_parents_unless_excluded(writer: Client) -> None:
    _, link, _ = await writer.pages(f"{drive_path(writer)}/root/delta")
    await writer.graph("PUT", f"{drive_path(writer)}/root:/New/deep/a.txt:/content", data=b"1",
                       status=201)  # fmt: skip
    found, link, _ = await writer.pages(link)
    assert {item["name"] for item in found} == {"root", "New", "deep", "a.txt"}
    await writer.graph("PUT", f"{drive_path(writer)}/root:/New/deep/a.txt:/content", data=b"22")
    found, _, _ = await writer.pages(link + "&deltaExcludeParent=true")
    assert [item["name"] for item in found] == ["a.txt"]


async def test_delta_from_latest_and_from_a_time(writer: Client) -> None:
    path = f"{drive_path(writer)}/root/delta"
    found, link, _ = await writer.pages(path + "?token=latest")
    assert found == []
    await writer.graph("PUT", f"{drive_path(writer)}/root:/x.txt:/content", data=b"1", status=201)
    found, _, _ = await writer.pages(link)
    assert "x.txt" in {item["name"] for item in found}
    found, _, _ = await writer.pages(path + "?token=2026-01-01T00:00:00Z")
    assert "x.txt" in {item["name"] for item in found}
    await writer.graph("GET", path + "?token=nonsense", status=400)


async def test_expired_drive_token_answers_410_with_location() -> None:
    clock = Clock()
    async with client(clock=clock, limits={"delta": {"driveLifetime": 60}}) as one:
        await one.become(READER)
        everything, link, _ = await one.pages(f"{drive_path(one)}/root/delta")
        clock.advance(61)
        status, headers, body = await one.raw("GET", link, {"Authorization": f"Bearer {one.token}"})
        assert status == 410
        assert json.loads(body)["error"]["code"] == "resyncChangesApplyDifferences"
        again, _, _ = await one.pages(headers["Location"])  # type: ignore[index, call-overload]
        assert len(again) == len(everything)


async def test_download_addresses_expire_and_honour_ranges() -> None:
    clock = Clock()
    async with client(clock=clock) as one:
        await one.become(READER)
        found, _, _ = await one.pages(f"{drive_path(one)}/root/delta")
        item = next(i for i in found if i.get("size", 0) > 100 and "file" in i)
        url = item["@microsoft.graph.downloadUrl"]
        status, _, whole = await one.raw("GET", url)
        status, headers, part = await one.raw("GET", url, {"Range": "bytes=10-19"})
        assert (status, part) == (206, whole[10:20])
        assert headers["Content-Range"] == f"bytes 10-19/{len(whole)}"  # type: ignore[index, call-overload]
        assert (await one.raw("GET", url, {"Range": "bytes=-5"}))[2] == whole[-5:]
        assert (await one.raw("GET", url, {"Range": f"bytes={len(whole)}-"}))[0] == 416
        status, headers, _ = await one.raw(
            "GET", f"/v1.0{drive_path(one)}/items/{item['id']}/content",
            {"Authorization": f"Bearer {one.token}"},
        )  # fmt: skip
        assert status == 302
        clock.advance(3601)
        assert (await one.raw("GET", url))[0] == 401
        await one.sim("POST", "/limits", json={"content": {"expiredStatus": 404}})
        assert (await one.raw("GET", url))[0] == 404
        assert (await one.raw("GET", "/_content/made-up/x"))[0] == 404


async def test_upload_session_resumes_and_refuses_bad_fragments(writer: Client) -> None:
    data = bytes(range(256)) * (3 * CHUNK // 256) + b"end"
    path = f"{drive_path(writer)}/root:/Up%20load/gr%C3%B6%C3%9Fe.bin:/createUploadSession"
    info = {"lastModifiedDateTime": "2020-02-03T04:05:06Z"}
    wanted = {"item": {"@microsoft.graph.conflictBehavior": "rename", "fileSystemInfo": info}}
    url = (await writer.graph("POST", path, json=wanted))["uploadUrl"]

    async def send(start: int, end: int) -> tuple[int, dict]:
        head = {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
        status, _, body = await writer.raw("PUT", url, head, data=data[start:end])
        return status, json.loads(body)

    status, body = await send(0, CHUNK)
    assert (status, body["nextExpectedRanges"]) == (202, [f"{CHUNK}-{len(data) - 1}"])
    assert (await send(0, CHUNK))[0] == 416
    assert (await send(CHUNK, CHUNK + 1000))[0] == 400
    _, _, raw = await writer.raw("GET", url)
    assert json.loads(raw)["nextExpectedRanges"] == [f"{CHUNK}-{len(data) - 1}"]
    status, body = await send(CHUNK, len(data))
    assert (status, body["name"], body["size"]) == (201, "größe.bin", len(data))
    assert body["fileSystemInfo"]["lastModifiedDateTime"] == info["lastModifiedDateTime"]
    assert body["file"]["hashes"]["quickXorHash"] == quick_xor(data)
    assert (await writer.raw("GET", url))[0] == 404


@pytest.mark.parametrize(("behavior", "status", "name"), [
    ("fail", 409, ""), ("rename", 201, "a 1.txt"), ("replace", 200, "a.txt"),
])  # fmt: skip
async def test_conflict_behaviour(writer: Client, behavior: str, status: int, name: str) -> None:
    path = f"{drive_path(writer)}/root:/a.txt:/content"
    await writer.graph("PUT", path, data=b"1", status=201)
    option = "?@microsoft.graph.conflictBehavior=" + behavior
    body = await writer.graph("PUT", path + option, data=b"2", status=status)
    assert (body["error"]["code"] == "nameAlreadyExists") if status == 409 else body["name"] == name


async def test_folders_moves_preconditions_and_hostile_names(writer: Client) -> None:
    base = drive_path(writer)
    folder = {"name": "Restored 100% & #1", "folder": {}}
    made = await writer.graph("POST", f"{base}/root/children", json=folder, status=201)
    await writer.graph("POST", f"{base}/root/children", json=folder, status=409)
    await writer.graph("POST", f"{base}/root/children", json={"name": "a/b", "folder": {}},
                       status=400)  # fmt: skip
    file = await writer.graph("PUT", f"{base}/items/{made['id']}:/x%25y.txt:/content", data=b"1",
                              status=201)  # fmt: skip
    assert file["name"] == "x%y.txt"
    where = quote("Restored 100% & #1/x%y.txt")
    assert (await writer.graph("GET", f"{base}/root:/{where}"))["id"] == file["id"]
    renamed = await writer.graph("PATCH", f"{base}/items/{file['id']}", json={"name": "z.txt"})
    assert renamed["eTag"] != file["eTag"]
    assert renamed["cTag"] == file["cTag"]
    old = {"If-Match": file["eTag"]}
    await writer.graph("DELETE", f"{base}/items/{file['id']}", headers=old, status=412)
    await writer.graph("DELETE", f"{base}/items/{made['id']}", status=204)
    await writer.graph("GET", f"{base}/items/{file['id']}", status=404)


@pytest.mark.parametrize("mode", ["all", "none"])
async def test_deleted_folder_with_or_without_its_children(writer: Client, mode: str) -> None:
    await writer.sim("POST", "/limits", json={"switches": {"deletedFolderChildren": mode}})
    base = drive_path(writer)
    await writer.graph("PUT", f"{base}/root:/gone/a.txt:/content", data=b"1", status=201)
    folder = await writer.graph("GET", f"{base}/root:/gone")
    _, link, _ = await writer.pages(f"{base}/root/delta")
    await writer.graph("DELETE", f"{base}/items/{folder['id']}", status=204)
    found, _, _ = await writer.pages(link)
    assert all("deleted" in item for item in found)
    assert len(found) == (2 if mode == "all" else 1)


async def test_what_came_into_a_folder_that_went_since_the_token_is_named(writer: Client) -> None:
    await writer.sim("POST", "/limits", json={"switches": {"deletedFolderChildren": "none"}})
    base = drive_path(writer)
    await writer.graph("PUT", f"{base}/root:/gone/a.txt:/content", data=b"1", status=201)
    file = await writer.graph("PUT", f"{base}/root:/b.txt:/content", data=b"1", status=201)
    folder = await writer.graph("GET", f"{base}/root:/gone")
    _, link, _ = await writer.pages(f"{base}/root/delta")
    moved = {"parentReference": {"id": folder["id"]}}
    await writer.graph("PATCH", f"{base}/items/{file['id']}", json=moved)
    await writer.graph("DELETE", f"{base}/items/{folder['id']}", status=204)
    found, _, _ = await writer.pages(link)
    assert {item["id"] for item in found if "deleted" in item} == {folder["id"], file["id"]}


async def test_permissions_invite_and_shared_mark(writer: Client) -> None:
    base = drive_path(writer)
    file = await writer.graph("PUT", f"{base}/root:/s.txt:/content", data=b"1", status=201)
    _, link, _ = await writer.pages(f"{base}/root/delta")
    path = f"{base}/items/{file['id']}"
    body = {"recipients": [{"email": writer.users[1]["upn"]}], "roles": ["read"],
            "sendInvitation": False}  # fmt: skip
    await writer.graph("POST", path + "/invite", json=body)
    stranger = {**body, "recipients": [{"email": "x@gone.example"}]}
    await writer.graph("POST", path + "/invite", json=stranger, status=400)
    listed = (await writer.graph("GET", path + "/permissions"))["value"]
    assert [one["roles"] for one in listed] == [["owner"], ["read"]]
    assert (await writer.sim("GET", "/stats"))["invitations"] == 0
    await writer.graph("POST", path + "/invite", json={**body, "roles": ["write"],
                       "sendInvitation": True})  # fmt: skip
    assert (await writer.sim("GET", "/stats"))["invitations"] == 1
    await writer.become(RESTORER, roles=["Sites.FullControl.All"])
    writer.prefer = ["deltashowremovedasdeleted", "deltatraversepermissiongaps",
                     "deltashowsharingchanges", "hierarchicalsharing"]  # fmt: skip
    found, _, _ = await writer.pages(link)
    marked = [item for item in found if item.get("@microsoft.graph.sharedChanged") == "True"]
    assert [item["id"] for item in marked] == [file["id"]]


async def test_malware_is_refused_with_its_code(reader: Client) -> None:
    base = f"/tenants/{reader.tenant_id}/users/{reader.users[0]['id']}/files"
    made = await reader.sim("PUT", base + "?path=bad.exe", data=b"evil")
    await reader.sim("PATCH", f"{base}/{made['id']}", json={"malware": True})
    path = f"{drive_path(reader)}/items/{made['id']}"
    body = await reader.graph("GET", path + "/content", status=403)
    assert body["error"]["code"] == "malwareDetected"
