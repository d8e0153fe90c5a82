"""Graph: creating, changing, moving and deleting messages."""

import base64
import binascii
from typing import Any

from local.microsoft365.mail_created import (
    DELIVERED,
    FLAGS,
    PARTS,
    SUBMITTED,
    UNSENT,
    created_from,
    editable,
    extended_of,
    moment_in,
)
from local.microsoft365.mail_json import folder_of, mailbox_of, message_json, message_of
from local.microsoft365.mailbox import Folder, Mailbox, Message, StoredMail
from local.microsoft365.roles import MAIL_WRITE
from local.microsoft365.routes import graph
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
FLAG_WORDS = frozenset({"notFlagged", "flagged", "complete"})
MESSAGE = "/users/{user}/messages/{message}"
NESTED = "/users/{user}/mailFolders/{folder}/messages/{message}"
MAIL: dict[str, str] = {"service": "outlook", "kind": "messages.write", "roles": MAIL_WRITE}


def _shown(call: Call, box: Mailbox, message: Message, status: int) -> Answer:
    return answer_json(message_json(box, message, immutable=call.immutable, wanted=None), status)


@graph.add("POST", "/users/{user}/messages", **MAIL)
async def create_draft(call: Call) -> Answer:
    """Create a message in Drafts."""
    _, box = mailbox_of(call)
    return await _create(call, box, box.well_known("drafts"))


@graph.add("POST", "/users/{user}/mailFolders/{folder}/messages", **MAIL)
async def create_in_folder(call: Call) -> Answer:
    """Create a message in a folder, from JSON or from base64 MIME (then always a draft)."""
    _, box = mailbox_of(call)
    return await _create(call, box, folder_of(call, box))


async def _create(call: Call, box: Mailbox, folder: Folder) -> Answer:
    now = call.sim.clock.now()
    raw = await call.read()
    call.sim.stats.bytes_in += len(raw)
    if len(raw) > int(call.sim.limits.get("outlook", "writeBytes")):
        raise Fault(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum size.")
    if call.headers.get("Content-Type", "").lower().startswith("text/plain"):
        try:
            mime = base64.b64decode(raw, validate=False)
        except (binascii.Error, ValueError) as problem:
            text = "Invalid base64 string for MIME content."
            raise Fault(400, "ErrorMimeContentInvalidBase64String", text) from problem
        if not mime:
            raise Fault(400, "ErrorMimeContentInvalid", "The MIME content is empty.")
        message = box.add(folder, StoredMail(mime), now.replace(microsecond=0), now)
        message.is_draft = True
        return _shown(call, box, message, 201)
    body = await call.json()
    properties = extended_of(body)
    if not call.sim.limits.get("switches", "messageFlagsHonoured"):
        properties.pop(FLAGS, None)
    given = properties.get(FLAGS)
    if given is not None and not given.lstrip("-").isdigit():
        raise Fault(400, "ErrorInvalidExtendedPropertyValue", "0x0E07 is a number.")
    sent, received = moment_in(properties, SUBMITTED), moment_in(properties, DELIVERED)
    source = created_from(body, sent or now, received)
    message = box.add(folder, source, received or now.replace(microsecond=0), now)
    message.is_draft = given is None or bool(int(given) & UNSENT)
    message.sent = sent
    message.is_read = bool(body.get("isRead", given is None or int(given) & 1))
    _state(message, body)
    return _shown(call, box, message, 201)


def _state(message: Message, body: JSON) -> None:
    """Set what a person can change on any message; raises Graph's 400."""
    if "isRead" in body:
        message.is_read = bool(body["isRead"])
    if "flag" in body:
        word = str((body["flag"] or {}).get("flagStatus") or "notFlagged")
        if word not in FLAG_WORDS:
            raise Fault(400, "RequestBodyRead", f"Unknown flagStatus '{word}'.")
        message.flag = word
    if "categories" in body:
        message.categories = tuple(str(word) for word in body["categories"] or [])
    if body.get("importance"):
        message.importance = str(body["importance"]).lower()


@graph.add("PATCH", MESSAGE, **MAIL)
@graph.add("PATCH", NESTED, **MAIL)
async def patch_message(call: Call) -> Answer:
    """Change read state, flag, categories, importance; of drafts also their parts."""
    _, box = mailbox_of(call)
    message = message_of(call, box)
    body = await call.json()
    if "singleValueExtendedProperties" in body:
        fixed = {FLAGS, SUBMITTED, DELIVERED} & set(extended_of(body))
        if fixed:
            text = "The property cannot be changed after the message was saved."
            raise Fault(400, "ErrorInvalidPropertySet", text)
    parts = PARTS & set(body)
    if parts:
        if not message.is_draft:
            text = f"{', '.join(sorted(parts))}: updatable only if isDraft = true."
            raise Fault(400, "ErrorInvalidPropertySet", text)
        source = editable(message.source)
        source.patch(body)
        message.source = source
    _state(message, body)
    only_read = set(body) <= {"isRead"}
    logged = not only_read or bool(call.sim.limits.get("switches", "readFlagInDelta"))
    box.touch(message, call.sim.clock.now(), logged=logged)
    return _shown(call, box, message, 200)


async def _target(call: Call, box: Mailbox) -> Folder:
    target = box.find_folder(str((await call.json()).get("destinationId") or ""))
    if target is None:
        raise Fault(404, "ErrorFolderNotFound", "The destination folder was not found.")
    return target


@graph.add("POST", MESSAGE + "/move", **MAIL)
@graph.add("POST", NESTED + "/move", **MAIL)
async def move_message(call: Call) -> Answer:
    """Move a message; its ordinary id changes, its immutable id stays."""
    _, box = mailbox_of(call)
    message = message_of(call, box)
    box.move(message, await _target(call, box), call.sim.clock.now())
    return _shown(call, box, message, 201)


@graph.add("POST", MESSAGE + "/copy", **MAIL)
@graph.add("POST", NESTED + "/copy", **MAIL)
async def copy_message(call: Call) -> Answer:
    """Copy a message into a folder: a new message with a new immutable id."""
    _, box = mailbox_of(call)
    message = message_of(call, box)
    target = await _target(call, box)
    source = StoredMail(message.source.mime())
    copy = box.add(target, source, message.received, call.sim.clock.now())
    copy.is_read, copy.is_draft = message.is_read, message.is_draft
    copy.flag, copy.categories, copy.sent = message.flag, message.categories, message.sent
    return _shown(call, box, copy, 201)


@graph.add("DELETE", MESSAGE, **MAIL)
@graph.add("DELETE", NESTED, **MAIL)
async def delete_message(call: Call) -> Answer:
    """Move a message to Deleted Items; from there it leaves for good."""
    _, box = mailbox_of(call)
    message = message_of(call, box)
    target = box.well_known("deleteditems")
    if message.folder is target:
        box.purge(message)
    else:
        box.move(message, target, call.sim.clock.now())
    return Answer(204)


@graph.add("POST", MESSAGE + "/permanentDelete", **MAIL)
@graph.add("POST", NESTED + "/permanentDelete", **MAIL)
async def purge_message(call: Call) -> Answer:
    """Remove a message for good."""
    _, box = mailbox_of(call)
    box.purge(message_of(call, box))
    return Answer(204)
