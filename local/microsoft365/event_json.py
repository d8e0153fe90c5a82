"""How Graph writes calendars, events and single occurrences of a series."""

import base64
import re
from datetime import datetime
from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.ids import guid
from local.microsoft365.outlook_store import Place, Store, Thing, change_key
from local.microsoft365.recurrence import in_zone, local, starts
from local.microsoft365.tenant import User
from local.microsoft365.wire import Call

JSON = dict[str, Any]
UTC = "UTC"
# What the service decides; a client that sends these is not heard.
READ_ONLY = frozenset({
    "id", "changeKey", "createdDateTime", "lastModifiedDateTime", "iCalUId", "uid", "webLink",
    "type",
    "seriesMasterId", "occurrenceId", "organizer", "isOrganizer", "isCancelled", "isDraft",
    "hasAttachments", "bodyPreview", "responseStatus", "originalStart", "onlineMeeting",
    "onlineMeetingUrl", "originalStartTimeZone", "originalEndTimeZone", "attachments",
    "exceptionOccurrences", "cancelledOccurrences", "instances", "calendar",
})  # fmt: skip
DEFAULTS: JSON = {
    "categories": [], "reminderMinutesBeforeStart": 15, "isReminderOn": True, "subject": "",
    "importance": "normal", "sensitivity": "normal", "isAllDay": False, "responseRequested": True,
    "showAs": "busy", "isOnlineMeeting": False, "onlineMeetingProvider": "unknown",
    "allowNewTimeProposals": True, "hideAttendees": False, "recurrence": None, "attendees": [],
    "transactionId": None, "body": {"contentType": "html", "content": ""},
    "location": {"displayName": "", "locationType": "default"}, "locations": [],
}  # fmt: skip


def calendar_json(store: Store, calendar: Place, owner: User) -> JSON:
    """A calendar as Graph writes it."""
    return {
        "id": store.place_id(calendar.number),
        "name": calendar.name,
        "color": calendar.extra.get("color", "auto"),
        "hexColor": "",
        "isDefaultCalendar": calendar is store.default,
        "changeKey": f"k{calendar.changed}",
        "canShare": True,
        "canViewPrivateItems": True,
        "canEdit": True,
        "isRemovable": calendar is not store.default,
        "owner": calendar.extra.get("owner") or {"name": owner.display_name, "address": owner.upn},
    }


def zone_of(body: JSON) -> str:
    """The zone an event was made in."""
    return str(body["start"].get("timeZone") or UTC)


def first_start(thing: Thing) -> datetime:
    """The wall-clock start of an event or of a series' master, in its own zone."""
    return local(thing.body["start"])


def is_series(thing: Thing) -> bool:
    """Whether the thing is the master of a series."""
    return bool(thing.body.get("recurrence"))


def occurrences(thing: Thing, until: datetime) -> list[datetime]:
    """Original local starts of a series that were not taken out."""
    found = starts(thing.body["recurrence"], first_start(thing), until)
    return [moment for moment in found if moment.isoformat() not in thing.cancelled]


def ordinal(moment: datetime) -> int:
    """The number that stands for an occurrence's day in its id."""
    return moment.toordinal()


def merged(thing: Thing, original: datetime | None) -> JSON:
    """What a person set: of the event, or of one occurrence of the series."""
    body = {**DEFAULTS, **thing.body}
    if original is None:
        return body
    length = local(body["end"]) - local(body["start"])
    where = zone_of(body)
    body["start"] = {"dateTime": original.isoformat(), "timeZone": where}
    body["end"] = {"dateTime": (original + length).isoformat(), "timeZone": where}
    return {**body, **thing.exceptions.get(original.isoformat(), {}), "recurrence": None}


