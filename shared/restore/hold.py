"""One execution of a restore's slice at a time: a hold that ends by itself unless it is renewed.

A task hub that comes back hands an activity out again while its first execution may still write;
both would find an item missing and make it twice (M36).

No wall clock decides: whoever waits watches the hold, and one that has not beaten for its whole
length by the watcher's own monotonic clock has no holder. A clock put forward frees nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.kit.errors import Unavailable
from shared.kit.ids import new_id
from shared.restore import repository
from shared.restore.model import Restore

if TYPE_CHECKING:
    from shared.bootstrap import Deps

LENGTH = timedelta(seconds=30)
"""So long the next execution watches one that was killed; renewed well before."""
RENEW_SECONDS = 8.0
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 60.0


class RestoreBusy(Unavailable):
    """Another execution of this slice is still writing; later is right."""

    code, title = "RESTORE_BUSY", "Another execution still writes"


class Hold:
    """A hold on a restore. `is_ours` is told by a clock that does not jump."""

    def __init__(self, deps: "Deps", scope: Scope, restore_id: str) -> None:
        self._deps, self._scope, self._restore_id = deps, scope, restore_id
        self._name = new_id()
        self._lapses = 0.0
        self._seen: tuple[str, int] | None = None
        self._seen_since = 0.0

    @property
    def is_ours(self) -> bool:
        """Whether nobody else may have it yet."""
        return time.monotonic() < self._lapses

    async def take(self) -> None:
        """Wait until it is free, and take it; `RestoreBusy` when that lasts too long."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not await self._claim():
            if time.monotonic() > end:
                raise RestoreBusy(f"Restore {self._restore_id} is written by another execution.")
            await asyncio.sleep(LOOK_SECONDS)

    async def keep(self) -> None:
        """Renew it until cancelled; it lapses when that fails, and the slice stops."""
        while await self._claim():  # noqa: ASYNC110 - it beats, it waits for nothing
            await asyncio.sleep(RENEW_SECONDS)

    async def give_back(self) -> None:
        """The next execution need not wait."""

        def freed(found: Restore) -> Restore | None:
            if found.held_by != self._name:
                return None
            return found.model_copy(update={"held_by": "", "held_until": None})

        await repository.change(self._deps.tables, self._scope, self._restore_id, freed)

    async def _claim(self) -> bool:
        asked = time.monotonic()

        def claimed(found: Restore) -> Restore | None:
            if found.held_by not in {"", self._name} and not self._is_left(found):
                return None
            return found.model_copy(
                update={
                    "held_by": self._name,
                    "held_beats": found.held_beats + 1,
                    "held_until": self._deps.clock.now() + LENGTH,
                }
            )

        found = await repository.change(self._deps.tables, self._scope, self._restore_id, claimed)
        is_ours = found.held_by == self._name
        if is_ours:
            self._lapses = asked + LENGTH.total_seconds()
        return is_ours

    def _is_left(self, found: Restore) -> bool:
        """Whether this hold of another has been watched for its length, and nobody renewed it."""
        seen, now = (found.held_by, found.held_beats), time.monotonic()
        if seen != self._seen:
            self._seen, self._seen_since = seen, now
        return now - self._seen_since >= LENGTH.total_seconds()


@asynccontextmanager
async def held(deps: "Deps", scope: Scope, restore_id: str) -> AsyncIterator[Hold]:
    """The restore in the hands of one execution; given back whatever happens."""
    hold = Hold(deps, scope, restore_id)
    await hold.take()
    keeping = asyncio.create_task(hold.keep())
    try:
        yield hold
    finally:
        keeping.cancel()
        # What it could not renew has lapsed, and the slice has seen that.
        await asyncio.gather(keeping, return_exceptions=True)
        await hold.give_back()
