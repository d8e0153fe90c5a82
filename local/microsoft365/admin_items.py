"""The admin side's single-item verbs: one mail or file put, changed or removed."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import orjson

from local.microsoft365.clock import parse_iso
from local.microsoft365.drive import Drive, Item
from local.microsoft365.mailbox import Mailbox, Message, StoredMail
from local.microsoft365.sources import BytesFile, sha256_of
from local.microsoft365.tenant import User
from local.microsoft365.wire import Answer, Call, answer_json
from local.microsoft365.world import folder_at, folder_of_path

JSON = dict[str, Any]
Handler = Callable[[Call, User, list[str]], Awaitable[Answer]]


def _box(user: User) -> Mailbox:
    if user.mailbox is None:
        raise KeyError(f"{user.upn} has no mailbox")
    return user.mailbox


def _drive(user: User) -> Drive:
    if user.drive is None:
        raise KeyError(f"{user.upn} has no drive")
    return user.drive


def _message(user: User, rest: list[str]) -> tuple[Mailbox, Message]:
    box = _box(user)
    message = box.find(rest[0]) if rest else None
    if message is None:
        raise KeyError("no such mail")
    return box, message


def _file(call: Call, user: User, rest: list[str]) -> tuple[Drive, Item]:
    drive = _drive(user)
    path = call.query.get("path", "")
    item = drive.resolve(rest[0] if rest else f"root:/{path}")
    if item is None or item.parent is None:
        raise KeyError("no such file")
    return drive, item


async def put_mail(call: Call, user: User, _: list[str]) -> Answer:
    """Deliver the MIME of the body: ?folder=Inbox/Sub&received=ISO&draft=true&read=true."""
    box = _box(user)
    source = StoredMail(await call.read())
    now = call.sim.clock.now()
    text = call.query.get("received")
    received: datetime = parse_iso(text) if text else now.replace(microsecond=0)
    name = call.query.get("folder", "Inbox")
    folder = box.find_folder(name) or folder_at(box, name)
    message = box.add(folder, source, received, now)
    message.is_draft = call.query.get("draft") == "true"
    message.is_read = call.query.get("read") == "true"
    return answer_json(
        {
            "id": box.message_id(message.number, message.incarnation, immutable=True),
            "folderId": box.folder_id(folder.number),
        },
        201,
    )


async def patch_mail(call: Call, user: User, rest: list[str]) -> Answer:
    """Change {"isRead"?, "flag"?: word, "categories"?, "folder"?: path} of a mail."""
    box, message = _message(user, rest)
    body = orjson.loads(await call.read())
    now = call.sim.clock.now()
    message.is_read = bool(body.get("isRead", message.is_read))
    message.flag = str(body.get("flag", message.flag))
    message.categories = tuple(body.get("categories", message.categories))
    box.touch(message, now)
    if "folder" in body:
        box.move(message, box.find_folder(body["folder"]) or folder_at(box, body["folder"]), now)
    return answer_json({"folderId": box.folder_id(message.folder.number)})


async def delete_mail(_: Call, user: User, rest: list[str]) -> Answer:
    """Remove a mail for good."""
    box, message = _message(user, rest)
    box.purge(message)
    return Answer(204)


async def get_mail(_: Call, user: User, rest: list[str]) -> Answer:
    """Return the MIME of a mail, past every limit and fault."""
    _box_of, message = _message(user, rest)
    return Answer(200, message.source.mime(), {"Content-Type": "message/rfc822"})


async def put_file(call: Call, user: User, _: list[str]) -> Answer:
    """Write the body to ?path=a/b.txt, as a new file or a new version."""
    drive, now = _drive(user), call.sim.clock.now()
    path = call.query["path"]
    item = drive.resolve(f"root:/{path}")
    source = BytesFile(await call.read())
    if item is None:
        *above, name = [part for part in path.split("/") if part]
        item = drive.create(folder_of_path(drive, above, now), name, now, source)
    else:
        drive.write(item, source, now)
    return answer_json({"id": item.id, "path": item.path(), "sha256": sha256_of(source)}, 201)


async def get_file(call: Call, user: User, rest: list[str]) -> Answer:
    """Return the bytes of a file, past every limit and fault."""
    _, item = _file(call, user, rest)
    data = item.source.read(0, item.size) if item.source else b""
    return Answer(200, data, {"Content-Type": "application/octet-stream"})


async def patch_file(call: Call, user: User, rest: list[str]) -> Answer:
    """Change {"path"?: new path, "malware"?: bool} of a file or folder."""
    drive, item = _file(call, user, rest)
    body, now = orjson.loads(await call.read()), call.sim.clock.now()
    if "malware" in body:
        item.malware = bool(body["malware"])
        drive.touch(item, now)
    if "path" in body:
        *above, name = [part for part in body["path"].split("/") if part]
        drive.move(item, folder_of_path(drive, above, now), name, now)
    return answer_json({"id": item.id, "path": item.path()})


async def delete_file(call: Call, user: User, rest: list[str]) -> Answer:
    """Remove a file, or a folder with everything in it."""
    drive, item = _file(call, user, rest)
    drive.delete(item, call.sim.clock.now())
    return Answer(204)


HANDLERS: dict[tuple[str, str], Handler] = {
    ("POST", "mails"): put_mail,
    ("PATCH", "mails"): patch_mail,
    ("DELETE", "mails"): delete_mail,
    ("GET", "mails"): get_mail,
    ("PUT", "files"): put_file,
    ("GET", "files"): get_file,
    ("PATCH", "files"): patch_file,
    ("DELETE", "files"): delete_file,
}
