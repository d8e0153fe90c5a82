"""Turns what Graph lists about calendars and events into rows: all pure."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from shared.microsoft365.mail_rows import (
    ATTACHMENTS,
    RECIPIENTS,
    Recipient,
    Removed,
    address_text,
    without_nothing,
)
from shared.microsoft365.model import Change, Cursor

CALENDARS = "calendars"
"""Name of the container that lists the calendars."""


class Owner(msgspec.Struct):
    """Whose calendar it is."""

    address: str | None = None


class CalendarEntry(msgspec.Struct, rename="camel"):
    """A calendar in a list."""

    id: str
    name: str | None = None
    color: str | None = None
    is_default_calendar: bool | None = None
    owner: Owner | None = None


class Moment(msgspec.Struct, rename="camel"):
    """A dateTimeTimeZone; without a wish in the request its zone is UTC."""

    date_time: str = ""
    time_zone: str | None = None


class Named(msgspec.Struct, rename="camel"):
    """A location."""

    display_name: str | None = None


class Body(msgspec.Struct):
    """Text of an event."""

    content: str | None = None


class EventEntry(msgspec.Struct, rename="camel"):
    """The members of an event that decide or are shown; the rest is stored as it came."""

    id: str
    change_key: str | None = None
    subject: str | None = None
    organizer: Recipient | None = None
    attendees: list[Recipient] | None = None
    start: Moment | None = None
    end: Moment | None = None
    type: str | None = None
    has_attachments: bool | None = None
    i_cal_u_id: str | None = msgspec.field(default=None, name="iCalUId")
    is_all_day: bool | None = None
    is_cancelled: bool | None = None
    location: Named | None = None
    categories: list[str] | None = None
    body: Body | None = None
    removed: Removed | None = msgspec.field(default=None, name="@removed")


def own_calendars(listed: list[CalendarEntry]) -> list[CalendarEntry]:
    """Without calendars other people share: those are protected in their owner's mailbox."""
    default = next((one for one in listed if one.is_default_calendar), None)
    owner = default.owner.address if default and default.owner else None
    if not owner:
        return listed
    return [
        one
        for one in listed
        if one.owner is None
        or not one.owner.address
        or one.owner.address.casefold() == owner.casefold()
    ]


def calendar_change(entry: CalendarEntry) -> Change:
    """The row of a calendar; its version follows from its members."""
    told = f"{entry.name}\0{entry.color}\0{entry.is_default_calendar}"
    color = entry.color if entry.color != "auto" else None
    item = without_nothing({
        "i": entry.id,
        "k": "calendar",
        "n": entry.name,
        "v": hashlib.sha256(told.encode()).hexdigest()[:16],
        "m": without_nothing({"default": entry.is_default_calendar or None, "color": color}),
    })  # fmt: skip
    return Change(item, removed=False, container=CALENDARS)


def listed_before(cursor: Cursor | None) -> frozenset[str]:
    """Marks of the calendars that the list of an earlier run named, from its cursor."""
    return frozenset(cursor["link"].split(",")) if cursor is not None else frozenset()


def differences(before: frozenset[str], listed: list[CalendarEntry]) -> tuple[str, list[Change]]:
    """The marks of this list, for its cursor, and the calendars that are new or changed.

    Graph has no delta of calendars; this is one, made from two lists.
    """
    marked = {}
    for entry in listed:
        change = calendar_change(entry)
        told = f"{entry.id}\0{change.item['v']}".encode()
        marked[hashlib.sha256(told).hexdigest()[:16]] = change
    return ",".join(sorted(marked)), [
        change for mark, change in marked.items() if mark not in before
    ]


def calendar_gone(calendar_id: str) -> Change:
    """A calendar that a complete list no longer names."""
    return Change({"i": calendar_id, "k": "calendar"}, removed=True, container=CALENDARS)


def event_change(calendar_id: str, entry: EventEntry, raw: bytes) -> Change | None:
    """The row of an event or of a whole series; None for a single day of a series.

    One series is one item (section 3.1), so days and exceptions have no row of their own.
    """
    if entry.removed is not None:
        return Change({"i": entry.id, "k": "event"}, removed=True, container=calendar_id)
    if entry.type in ("occurrence", "exception"):
        return None
    item = without_nothing({
        "i": entry.id,
        "k": "event",
        "p": calendar_id,
        "n": entry.subject,
        "w": address_text(entry.organizer),
        "o": [address_text(one) for one in (entry.attendees or [])[:RECIPIENTS]],
        "t": epoch_of(entry.start),
        "v": entry.change_key,
        "x": ATTACHMENTS if entry.has_attachments else 0,
        "c": "json",
        "m": _metadata(entry),
    })  # fmt: skip
    return Change(item, removed=False, container=calendar_id, fetch={"json": raw}, content=True)


def _metadata(entry: EventEntry) -> dict[str, Any]:
    return without_nothing({
        "uid": entry.i_cal_u_id,
        "end": epoch_of(entry.end),
        "series": entry.type == "seriesMaster" or None,
        "allDay": entry.is_all_day or None,
        "cancelled": entry.is_cancelled or None,
        "where": entry.location.display_name if entry.location else None,
        "categories": entry.categories,
    })  # fmt: skip


def epoch_of(moment: Moment | None) -> int | None:
    """Whole epoch seconds of a time in UTC; None when there is none."""
    if moment is None or not moment.date_time:
        return None
    try:
        return int(wall(moment.date_time).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def wall(text: str) -> datetime:
    """Graph's dateTime (seven digits of a second, no zone) as a wall-clock time."""
    head, dot, digits = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(head + (dot + digits[:6] if digits else ""))


def wants_attachments(event: Mapping[str, Any]) -> bool:
    """Whether attachments have to be asked for: pictures in the text do not count as attachments
    for Graph (`hasAttachments` is false with only those)."""
    text = (event.get("body") or {}).get("content") or ""
    return bool(event.get("hasAttachments")) or "cid:" in text
