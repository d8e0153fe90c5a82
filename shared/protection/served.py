"""The day up to which everything that was due has been looked at: a row of the table "Due"."""

from datetime import date, datetime

from shared.kit.tables import Row, Tables

_KEYS = ("served", "day")


async def last_day(tables: Tables) -> date | None:
    """The day of the last complete look; None before the first."""
    row = await tables["Due"].find(*_KEYS)
    return date.fromisoformat(row.values["day"]) if row else None


async def note(tables: Tables, now: datetime) -> None:
    """Everything that was due at `now` has been looked at; written once a day."""
    day = now.date()
    if await last_day(tables) != day:
        await tables["Due"].upsert(Row(*_KEYS, {"day": day.isoformat()}))
