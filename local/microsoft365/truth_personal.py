"""What calendars and contacts really hold, in the words of whoever made it."""

import hashlib
from datetime import datetime
from typing import Any

from local.microsoft365.event_json import is_series, merged, occurrences, uid_of, zone_of
from local.microsoft365.outlook_store import Store, Thing
from local.microsoft365.recurrence import in_zone, local
from local.microsoft365.tenant import User

JSON = dict[str, Any]
HORIZON = datetime.fromisoformat("2030-01-01")


def personal_truth(user: User) -> JSON:
    """Every calendar, event, contact folder and contact; ids are immutable ids."""
    body: JSON = {"calendars": [], "events": [], "contactFolders": [], "contacts": []}
    if user.calendars is not None:
        store = user.calendars
        body["calendars"] = _places(store)
        body["events"] = [_event(store, thing) for thing in store.things.values()]
    if user.contacts is not None:
        store = user.contacts
        body["contactFolders"] = _places(store)
        body["contacts"] = [_contact(store, thing) for thing in store.things.values()]
    return body


def _places(store: Store) -> list[JSON]:
    return [
        {
            "id": store.place_id(place.number),
            "name": place.name,
            "parentId": store.place_id(place.parent) if place.parent else None,
            "wellKnown": place.well_known or None,
        }
        for place in store.places.values()
    ]


def _event(store: Store, thing: Thing) -> JSON:
    body = merged(thing, None)
    return {
        "id": store.thing_id(thing.number, thing.incarnation, immutable=True),
        "calendarId": store.place_id(thing.place.number),
        "calendar": thing.place.name,
        "subject": body["subject"],
        "iCalUId": uid_of(store, thing),
        "isSeries": is_series(thing),
        "attendees": len(body["attendees"]),
        "exceptions": len(thing.exceptions),
        "cancelled": len(thing.cancelled),
        "times": times_of(thing),
        "attachments": sorted(
            hashlib.sha256(one["data"]).hexdigest() for one in thing.attachments.values()
        ),
    }


def times_of(thing: Thing) -> list[str]:
    """When it takes place, every day of a series up to 2030: UTC, or plain days when all day."""
    days: list[datetime | None] = [None]
    if is_series(thing):
        days = list(occurrences(thing, HORIZON))
    found = []
    for original in days:
        one = merged(thing, original)
        begin, end = (
            moment if one["isAllDay"] else in_zone(moment, zone_of(one), "UTC")
            for moment in (local(one["start"]), local(one["end"]))
        )
        found.append(f"{begin.isoformat()}/{end.isoformat()} {one['subject']}")
    return sorted(found)


def _contact(store: Store, thing: Thing) -> JSON:
    return {
        "id": store.thing_id(thing.number, thing.incarnation, immutable=True),
        "folderId": store.place_id(thing.place.number),
        "folder": thing.place.name,
        "displayName": thing.body.get("displayName", ""),
        "body": thing.body,
        "photo": hashlib.sha256(thing.photo).hexdigest() if thing.photo else None,
    }
