"""Generated calendars and contacts: series over clock changes, meetings, unicode and odd names."""

import random
from datetime import datetime, timedelta
from typing import Any

from local.microsoft365.graph_contacts import put_contact
from local.microsoft365.graph_event_write import organizer_of, put_event
from local.microsoft365.outlook_store import TOP, Store, Thing
from local.microsoft365.recurrence import starts
from local.microsoft365.sources import seed_of
from local.microsoft365.tenant import User
from local.microsoft365.world_names import FAMILY, GIVEN

JSON = dict[str, Any]
CALENDARS = ("Projekte", "Feiertage & Geburtstage")
FOLDERS = ("Kunden", "Lieferanten 日本")
ZONES = (
    "W. Europe Standard Time", "Eastern Standard Time", "UTC", "Europe/London",
    "India Standard Time", "AUS Eastern Standard Time",
)  # fmt: skip
SUBJECTS = (
    "Jour fixe", "Budget 2027", "Größe & Maße", "Zahnarzt", "1:1",
    "Besprechung, Raum 4; bitte pünktlich",
    "定例会議", "Совещание", "Release 🎉", "Sommerfest",
)  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")


def furnish(
    user: User, key: bytes, counts: tuple[int, int], peer: tuple[str, str], newest: datetime
) -> None:
    """Give a user calendars and contacts; `counts` = (events, contacts)."""
    user.calendars = calendars = Store(_key(key, "calendar"), ("calendar", "Calendar"))
    user.contacts = contacts = Store(_key(key, "contacts"), ("contacts", "Contacts"))
    calendars.default.extra = {"organizer": organizer_of(user)}
    if counts[0]:
        for name in CALENDARS:
            calendars.add_place(TOP, name).extra = {"organizer": organizer_of(user)}
    if counts[1]:
        first = contacts.add_place(TOP, FOLDERS[0])
        contacts.add_place(first.number, FOLDERS[1])
    chance = random.Random(seed_of(key.hex(), "personal"))
    for number in range(counts[0]):
        add_event(calendars, chance, number, peer, newest)
    for number in range(counts[1]):
        add_contact(contacts, chance, number, newest)
    calendars.live = contacts.live = True


def _key(key: bytes, name: str) -> bytes:
    from local.microsoft365.ids import digest

    return digest(key.hex(), name)


def add_event(
    store: Store, chance: random.Random, number: int, peer: tuple[str, str], newest: datetime
) -> Thing:
    """One generated event; kinds take turns so that a small calendar holds each."""
    where = chance.choice(ZONES)
    day = (newest + timedelta(days=chance.randrange(-300, 120))).replace(
        hour=chance.randrange(7, 18), minute=chance.choice((0, 15, 30)), second=0, microsecond=0,
        tzinfo=None,
    )  # fmt: skip
    body: JSON = {
        "subject": f"{chance.choice(SUBJECTS)} {number}",
        "body": {"contentType": "html", "content": f"<p>Punkt {number}: Straße, 東京</p>"},
        "start": _time(day, where),
        "end": _time(day + timedelta(minutes=chance.choice((30, 60, 90))), where),
        "location": {"displayName": chance.choice(("Raum 4", "Büro Süd", "", "Zürich, HB"))},
        "categories": ["Blue category"] if number % 5 == 0 else [],
    }
    kind = number % 7
    if kind == 1:
        day = day.replace(hour=0, minute=0)
        body |= {
            "isAllDay": True, "start": _time(day, where), "end": _time(day + timedelta(1), where),
            "showAs": "free",
        }  # fmt: skip
    elif kind in (2, 3, 4):
        body["recurrence"] = _recurrence(chance, kind, day, where)
    elif kind == 5:
        body["attendees"] = [
            _attendee(peer[0], peer[1], "required", "accepted"),
            _attendee("Grace Hopper", "grace@partner.example", "optional", "none"),
        ]
        body["isOnlineMeeting"] = True
    place = list(store.places.values())[chance.choice((0, 0, *range(len(store.places))))]
    if kind in (2, 3, 4):
        # A series begins on the first day its own pattern names.
        day = starts(body["recurrence"], day, day + timedelta(days=800))[0]
        body |= {"start": _time(day, where), "end": _time(day + timedelta(hours=1), where)}
        body["recurrence"]["range"]["startDate"] = day.date().isoformat()
    thing = put_event(store, place, body, newest)
    if kind == 6:
        data = chance.randbytes(chance.randrange(300, 5000))
        store.attach(thing, {"name": "Skizze größer.png", "contentType": "image/png",
                             "isInline": False, "contentId": None, "data": data})  # fmt: skip
    if kind in (2, 3):
        _vary(thing, chance, day, where)
    return thing