def event_json(call: Call, store: Store, thing: Thing, original: datetime | None = None) -> JSON:
    """An event, a master, or (with `original`) an occurrence or exception of a series."""
    body = merged(thing, original)
    own = zone_of(body)
    shown_in = call.prefer("outlook.timezone") or UTC
    exception = original is not None and original.isoformat() in thing.exceptions
    kind = "singleInstance"
    if is_series(thing):
        kind = "exception" if exception else "seriesMaster" if original is None else "occurrence"
    master = store.thing_id(thing.number, thing.incarnation, immutable=call.immutable)
    identity = master if original is None else store.part_id(thing.number, ordinal(original))
    uid = uid_of(store, thing)
    shown: JSON = {
        "@odata.etag": f'W/"{change_key(thing)}"',
        "id": identity,
        "createdDateTime": iso(thing.created),
        "lastModifiedDateTime": iso(thing.modified),
        "changeKey": change_key(thing),
        **{name: body[name] for name in DEFAULTS},
        "originalStartTimeZone": own,
        "originalEndTimeZone": str(body["end"].get("timeZone") or own),
        "iCalUId": uid,
        "uid": uid,
        "hasAttachments": any(not one["isInline"] for one in thing.attachments.values()),
        "bodyPreview": preview(body["body"]),
        "isCancelled": False,
        "isOrganizer": not body.get("_organizer"),
        "seriesMasterId": None if original is None else master,
        "type": kind,
        "webLink": f"https://outlook.example/owa/?itemid={thing.number}",
        "onlineMeetingUrl": None,
        "isDraft": False,
        "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
        "start": _shown_time(body, "start", shown_in),
        "end": _shown_time(body, "end", shown_in),
        "organizer": body.get("_organizer") or thing.place.extra.get("organizer"),
        "onlineMeeting": body.get("_onlineMeeting"),
    }
    if original is not None:
        shown["occurrenceId"] = f"OID.{master}.{original.date().isoformat()}"
        at = in_zone(original, own, UTC)
        shown["originalStart"] = iso(at)
    return shown


def uid_of(store: Store, thing: Thing) -> str:
    """The iCalendar identity, which the service makes."""
    return "040000008200E00074C5B7101A82E008" + guid(store.key.hex(), "uid", thing.number).upper()


def _shown_time(body: JSON, member: str, target: str) -> JSON:
    moment, own = local(body[member]), str(body[member].get("timeZone") or UTC)
    if not body.get("isAllDay"):
        moment = in_zone(moment, own, target)
    return {"dateTime": moment.strftime("%Y-%m-%dT%H:%M:%S.0000000"), "timeZone": target}


def preview(body: JSON) -> str:
    """The first words of a body."""
    text = re.sub(r"<[^>]*>", " ", str(body.get("content") or ""))
    return " ".join(text.split())[:255]


def exceptions_json(call: Call, store: Store, thing: Thing) -> list[JSON]:
    """The changed occurrences of a series."""
    return [
        event_json(call, store, thing, datetime.fromisoformat(text))
        for text in sorted(thing.exceptions)
    ]


def cancelled_json(call: Call, store: Store, thing: Thing) -> list[str]:
    """The ids of the occurrences that were taken out."""
    master = store.thing_id(thing.number, thing.incarnation, immutable=call.immutable)
    return [f"OID.{master}.{text[:10]}" for text in sorted(thing.cancelled)]


def event_attachment_json(store: Store, thing: Thing, number: int, *, content: bool) -> JSON:
    """An attachment of an event, with or without its bytes."""
    one = thing.attachments[number]
    shown: JSON = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "@odata.mediaContentType": one["contentType"],
        "id": store.part_id(thing.number, number),
        "lastModifiedDateTime": iso(thing.modified),
        "name": one["name"],
        "contentType": one["contentType"],
        "size": len(one["data"]),
        "isInline": one["isInline"],
        "contentId": one.get("contentId"),
        "contentLocation": None,
    }
    if content:
        shown["contentBytes"] = base64.b64encode(one["data"]).decode()
    return shown
