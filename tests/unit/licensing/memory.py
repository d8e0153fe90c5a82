"""A table in memory with ETags and batches, and hooks to be rude to its callers."""

import bisect
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from shared.kit.tables import LAST, LostRace, Row


class MemoryTable:
    """Behaves like `shared.kit.tables.Table` for what licensing uses."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self.keys: dict[str, list[str]] = defaultdict(list)
        self.version = 0
        self.reads = 0
        self.batches = 0
        self.largest = 0
        self.before_batch: Callable[[], Awaitable[None]] | None = None
        """Runs between the reads of a decision and its commit, once."""
        self.fail_after_batch: Exception | None = None
        """Raised once after a batch was written: the answer was lost."""

    async def find(self, partition: str, key: str) -> Row | None:
        self.reads += 1
        row = self.rows.get((partition, key))
        return _copy(row) if row else None

    async def query(
        self,
        partition: str,
        *,
        after: str = "",
        below: str = "",
        prefix: str = "",
        where: str = "",
        parameters: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Row]:
        self.reads += 1
        assert where in {"", "customer eq @customer"}
        keys = self.keys[partition]
        first = bisect.bisect_left(keys, max(prefix, after))
        end = bisect.bisect_left(keys, min(prefix + LAST, below or LAST))
        found = [
            _copy(row)
            for row in (self.rows[partition, key] for key in keys[first:end] if key != after)
            if not where or row.values.get("customer") == (parameters or {})["customer"]
        ]
        for row in found:
            yield row

    async def replace(self, row: Row) -> Row:
        await self.batch([("replace", row)])
        return self.rows[row.partition, row.key]

    async def batch(self, changes: Sequence[tuple[str, Row]]) -> None:
        hook, self.before_batch = self.before_batch, None
        if hook is not None:
            await hook()
        assert len({row.partition for _, row in changes}) == 1
        assert len({row.key for _, row in changes}) == len(changes) <= 100
        for verb, row in changes:
            stored = self.rows.get((row.partition, row.key))
            if verb == "insert" and stored is not None:
                raise LostRace("taken")
            if verb == "replace" and (stored is None or stored.etag != row.etag):
                raise LostRace("changed")
        self.batches += 1
        self.largest = max(self.largest, len(changes))
        for _, row in changes:
            self.version += 1
            values = {k: v for k, v in row.values.items() if v is not None}
            stored_values = orjson.loads(orjson.dumps(values))
            if (row.partition, row.key) not in self.rows:
                bisect.insort(self.keys[row.partition], row.key)
            self.rows[row.partition, row.key] = Row(
                row.partition, row.key, stored_values, f"v{self.version}"
            )
        failure, self.fail_after_batch = self.fail_after_batch, None
        if failure is not None:
            raise failure


def _copy(row: Row) -> Row:
    """Nested values are shared: readers make models of them and change nothing."""
    return Row(row.partition, row.key, dict(row.values), row.etag)
