"""Graph: reading calendars, events, the days of a series, and the delta of a calendar."""

from datetime import datetime
from typing import Any

from local.microsoft365.clock import parse_iso
from local.microsoft365.event_json import (
    calendar_json,
    cancelled_json,
    event_json,
    exceptions_json,
    first_start,
    is_series,
    merged,
    occurrences,
    zone_of,
)
from local.microsoft365.graph_store_delta import things_delta
from local.microsoft365.mail_json import mailbox_of, not_found
from local.microsoft365.outlook_store import Place, Store, Thing
from local.microsoft365.query import comparison, page, pick, selected
from local.microsoft365.recurrence import BadRecurrence, in_zone, local
from local.microsoft365.roles import CALENDARS_READ
from local.microsoft365.routes import graph
from local.microsoft365.tenant import User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
READ: dict[str, str] = {"service": "outlook", "roles": CALENDARS_READ}
FAR = datetime.fromisoformat("2100-01-01")
Found = tuple[Store, Thing, datetime | None]


def store_of(call: Call) -> tuple[User, Store]:
    """The calendars of the user the path names; Graph's 404 without a mailbox."""
    user, _ = mailbox_of(call)
    if user.calendars is None:
        raise not_found()
    return user, user.calendars


def calendar_of(call: Call, store: Store) -> Place:
    """The calendar the path names."""
    place = store.find_place(call.params["calendar"])
    if place is None or call.action == "gone":
        raise not_found()
    return place


def event_of(call: Call) -> Found:
    """The event, or the day of a series, that the path names."""
    _, store = store_of(call)
    text = call.params["event"]
    thing = store.find(text)
    if call.action == "gone":
        raise not_found()
    if thing is not None:
        return store, thing, None
    part = store.part_of(text)
    if part is None or not is_series(part[0]):
        raise not_found()
    day = datetime.fromordinal(part[1])
    for original in occurrences(part[0], datetime.combine(day, datetime.max.time())):
        if original.date() == day.date():
            return store, part[0], original
    raise not_found()


def shown(call: Call, store: Store, thing: Thing, original: datetime | None = None) -> JSON:
    """An event with what $select and $expand ask for."""
    wanted = selected(call)
    value = event_json(call, store, thing, original)
    if original is None and is_series(thing):
        if "exceptionOccurrences" in call.query.get("$expand", ""):
            value["exceptionOccurrences"] = exceptions_json(call, store, thing)
        if wanted and "cancelledOccurrences" in wanted:
            value["cancelledOccurrences"] = cancelled_json(call, store, thing)
    return pick(value, wanted, ("id", "exceptionOccurrences"))


@graph.add("GET", "/users/{user}/calendars", kind="calendars", **READ)
async def calendars(call: Call) -> Answer:
    """List all calendars of a user."""
    user, store = store_of(call)
    things = [pick(calendar_json(store, c, user), selected(call)) for c in store.places.values()]
    if call.query.get("$filter"):
        member, _, value = comparison(call.query["$filter"])
        if member != "name":
            raise Fault(400, "ErrorInvalidUrlQueryFilter", "The filter is not supported.")
        things = [one for one in things if one["name"].lower() == value.lower()]
    path = f"/users/{user.id}/calendars"
    return answer_json(page(call, path, things, call.page_size(10, 1000), "calendars"))


@graph.add("GET", "/users/{user}/calendar", kind="calendars", **READ)
@graph.add("GET", "/users/{user}/calendars/{calendar}", kind="calendars", **READ)
async def calendar_by_id(call: Call) -> Answer:
    """Get one calendar, or the default one."""
    user, store = store_of(call)
    place = calendar_of(call, store) if "calendar" in call.params else store.default
    return answer_json(pick(calendar_json(store, place, user), selected(call)))


@graph.add("GET", "/users/{user}/calendarGroups", kind="calendarGroups", **READ)
async def calendar_groups(call: Call) -> Answer:
    """List the groups: one, as most people have."""
    user, store = store_of(call)
    group = {"id": store.place_id(0), "name": "My Calendars", "classId": "0", "changeKey": "k0"}
    path = f"/users/{user.id}/calendarGroups"
    return answer_json(page(call, path, [group], 10, "calendarGroups"))


@graph.add("GET", "/users/{user}/events/{event}", kind="events", **READ)
@graph.add("GET", "/users/{user}/calendars/{calendar}/events/{event}", kind="events", **READ)
async def event_by_id(call: Call) -> Answer:
    """Get an event, a master with its exceptions, or one day of a series."""
    return answer_json(shown(call, *event_of(call)))


def _start_in_utc(thing: Thing) -> datetime:
    body = merged(thing, None)
    moment = first_start(thing)
    return moment if body["isAllDay"] else in_zone(moment, zone_of(body), "UTC")


