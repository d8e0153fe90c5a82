"""Time zones by the names Outlook uses: Windows' own, or those of the IANA database."""

from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

UTC = "UTC"


@cache
def zone(name: str) -> ZoneInfo | None:
    """The zone of a Windows or IANA name; None for a name nobody knows.

    Outlook calls a zone that somebody made up `tzone://Microsoft/Custom`: its rules are not told.
    """
    # Imported here: only writing back and exporting need the table of names.
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    try:
        return ZoneInfo(WINDOWS_TO_OLSON.get(name, name))
    except (OSError, ValueError, KeyError):
        return None


def local(moment: datetime, name: str) -> datetime:
    """The wall-clock time in a zone of a wall-clock time in UTC; unchanged in an unknown zone."""
    there = zone(name)
    if there is None:
        return moment
    return moment.replace(tzinfo=ZoneInfo(UTC)).astimezone(there).replace(tzinfo=None)
