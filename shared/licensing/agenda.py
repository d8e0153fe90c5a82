"""What nightly work looks at first: partners with something due, partners that follow tenants.

Two partitions beside the ledgers, so that a night reads nothing of a partner that it does not
concern. A ledger's change and its line here cannot be one batch, therefore a line comes first: it
may stand there for nothing, which costs one read, but is never missing.
"""

import contextlib
from collections.abc import Iterable
from datetime import date, timedelta

from shared.kit.tables import LostRace, Row, Table

DUE = "due"
"""Rows `{day}~{partner}`: on that day, or after it, the partner's head is to be looked at."""
FOLLOWING = "following"
"""Rows `{partner}`: it has or had subscriptions whose quantity follows a tenant."""


async def note_due(table: Table, partner: str, day: date) -> None:
    """Before a change by which something becomes due on that day."""
    await table.upsert(Row(DUE, f"{day}~{partner}"))


async def note_following(table: Table, partner: str) -> None:
    """Before the first change by which a subscription follows its tenant."""
    await table.upsert(Row(FOLLOWING, partner))


async def due(table: Table, today: date) -> dict[str, list[Row]]:
    """Partner -> its lines up to today, missed nights included."""
    found: dict[str, list[Row]] = {}
    async for row in table.query(DUE, below=f"{today + timedelta(days=1)}"):
        found.setdefault(row.key.partition("~")[2], []).append(row)
    return found


async def following(table: Table) -> list[str]:
    """Partners that may have subscriptions which follow a tenant."""
    return [row.key async for row in table.query(FOLLOWING)]


async def strike(table: Table, lines: Iterable[Row], today: date, *, settled: bool) -> None:
    """Remove lines that were worked off: those written anew since they were read stay.

    When the partner's head was not moved meanwhile (`settled` false), a change that wrote its
    line first may still be under way: only lines older than a day go, and no change takes so long.
    """
    old = f"{today - timedelta(days=1)}"
    for line in lines:
        if settled or line.key < old:
            with contextlib.suppress(LostRace):
                await table.batch([("delete", line)])
