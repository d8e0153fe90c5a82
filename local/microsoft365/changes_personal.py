"""A day's changes of calendars and contacts, deterministic from a seed."""

import random
from datetime import datetime, timedelta
from typing import Any

from local.microsoft365.event_json import first_start, is_series, occurrences, zone_of
from local.microsoft365.outlook_store import Store, Thing
from local.microsoft365.simulator import Simulator
from local.microsoft365.tenant import User
from local.microsoft365.world_personal import add_contact, add_event

JSON = dict[str, Any]
EVENT_VERBS = ("newEvents", "editEvents", "exceptEvents", "moveEvents", "deleteEvents")
CONTACT_VERBS = ("newContacts", "editContacts", "moveContacts", "deleteContacts")


def personal(
    sim: Simulator, user: User, counts: dict[str, int], chance: random.Random
) -> list[JSON]:
    """Change calendars and contacts of one user; nothing is changed twice."""
    now = sim.clock.now()
    made: list[JSON] = []
    if user.calendars is not None:
        made += _events(user, user.calendars, counts, chance, now)
    if user.contacts is not None:
        made += _contacts(user, user.contacts, counts, chance, now)
    return made


def _note(user: User, store: Store, kind: str, thing: Thing) -> JSON:
    identity = store.thing_id(thing.number, thing.incarnation, immutable=True)
    name = thing.body.get("subject") or thing.body.get("displayName")
    return {"user": user.upn, "kind": kind, "id": identity, "subject": name}


def _take(pool: list[Thing], count: int) -> list[Thing]:
    taken, pool[:] = pool[:count], pool[count:]
    return taken


def _events(
    user: User, store: Store, counts: dict[str, int], chance: random.Random, now: datetime
) -> list[JSON]:
    pool = list(store.things.values())
    chance.shuffle(pool)
    made = []
    for number in range(counts.get("newEvents", 0)):
        peer = ("Grace Hopper", "grace@partner.example")
        thing = add_event(store, chance, 1000 + store.seq + number, peer, now)
        made.append(_note(user, store, "newEvents", thing))
    for thing in _take(pool, counts.get("editEvents", 0)):
        thing.body["subject"] = f"{thing.body.get('subject', '')} (neu)"
        store.touch(thing, now)
        made.append(_note(user, store, "editEvents", thing))
    series = [thing for thing in pool if is_series(thing)]
    for thing in _take(series, counts.get("exceptEvents", 0)):
        pool.remove(thing)
        days = occurrences(thing, first_start(thing) + timedelta(days=800))
        later = days[-1] + timedelta(hours=2)
        thing.exceptions[days[-1].isoformat()] = {
            "subject": "verschoben",
            "start": {"dateTime": later.isoformat(), "timeZone": zone_of(thing.body)},
            "end": {
                "dateTime": (later + timedelta(minutes=30)).isoformat(),
                "timeZone": zone_of(thing.body),
            },
        }
        store.touch(thing, now)
        made.append(_note(user, store, "exceptEvents", thing))
    made += _moves(user, store, _take(pool, counts.get("moveEvents", 0)), "moveEvents", chance, now)
    for thing in _take(pool, counts.get("deleteEvents", 0)):
        made.append(_note(user, store, "deleteEvents", thing))
        store.purge(thing)
    return made


def _contacts(
    user: User, store: Store, counts: dict[str, int], chance: random.Random, now: datetime
) -> list[JSON]:
    pool = list(store.things.values())
    chance.shuffle(pool)
    made = []
    for number in range(counts.get("newContacts", 0)):
        thing = add_contact(store, chance, 1000 + store.seq + number, now)
        made.append(_note(user, store, "newContacts", thing))
    for thing in _take(pool, counts.get("editContacts", 0)):
        thing.body["jobTitle"] = f"Leitung {chance.randrange(1000)}"
        store.touch(thing, now)
        made.append(_note(user, store, "editContacts", thing))
    moved = _take(pool, counts.get("moveContacts", 0))
    made += _moves(user, store, moved, "moveContacts", chance, now)
    for thing in _take(pool, counts.get("deleteContacts", 0)):
        made.append(_note(user, store, "deleteContacts", thing))
        store.purge(thing)
    return made


def _moves(
    user: User, store: Store, things: list[Thing], kind: str, chance: random.Random, now: datetime
) -> list[JSON]:
    made = []
    for thing in things:
        others = [place for place in store.places.values() if place is not thing.place]
        if others:
            store.move(thing, chance.choice(others), now)
            made.append(_note(user, store, kind, thing))
    return made
