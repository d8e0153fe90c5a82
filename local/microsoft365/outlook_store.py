"""What calendars and contact folders have in common: places with things, and a change log."""

import bisect
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.microsoft365.ids import FOLDER, IMMUTABLE, MESSAGE, outlook_id, parse_outlook_id

JSON = dict[str, Any]
TOP = 0


@dataclass(slots=True, eq=False)
class Thing:
    """An event or a contact: what a person can set, and how often that changed."""

    number: int
    place: "Place"
    body: JSON
    created: datetime
    modified: datetime
    version: int = 1
    incarnation: int = 0
    attachments: dict[int, JSON] = field(default_factory=dict)
    """By number: name, contentType, data, isInline, contentId."""
    photo: bytes | None = None
    exceptions: dict[str, JSON] = field(default_factory=dict)
    """Of a series, by the original local start: what differs from the master."""
    cancelled: set[str] = field(default_factory=set)
    """Of a series: original local starts that were taken out."""


@dataclass(slots=True, eq=False)
class Place:
    """A calendar or a contact folder."""

    number: int
    name: str
    parent: int
    well_known: str = ""
    changed: int = 0
    extra: JSON = field(default_factory=dict)
    things: dict[int, Thing] = field(default_factory=dict)
    log: list[tuple[int, int, str, int]] = field(default_factory=list)
    """Per change: sequence, number of the thing, reason of a removal or "", incarnation then."""


class Store:
    """All calendars, or all contact folders, of one user; the event loop is its lock."""

    def __init__(self, key: bytes, default: tuple[str, str]) -> None:
        self.key = key
        self.seq = 0
        self.live = False
        self.places: dict[int, Place] = {}
        self.things: dict[int, Thing] = {}
        self.gone_places: list[tuple[int, int]] = []
        self._last = 0
        self._parts = 0
        self.default = self.add_place(TOP, default[1], well_known=default[0])

    # -- places -------------------------------------------------------------------------------

    def add_place(self, parent: int, name: str, *, well_known: str = "") -> Place:
        """Create a calendar or folder."""
        number = len(self.places) + len(self.gone_places) + 1
        self.places[number] = place = Place(number, name, parent, well_known, self.tick())
        return place

    def children(self, parent: int) -> list[Place]:
        """The places right below a parent, the default one among those at the top."""
        return [place for place in self.places.values() if place.parent == parent]

    def find_place(self, text: str) -> Place | None:
        """Find a place by id or well-known name."""
        for place in self.places.values():
            if place.well_known and place.well_known == text.lower():
                return place
        parsed = parse_outlook_id(self.key, text)
        return self.places.get(parsed[1]) if parsed and parsed[0] == FOLDER else None

    def rename_place(self, place: Place, name: str) -> None:
        """Give a place a new name."""
        place.name = name
        place.changed = self.tick()

    def purge_place(self, place: Place) -> None:
        """Remove a place with everything in and below it."""
        for child in self.children(place.number):
            self.purge_place(child)
        for thing in list(place.things.values()):
            del self.things[thing.number]
        del self.places[place.number]
        self.gone_places.append((self.tick(), place.number))

    def place_id(self, number: int) -> str:
        """The id of a place."""
        return outlook_id(self.key, FOLDER, number)

    # -- things -------------------------------------------------------------------------------

    def add(self, place: Place, body: JSON, now: datetime) -> Thing:
        """Put a new thing into a place."""
        self._last += 1
        thing = Thing(self._last, place, body, now, now)
        self.things[thing.number] = place.things[thing.number] = thing
        self._log(place, thing, "")
        return thing

    def touch(self, thing: Thing, now: datetime) -> None:
        """Record that a thing changed."""
        thing.version += 1
        thing.modified = now
        self._log(thing.place, thing, "")

    def move(self, thing: Thing, place: Place, now: datetime) -> None:
        """Move a thing: a removal in one place, an arrival in the other."""
        self._log(thing.place, thing, "deleted")
        del thing.place.things[thing.number]
        thing.place = place
        place.things[thing.number] = thing
        thing.incarnation += 1
        thing.version += 1
        thing.modified = now
        self._log(place, thing, "")

    def purge(self, thing: Thing) -> None:
        """Remove a thing for good."""
        self._log(thing.place, thing, "deleted")
        del thing.place.things[thing.number]
        del self.things[thing.number]

    def attach(self, thing: Thing, attachment: JSON) -> int:
        """Add an attachment; returns its number."""
        self._parts += 1
        thing.attachments[self._parts] = attachment
        return self._parts

    def find(self, text: str) -> Thing | None:
        """Find a thing by its immutable id or its present ordinary id."""
        parsed = parse_outlook_id(self.key, text)
        if parsed is None or parsed[0] not in (MESSAGE, IMMUTABLE):
            return None
        thing = self.things.get(parsed[1])
        if thing is None or (parsed[0] == MESSAGE and parsed[2] != thing.incarnation):
            return None
        return thing if parsed[0] == MESSAGE or not parsed[2] else None

    def thing_id(self, number: int, incarnation: int, *, immutable: bool) -> str:
        """The id of a thing in the form the caller prefers."""
        if immutable:
            return outlook_id(self.key, IMMUTABLE, number)
        return outlook_id(self.key, MESSAGE, number, incarnation)

    def part_id(self, number: int, part: int) -> str:
        """The id of something inside a thing: an attachment, or a day's occurrence."""
        return outlook_id(self.key, IMMUTABLE, number, part)

    def part_of(self, text: str) -> tuple[Thing, int] | None:
        """The thing and the number of the part that an id names."""
        parsed = parse_outlook_id(self.key, text)
        if parsed is None or parsed[0] != IMMUTABLE or not parsed[2]:
            return None
        thing = self.things.get(parsed[1])
        return (thing, parsed[2]) if thing is not None else None

    # -- log ----------------------------------------------------------------------------------

    def tick(self) -> int:
        """Count one change."""
        self.seq += 1
        return self.seq

    def since(self, place: Place, seq: int) -> list[tuple[int, int, str, int]]:
        """The last change of every thing that changed here after `seq`, in order."""
        start = bisect.bisect_right(place.log, (seq, 1 << 62, "", 0))
        return sorted({entry[1]: entry for entry in place.log[start:]}.values())

    def _log(self, place: Place, thing: Thing, reason: str) -> None:
        if self.live:
            place.log.append((self.tick(), thing.number, reason, thing.incarnation))


def change_key(thing: Thing) -> str:
    """The version of a thing."""
    return "DwAAAB" + outlook_id(b"\0" * 16, FOLDER, thing.number, thing.version)[41:65]
