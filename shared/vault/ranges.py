"""Operations of a run by key range, so that a seal's memory does not grow with the run (W2)."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from shared.kit.blobs import BlobStore
from shared.vault.errors import located
from shared.vault.format.checkpoint import RANGE_BITS, RANGES, Op
from shared.vault.merge import Step
from shared.vault.run import Checkpoint

# Plain bytes of operations held at once; decoded they take four times as much. Fewer would be read
# in more requests: one for every slice of the run and every window.
MAX_HELD = 8 << 20
PARALLEL = 8

Steps = dict[bytes, list[Step]]


class RangeReader:
    """Reads the operations of all slices, consecutive ranges together."""

    def __init__(self, control: BlobStore, checkpoints: list[Checkpoint]) -> None:
        self._control, self._checkpoints = control, checkpoints
        self._bytes = [0] * RANGES
        self.count = 0
        for checkpoint in checkpoints:
            for index, (ops, size) in checkpoint.meta["ranges"].items():
                self._bytes[int(index)] += size
                self.count += ops

    def windows(self, bits: int) -> Iterable[tuple[int, int]]:
        """Ranges first..last-1 whose operations fit in memory, on borders of 2^bits buckets."""
        unit = 1 << max(0, RANGE_BITS - bits)
        first, held = 0, 0
        for at in range(0, RANGES, unit):
            size = sum(self._bytes[at : at + unit])
            if at > first and held + size > MAX_HELD:
                yield first, at
                first, held = at, 0
            held += size
        yield first, RANGES

    async def read(self, first: int, last: int) -> Steps:
        """Operations by key of ranges first..last-1."""
        gate = asyncio.Semaphore(PARALLEL)
        steps: Steps = {}

        async def one(checkpoint: Checkpoint) -> list[Op]:
            async with gate:
                return [op async for op in self._operations(checkpoint, first, last)]

        found = await asyncio.gather(*map(one, self._checkpoints))
        for checkpoint, ops in zip(self._checkpoints, found, strict=True):
            packs = checkpoint.packs if ops else []
            for op in ops:
                order = (checkpoint.reader.number, op.position)
                steps.setdefault(op.key, []).append(Step(order, op, packs))
        return steps

    async def _operations(self, checkpoint: Checkpoint, first: int, last: int) -> AsyncIterator[Op]:
        begin, length, inside = checkpoint.reader.range_span(first, last)
        if not inside:
            return
        with located(checkpoint.name):
            data = await self._control.get(checkpoint.name, begin, length)
            at = 0
            for index, size in inside:
                for op in checkpoint.reader.operations(index, data[at : at + size]):
                    yield op
                at += size
