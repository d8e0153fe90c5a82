"""The agenda made whole again: lines for ledgers older than it, and for lines that were lost."""

from datetime import date

from shared.kit.tables import Row, Table
from shared.licensing import agenda, rows, standings
from shared.licensing.model import Mode

_PARTITION, _KEY = "agenda", "looked"


async def complete_agenda(table: Table, today: date) -> int:
    """Once a month write the lines that every ledger's head says there must be; how many ledgers.

    One read on every other night. Lines that are there already are written anew, which does no
    harm: a night removes them when it has looked. A run that was cut off begins again.
    """
    month = f"{today:%Y-%m}"
    looked = await table.find(_PARTITION, _KEY)
    if looked is not None and looked.values["month"] == month:
        return 0
    done = 0
    for partner in await standings.partners(table):
        row = await table.find(partner, "head")
        if row is None:  # registered by a change that was never written
            continue
        head = rows.to_head(row)
        if head.next_due is not None:
            await agenda.note_due(table, partner, head.next_due)
        if head.follows or await _follows(table, partner):
            await agenda.note_following(table, partner)
        done += 1
    await table.upsert(Row(_PARTITION, _KEY, {"month": month}))
    return done


async def _follows(table: Table, partner: str) -> bool:
    """Whether a subscription follows its tenant: heads have said so only since the agenda."""
    automatic = {"where": "mode eq @mode", "parameters": {"mode": Mode.AUTO.value}}
    async for _ in table.query(partner, prefix="sub~", limit=1, **automatic):  # type: ignore[arg-type]
        return True
    return False