def _time(moment: datetime, where: str) -> JSON:
    return {"dateTime": moment.isoformat(), "timeZone": where}


def _attendee(name: str, address: str, kind: str, said: str) -> JSON:
    return {
        "type": kind,
        "status": {"response": said, "time": "0001-01-01T00:00:00Z"},
        "emailAddress": {"name": name, "address": address},
    }


def _recurrence(chance: random.Random, kind: int, day: datetime, where: str) -> JSON:
    days = sorted({chance.choice(DAYS), chance.choice(DAYS)})
    patterns: tuple[JSON, ...] = (
        {"type": "weekly", "interval": 1, "daysOfWeek": days, "firstDayOfWeek": "monday"},
        {"type": "daily", "interval": 2},
        {"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["tuesday"], "index": "second"},
        {"type": "absoluteMonthly", "interval": 1, "dayOfMonth": min(day.day, 28)},
    )
    start = {"startDate": day.date().isoformat(), "recurrenceTimeZone": where}
    if kind == 4:
        yearly = {"type": "absoluteYearly", "interval": 1, "dayOfMonth": min(day.day, 28),
                  "month": day.month}  # fmt: skip
        return {"pattern": yearly, "range": {"type": "noEnd", **start}}
    ends: tuple[JSON, ...] = (
        {"type": "numbered", "numberOfOccurrences": 30},
        {"type": "endDate", "endDate": (day + timedelta(days=250)).date().isoformat()},
    )
    return {"pattern": chance.choice(patterns), "range": {**chance.choice(ends), **start}}


def _vary(thing: Thing, chance: random.Random, day: datetime, where: str) -> None:
    """Move one day of the series by an hour, and take another out."""
    days = starts(thing.body["recurrence"], day, day + timedelta(days=250))
    if len(days) < 4:
        return
    moved, out = days[1], days[3]
    later = moved + timedelta(hours=1)
    thing.exceptions[moved.isoformat()] = {
        "subject": f"{thing.body['subject']} (verschoben)",
        "start": _time(later, where),
        "end": _time(later + timedelta(minutes=45), where),
        "location": {"displayName": f"Raum {chance.randrange(9)}"},
    }
    thing.cancelled.add(out.isoformat())


def add_contact(store: Store, chance: random.Random, number: int, newest: datetime) -> Thing:
    """One generated contact."""
    given, family = chance.choice(GIVEN), chance.choice(FAMILY)
    body: JSON = {
        "givenName": given,
        "surname": family,
        "displayName": f"{given} {family}",
        "fileAs": f"{family}, {given}",
        "companyName": chance.choice(("Nordwind GmbH; Werk 2", "東京電機", "", "A, B & Co")),
        "emailAddresses": [
            {"name": f"{given} {family}", "address": f"contact{number}@partner.example"}
        ],
        "businessPhones": ["+49 40 123456"],
        "mobilePhone": "+49 170 1234567" if number % 2 else None,
        "birthday": "1980-02-29T11:59:00Z" if number % 3 == 0 else None,
        "personalNotes": "Zeile 1\nZeile 2; mit, Zeichen\\" if number % 4 == 0 else "",
        "homeAddress": {"street": "Am Markt 1", "city": "Lübeck", "postalCode": "23552",
                        "countryOrRegion": "Deutschland"},
        "categories": ["Kunde"] if number % 5 == 0 else [],
    }  # fmt: skip
    place = list(store.places.values())[chance.randrange(len(store.places))]
    thing = put_contact(store, place, body, newest)
    if number % 6 == 0:
        thing.photo = b"\xff\xd8\xff\xe0" + chance.randbytes(800)
    return thing
