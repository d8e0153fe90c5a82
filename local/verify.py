"""`make verify`: tell every partner's balances again from its ledger and compare.

`python -m local.verify`, with the app's settings in the environment; a line for each partner, and
the exit code 1 when anything differs or a chain is broken.
"""

import asyncio
import sys

from shared.bootstrap import Deps
from shared.licensing.reading import Comparison
from shared.licensing.repository import TABLE
from shared.licensing.verifying import verify_everywhere


def line(partner_id: str, told: Comparison) -> str:
    """What is said of one partner."""
    said = f"{partner_id}  {told.events} events, {told.rows} rows: "
    if told.ok:
        return said + "as the ledger says"
    wrong = list(told.differences)
    if told.broken is not None:
        wrong.append(f"the chain breaks at event {told.broken.seq}: {told.broken.detail}")
    return said + "; ".join(wrong)


async def verify(given: Deps) -> int:
    """Print a line per partner; how many are wrong."""
    wrong = 0
    async for partner_id, told in verify_everywhere(given.ledgers, given.tables[TABLE]):
        print(line(partner_id, told), flush=True)
        wrong += not told.ok
    return wrong


async def _run() -> int:
    given = Deps()
    try:
        return await verify(given)
    finally:
        await given.close()


if __name__ == "__main__":
    sys.exit(1 if asyncio.run(_run()) else 0)
