"""Turns: the commands of one process that wait for the same partner are settled together.

Whoever comes first leads: it settles all that wait at this moment, itself included, and they find
their answers when their turn comes. While it waits for the store, the next group gathers. A leader
whose caller gave up leaves the others where they are; the next of them leads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import SystemRandom

from shared.kit.tables import LostRace
from shared.licensing.commands import LicensingBusy, Outcome, Ticket

# Each lost race means that another change of this partner was written; so many in a row mean
# more writers than one partition takes.
ATTEMPTS = 200
GROUP = 24
"""Commands settled together: assignments write four rows each, so a batch holds no more of them."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.5
_random = SystemRandom()

Settle = Callable[[Sequence[Ticket]], Awaitable[None]]
"""Answer some or all of the tickets, at least the first; `LostRace` when nothing was written."""
Pause = Callable[[float], Awaitable[None]]


class Turns:
    """The queue before one partner's books."""

    def __init__(self, settle: Settle, pause: Pause) -> None:
        self._settle, self._pause = settle, pause
        self._waiting: list[Ticket] = []
        # Fair: who waits longest is woken first, and so finds itself first in the queue.
        self._lead = asyncio.Lock()

    async def wait(self, ticket: Ticket) -> Outcome:
        """The ticket's answer. Raises its refusal, `LicensingBusy`, and what the store raises."""
        self._waiting.append(ticket)
        try:
            async with self._lead:
                if ticket.answer is None:
                    await self._lead_until_answered(ticket)
        finally:
            self._waiting.remove(ticket)
        if isinstance(ticket.answer, Outcome):
            return ticket.answer
        assert ticket.answer is not None
        raise ticket.answer

    async def _lead_until_answered(self, own: Ticket) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while own.answer is None:
            if own.attempts > ATTEMPTS:
                raise LicensingBusy("Repeat the request in a moment.", retryAfter=2)
            group = self._group(own)
            try:
                await self._settle(group)
            except LostRace:
                for ticket in group:
                    ticket.attempts += 1
                await self._pause(pause * _random.uniform(0.1, 1.9))
                pause = min(pause * 1.6, _LONGEST_PAUSE_SECONDS)
            except Exception:
                if len(group) == 1:
                    raise
                # Whose fault it was is not known: each tries alone and bears its own.
                for ticket in group:
                    ticket.alone = True

    def _group(self, own: Ticket) -> list[Ticket]:
        """The leader first; of two with one command id the later waits, to be told the answer."""
        if own.alone:
            return [own]
        found = {own.command.id: own}
        for ticket in self._waiting:
            if ticket.answer is None and not ticket.alone:
                found.setdefault(ticket.command.id, ticket)
        return list(found.values())[:GROUP]
