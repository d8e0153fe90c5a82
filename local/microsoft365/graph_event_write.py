"""Graph: creating, changing and deleting events; everybody who would be mailed is counted."""

from datetime import datetime
from typing import Any

from local.microsoft365.event_json import READ_ONLY, event_json, is_series, merged
from local.microsoft365.graph_calendars import calendar_of, event_of, refused, store_of
from local.microsoft365.ids import guid
from local.microsoft365.outlook_store import TOP, Place, Store, Thing
from local.microsoft365.recurrence import BadRecurrence, local, starts, zone
from local.microsoft365.roles import CALENDARS_WRITE
from local.microsoft365.routes import graph
from local.microsoft365.tenant import User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
WRITE: dict[str, str] = {"service": "outlook", "kind": "events.write", "roles": CALENDARS_WRITE}
EVENT = "/users/{user}/events/{event}"


@graph.add("POST", "/users/{user}/calendars", **WRITE)
async def create_calendar(call: Call) -> Answer:
    """Create a calendar; names are unique in a mailbox."""
    from local.microsoft365.event_json import calendar_json

    user, store = store_of(call)
    body = await call.json()
    name = str(body.get("name") or "").strip()
    if not name:
        raise Fault(400, "ErrorInvalidRequest", "A calendar needs a name.")
    if any(place.name.lower() == name.lower() for place in store.places.values()):
        raise Fault(409, "ErrorFolderExists", "A folder with the specified name already exists.")
    place = store.add_place(TOP, name)
    place.extra = {"color": str(body.get("color") or "auto"), "organizer": organizer_of(user)}
    return answer_json(calendar_json(store, place, user), 201)


@graph.add("PATCH", "/users/{user}/calendars/{calendar}", **WRITE)
async def rename_calendar(call: Call) -> Answer:
    """Rename a calendar."""
    from local.microsoft365.event_json import calendar_json

    user, store = store_of(call)
    place = calendar_of(call, store)
    store.rename_place(place, str((await call.json()).get("name") or place.name))
    return answer_json(calendar_json(store, place, user))


@graph.add("DELETE", "/users/{user}/calendars/{calendar}", **WRITE)
async def delete_calendar(call: Call) -> Answer:
    """Remove a calendar; the default one stays."""
    _, store = store_of(call)
    place = calendar_of(call, store)
    if place is store.default:
        raise Fault(400, "ErrorDeleteDistinguishedFolder", "The default calendar stays.")
    store.purge_place(place)
    return Answer(204)


