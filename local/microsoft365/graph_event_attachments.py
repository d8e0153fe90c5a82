"""Graph: attachments of events, small ones inline, large ones by upload session."""

import base64
import binascii
from typing import Any

from local.microsoft365.event_json import event_attachment_json
from local.microsoft365.graph_calendars import event_of
from local.microsoft365.mail_json import not_found
from local.microsoft365.outlook_store import Store, Thing
from local.microsoft365.query import page, pick, selected
from local.microsoft365.roles import CALENDARS_READ, CALENDARS_WRITE
from local.microsoft365.routes import graph
from local.microsoft365.uploads import UploadSession, begin, lifetime
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
LIST = "/users/{user}/events/{event}/attachments"
READ: dict[str, str] = {
    "service": "outlook", "kind": "events.attachments", "roles": CALENDARS_READ,
}  # fmt: skip
WRITE: dict[str, str] = {"service": "outlook", "kind": "events.write", "roles": CALENDARS_WRITE}
SMALL = 3 * 1024 * 1024
LARGE = 150 * 1024 * 1024
FRAGMENT = 4 * 1024 * 1024


@graph.add("GET", LIST, **READ)
async def attachments(call: Call) -> Answer:
    """List attachments, with their bytes unless $select leaves them out."""
    store, thing, _ = event_of(call)
    wanted = selected(call)
    content = wanted is None or "contentBytes" in wanted
    things = [
        pick(event_attachment_json(store, thing, number, content=content), wanted)
        for number in thing.attachments
    ]
    path = f"/users/{call.params['user']}/events/{call.params['event']}/attachments"
    return answer_json(page(call, path, things, call.page_size(100, 1000), "attachments"))


def _found(call: Call) -> tuple[Store, Thing, int]:
    store, thing, _ = event_of(call)
    part = store.part_of(call.params["attachment"])
    if part is None or part[0] is not thing or part[1] not in thing.attachments:
        raise not_found()
    return store, thing, part[1]


@graph.add("GET", LIST + "/{attachment}", **READ)
async def attachment(call: Call) -> Answer:
    """Get one attachment."""
    store, thing, number = _found(call)
    return answer_json(
        pick(event_attachment_json(store, thing, number, content=True), selected(call))
    )


@graph.add("GET", LIST + "/{attachment}/$value", **READ)
async def attachment_value(call: Call) -> Answer:
    """Get the bytes of one attachment."""
    _, thing, number = _found(call)
    one = thing.attachments[number]
    return Answer(200, one["data"], {"Content-Type": one["contentType"]})


def _described(body: JSON, data: bytes) -> JSON:
    return {
        "name": str(body.get("name") or "attachment"),
        "contentType": str(body.get("contentType") or "application/octet-stream"),
        "isInline": bool(body.get("isInline")),
        "contentId": body.get("contentId"),
        "data": data,
    }


@graph.add("POST", LIST, **WRITE)
async def add_attachment(call: Call) -> Answer:
    """Add an attachment below 3 MB."""
    store, thing, _ = event_of(call)
    body = await call.json()
    if body.get("@odata.type") != "#microsoft.graph.fileAttachment":
        raise Fault(400, "ErrorInvalidRequest", "Only file attachments are simulated here.")
    try:
        data = base64.b64decode(str(body.get("contentBytes") or ""), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise Fault(400, "BadRequest", "contentBytes is not base64.") from problem
    call.sim.stats.bytes_in += len(data)
    if len(data) >= SMALL:
        raise Fault(413, "ErrorMessageSizeExceeded", "The maximum request length is 4MB.")
    number = store.attach(thing, _described(body, data))
    store.touch(thing, call.sim.clock.now())
    return answer_json(event_attachment_json(store, thing, number, content=False), 201)


@graph.add("POST", LIST + "/createUploadSession", **WRITE)
async def attachment_session(call: Call) -> Answer:
    """Start the upload of an attachment of 3 to 150 MB, in fragments up to 4 MiB."""
    store, thing, _ = event_of(call)
    item = (await call.json()).get("AttachmentItem")
    if not isinstance(item, dict) or item.get("attachmentType") != "file":
        raise Fault(400, "ErrorInvalidRequest", "AttachmentItem with attachmentType is needed.")
    size = int(item.get("size") or 0)
    if size < SMALL:
        code = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"
        raise Fault(400, code, "Attachments below 3 MB are added by POST.")
    if size > LARGE:
        raise Fault(413, "ErrorAttachmentSizeLimitExceeded", "Attachments end at 150 MB.")

    def finish(later: Call, data: bytes) -> Answer:
        number = store.attach(thing, _described(item, data))
        store.touch(thing, later.sim.clock.now())
        where = f"{later.origin}/v1.0/attachments/{store.part_id(thing.number, number)}"
        return Answer(201, b"", {"Location": where})

    session = UploadSession(finish, lifetime(call), most=FRAGMENT, multiple=1, mail=True)
    return answer_json(begin(call, session), 201)


@graph.add("DELETE", LIST + "/{attachment}", **WRITE)
async def delete_attachment(call: Call) -> Answer:
    """Remove an attachment."""
    store, thing, number = _found(call)
    del thing.attachments[number]
    store.touch(thing, call.sim.clock.now())
    return Answer(204)
