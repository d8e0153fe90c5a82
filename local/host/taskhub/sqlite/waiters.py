"""Who waits for an instance's status to change. Memory only; one event loop."""

import asyncio


class Waiters:
    """The futures of those who wait, by instance; an instance that nobody waits for is not held."""

    def __init__(self) -> None:
        self._by_id: dict[str, set[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    async def change_of(self, instance_id: str) -> None:
        """Wait until the instance's status may have changed, or the hub ends."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._by_id.setdefault(instance_id, set()).add(waiter)
        try:
            await waiter
        finally:
            waiting = self._by_id.get(instance_id, set())
            waiting.discard(waiter)
            if not waiting:
                self._by_id.pop(instance_id, None)

    def changed(self, instance_id: str) -> None:
        """Let those who wait for this instance look again."""
        for waiter in self._by_id.pop(instance_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    def release(self) -> None:
        """Let everybody look again."""
        for instance_id in list(self._by_id):
            self.changed(instance_id)