def _filtered(store: Store, things: list[Thing], text: str) -> list[Thing]:
    from local.microsoft365.event_json import uid_of

    for clause in text.split(" and "):
        member, operator, value = comparison(clause)
        if member == "iCalUId" and operator == "eq":
            things = [thing for thing in things if uid_of(store, thing) == value]
        elif member == "subject" and operator == "eq":
            things = [thing for thing in things if thing.body.get("subject", "") == value]
        elif member == "start/dateTime" and operator in ("eq", "ge", "lt"):
            limit = local({"dateTime": value})
            things = [
                thing
                for thing in things
                if {
                    "eq": (at := _start_in_utc(thing)) == limit,
                    "ge": at >= limit,
                    "lt": at < limit,
                }[operator]
            ]
        else:
            raise Fault(400, "ErrorInvalidUrlQueryFilter", f"Unsupported filter on {member}.")
    return things


@graph.add("GET", "/users/{user}/events", kind="events", **READ)
@graph.add("GET", "/users/{user}/calendars/{calendar}/events", kind="events", **READ)
async def events(call: Call) -> Answer:
    """List single events and masters of series."""
    user, store = store_of(call)
    place = calendar_of(call, store) if "calendar" in call.params else store.default
    things = list(place.things.values())
    if call.query.get("$filter"):
        try:
            things = _filtered(store, things, call.query["$filter"])
        except ValueError as problem:
            raise Fault(400, "ErrorInvalidUrlQueryFilter", str(problem)) from problem
    path = f"/users/{user.id}/calendars/{store.place_id(place.number)}/events"
    body = page(call, path, things, call.page_size(10, 1000), "events")  # type: ignore[arg-type]
    body["value"] = [shown(call, store, thing) for thing in body["value"]]
    return answer_json(body)


@graph.add("GET", "/users/{user}/events/{event}/instances", kind="events.instances", **READ)
@graph.add("GET", "/users/{user}/calendars/{calendar}/events/{event}/instances",
           kind="events.instances", **READ)  # fmt: skip
async def instances(call: Call) -> Answer:
    """List the days of a series in a window of time."""
    user, store = store_of(call)
    _, thing, _ = event_of(call)
    found = _window(call, [thing])
    path = f"/users/{user.id}/events/{call.params['event']}/instances"
    things = [shown(call, store, one, original) for one, original in found]
    return answer_json(page(call, path, things, call.page_size(10, 1000), "events"))


@graph.add("GET", "/users/{user}/calendarView", kind="calendarView", **READ)
@graph.add("GET", "/users/{user}/calendars/{calendar}/calendarView", kind="calendarView", **READ)
async def calendar_view(call: Call) -> Answer:
    """List everything in a window of time, series expanded."""
    user, store = store_of(call)
    place = calendar_of(call, store) if "calendar" in call.params else store.default
    found = _window(call, list(place.things.values()))
    things = [shown(call, store, one, original) for one, original in found]
    path = f"/users/{user.id}/calendars/{store.place_id(place.number)}/calendarView"
    return answer_json(page(call, path, things, call.page_size(10, 1000), "events"))


def _window(call: Call, things: list[Thing]) -> list[tuple[Thing, datetime | None]]:
    try:
        first, last = (
            parse_iso(call.query[name]).replace(tzinfo=None)
            for name in ("startDateTime", "endDateTime")
        )
    except (KeyError, ValueError) as problem:
        text = "This request requires a time window specified by the query string parameters."
        raise Fault(400, "ErrorInvalidParameter", text) from problem
    found: list[tuple[datetime, Thing, datetime | None]] = []
    for thing in things:
        body = merged(thing, None)
        length = local(body["end"]) - local(body["start"])
        originals = occurrences(thing, min(last, FAR)) if is_series(thing) else [None]
        for original in originals:
            one = merged(thing, original)
            begin = local(one["start"])
            if not body["isAllDay"]:
                begin = in_zone(begin, zone_of(one), "UTC")
            if begin < last and begin + length >= first:
                found.append((begin, thing, original))
    found.sort(key=lambda entry: (entry[0], entry[1].number))
    return [(thing, original) for _, thing, original in found]


@graph.add("GET", "/users/{user}/calendars/{calendar}/events/delta", kind="events.delta", **READ)
async def events_delta(call: Call) -> Answer:
    """The delta of one calendar: single events and masters, unexpanded (section 14, question 1)."""
    user, store = store_of(call)
    place = calendar_of(call, store)
    if not call.sim.limits.get("switches", "calendarEventsDelta"):
        raise Fault(400, "BadRequest", "Resource not found for the segment 'delta'.")
    path = f"/users/{user.id}/calendars/{call.params['calendar']}/events/delta"
    return things_delta(call, store, place, path, lambda thing: event_json(call, store, thing))


def refused(problem: BadRecurrence) -> Fault:
    """What Graph answers to a pattern or a zone it does not know."""
    return Fault(400, "ErrorInvalidRecurrencePattern", str(problem))