@graph.add("POST", "/users/{user}/events", **WRITE)
@graph.add("POST", "/users/{user}/calendar/events", **WRITE)
@graph.add("POST", "/users/{user}/calendars/{calendar}/events", **WRITE)
async def create_event(call: Call) -> Answer:
    """Create an event; attendees are invited at once."""
    _, store = store_of(call)
    place = calendar_of(call, store) if "calendar" in call.params else store.default
    raw = await call.read()
    call.sim.stats.bytes_in += len(raw)
    if len(raw) > int(call.sim.limits.get("outlook", "writeBytes")):
        raise Fault(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum size.")
    body = await call.json()
    thing = put_event(store, place, body, call.sim.clock.now())
    call.sim.stats.invitations += len(thing.body.get("attendees") or [])
    return answer_json(event_json(call, store, thing), 201)


def organizer_of(user: User) -> JSON:
    """The mailbox's owner as an organiser."""
    return {"emailAddress": {"name": user.display_name, "address": user.upn}}


def put_event(store: Store, place: Place, body: JSON, now: datetime) -> Thing:
    """Check a body as the service does and make the event; raises its 400."""
    kept = settable(body)
    _check(kept)
    if kept.get("isOnlineMeeting"):
        kept["_onlineMeeting"] = {"joinUrl": f"https://teams.example/l/{guid(store.seq, now)}"}
        kept["onlineMeetingProvider"] = "teamsForBusiness"
    return store.add(place, kept, now)


def settable(body: JSON) -> JSON:
    """Without what only the service decides."""
    return {
        name: value
        for name, value in body.items()
        if name not in READ_ONLY and not name.startswith("@") and not name.startswith("_")
    }


def _check(body: JSON) -> None:
    for member in ("start", "end"):
        given = body.get(member)
        if not isinstance(given, dict) or not given.get("dateTime"):
            raise Fault(400, "ErrorInvalidRequest", f"An event needs its {member}.")
        try:
            local(given)
            zone(str(given.get("timeZone") or "UTC"))
        except BadRecurrence as problem:
            raise Fault(400, "TimeZoneNotSupportedException", str(problem)) from problem
        except ValueError as problem:
            raise Fault(400, "ErrorInvalidRequest", f"{member} is no time.") from problem
    if local(body["end"]) < local(body["start"]):
        raise Fault(
            400, "ErrorCalendarEndDateIsEarlierThanStartDate", "The end is before the start."
        )
    if body.get("isAllDay") and any(
        local(body[member]).time() != datetime.min.time() for member in ("start", "end")
    ):
        text = "The Event.Start property for an all-day event needs to be set to midnight."
        raise Fault(400, "ErrorInvalidRequest", text)
    if body.get("recurrence"):
        try:
            first = local(body["start"])
            starts(body["recurrence"], first, first)
        except (BadRecurrence, KeyError, TypeError, ValueError) as problem:
            raise refused(BadRecurrence(str(problem))) from problem


@graph.add("PATCH", EVENT, **WRITE)
async def patch_event(call: Call) -> Answer:
    """Change an event, a whole series, or one day of it (which becomes an exception)."""
    store, thing, original = event_of(call)
    now, body = call.sim.clock.now(), settable(await call.json())
    whole = {**merged(thing, original), **body}
    _check(whole)
    before = len(merged(thing, original).get("attendees") or [])
    if original is None:
        thing.body.update(body)
    else:
        mine = thing.exceptions.setdefault(original.isoformat(), {})
        mine.update({name: value for name, value in body.items() if name != "recurrence"})
    # Everybody who was or is invited is told.
    call.sim.stats.invitations += max(before, len(whole.get("attendees") or []))
    store.touch(thing, now)
    return answer_json(event_json(call, store, thing, original))


@graph.add("DELETE", EVENT, **WRITE)
@graph.add("DELETE", "/users/{user}/calendars/{calendar}/events/{event}", **WRITE)
async def delete_event(call: Call) -> Answer:
    """Delete an event, a series, or take one day out; the organiser's attendees are told."""
    store, thing, original = event_of(call)
    call.sim.stats.invitations += len(merged(thing, original).get("attendees") or [])
    if original is None:
        store.purge(thing)
    else:
        take_out(store, thing, original, call.sim.clock.now())
    return Answer(204)


def take_out(store: Store, thing: Thing, original: datetime, now: datetime) -> None:
    """Cancel one occurrence of a series."""
    thing.exceptions.pop(original.isoformat(), None)
    thing.cancelled.add(original.isoformat())
    store.touch(thing, now)


@graph.add("POST", EVENT + "/cancel", **WRITE)
async def cancel_event(call: Call) -> Answer:
    """Cancel a meeting as its organiser."""
    return await delete_event(call)


def change_event(store: Store, thing: Thing, now: datetime, **members: Any) -> None:
    """Change a thing from the admin side, telling nobody."""
    thing.body.update(members)
    store.touch(thing, now)


def except_event(store: Store, thing: Thing, original: datetime, body: JSON, now: datetime) -> None:
    """Change one day of a series from the admin side."""
    if not is_series(thing):
        raise ValueError("only a series has exceptions")
    thing.exceptions.setdefault(original.isoformat(), {}).update(body)
    store.touch(thing, now)
