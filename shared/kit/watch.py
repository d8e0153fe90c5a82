"""Notes which stored rows a piece of work changed, as hashes before and after.

The audit trail needs "before" and "after" for every change. Asking each route to hand them over
would be forgotten one day; the table layer sees every write.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import orjson

type Place = tuple[str, str, str]
"""Table, partition, key."""

# A request that reads more rows than this changes few of them; the rest is not remembered.
MOST_READS = 2000
_watch: ContextVar["Watch | None"] = ContextVar("watch", default=None)


@dataclass(slots=True)
class Watch:
    """What one piece of work read and wrote."""

    _read: dict[Place, str] = field(default_factory=dict)
    _before: dict[Place, str | None] = field(default_factory=dict)
    _after: dict[Place, str | None] = field(default_factory=dict)

    @property
    def before(self) -> str | None:
        """SHA-256 over the changed rows as they were; None when there were none."""
        return _digest(self._before)

    @property
    def after(self) -> str | None:
        """SHA-256 over the changed rows as they are now; None when all are gone."""
        return _digest(self._after)

    def read(self, place: Place, values: Mapping[str, Any]) -> None:
        """A row was read."""
        if len(self._read) < MOST_READS:
            self._read[place] = row_hash(values)

    def wrote(self, place: Place, values: Mapping[str, Any] | None) -> None:
        """A row was written; None: deleted."""
        self._before.setdefault(place, self._read.get(place))
        self._after[place] = None if values is None else row_hash(values)


def row_hash(values: Mapping[str, Any]) -> str:
    """SHA-256 of a row's values as JSON with sorted members, hex."""
    kept = {name: value for name, value in values.items() if value is not None}
    text = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z, default=str)
    return hashlib.sha256(text).hexdigest()


@contextmanager
def watching() -> Iterator[Watch]:
    """Everything read and written inside is noted."""
    made = Watch()
    token = _watch.set(made)
    try:
        yield made
    finally:
        _watch.reset(token)


@contextmanager
def unwatched() -> Iterator[None]:
    """What is read and written inside is not noted: it is done for others."""
    token = _watch.set(None)
    try:
        yield
    finally:
        _watch.reset(token)


def current() -> Watch | None:
    """The watch of the work that is running; None outside of `watching`."""
    return _watch.get()


def _digest(rows: Mapping[Place, str | None]) -> str | None:
    listed = sorted([*place, found] for place, found in rows.items() if found is not None)
    return hashlib.sha256(orjson.dumps(listed)).hexdigest() if listed else None
