"""Pure decisions: what a removal removes, when a base is rewritten, whether a run is complete."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from shared.vault.format.checkpoint import CARRY, FAILED, KEEP, PUT, SKIPPED
from shared.vault.format.checkpoint import GONE as GONE
from shared.vault.model import Enumeration

TROUBLED = frozenset({SKIPPED, FAILED})
CONTAINER_KINDS = frozenset({"folder", "list", "channel", "calendar", "contactfolder"})
# A drive is enumerated as one container: what it reports removed is removed, wherever it was.
ONE_CONTAINER = frozenset({"drive"})
# An object of several trees: a row's id begins with the name of its container and a slash.
BY_ID = frozenset({"site", "team"})
# The container of such an object that holds one row for each of the others.
DESCRIPTIONS = "settings"
HIERARCHY = "folders"
# Who lists the containers of a kind, where it is not `folders`.
HIERARCHY_OF = {"calendar": "calendars", "contactfolder": "contactFolders"}
_HIERARCHIES = frozenset({HIERARCHY, *HIERARCHY_OF.values()})

# A tail larger than this would no longer leave room in a 64 MiB record (V28).
MAX_TAIL = 48 << 20
# A run that has not committed after a day never will: garbage collection relies on it (V50).
MAX_RUN = timedelta(hours=24)
# Entries of the skip report kept inside a record; the counters are always complete.
MAX_REPORT = 10_000


# Place of an operation in its run: slice, position in the slice.
Order = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Removal:
    """What a run's enumerations say about items they did not name (M13, M15, M16)."""

    one_container: bool
    full: frozenset[str] = frozenset()
    buried: AbstractSet[str] = frozenset()
    by_id: bool = False
    since: Mapping[str, Order] = field(default_factory=dict)
    """Where the listing began that proves absence, of containers that a run listed twice."""
    wounds: frozenset[bytes] = frozenset()
    """Damaged packs: a row that stands on one is not the same as its new reading."""

    @property
    def scans(self) -> bool:
        """Whether items that no operation names may be removed."""
        return bool(self.full or self.buried)

    def covers(self, containers: AbstractSet[str], row: Any) -> bool:
        """Whether one of these containers decides about the row (M16)."""
        if not containers:
            return False
        return self.one_container or self._container(row) in containers

    def _container(self, row: Any) -> Any:
        """The container that decides about the row."""
        if self.one_container:
            return next(iter(self.full), "")
        if self.by_id:
            return row.i.partition("/")[0]
        if row.k in CONTAINER_KINDS:
            return HIERARCHY_OF.get(row.k, HIERARCHY)
        return row.p

    def absent(self, row: Any) -> bool:
        """Whether a row that was not named is gone: its container was enumerated fully (M13)."""
        return self.covers(self.full, row)

    def stale(self, row: Any, order: Order, again: Mapping[str, Order]) -> bool:
        """Whether what was listed so is disproved by a later listing of the container (M13).

        `again`: where containers listed the item once more.
        """
        if not self.since:
            return False
        name = self._container(row)
        began = self.since.get(name)
        return began is not None and max(order, again.get(name, order)) <= began

    def buries(self, row: Any) -> bool:
        """Whether the row is, or stands in, a removed folder and was not moved out (M15)."""
        if not self.buried:
            return False
        if self.by_id and f"{DESCRIPTIONS}/{row.i.partition('/')[0]}" in self.buried:
            return True
        return row.i in self.buried or row.p in self.buried


def removal_of(
    workload: str,
    enumerated: Mapping[str, Enumeration],
    has_parent: bool,
    buried: AbstractSet[str],
    since: Mapping[str, Order] | None = None,
) -> Removal:
    """Without a parent only what the run itself listed before `since` could be absent."""
    full = frozenset(name for name, how in enumerated.items() if how == "full")
    later = {name: began for name, began in (since or {}).items() if name in full}
    full = full if has_parent else frozenset(later)
    return Removal(workload in ONE_CONTAINER, full, buried, workload in BY_ID, later)


def needs_folders(removal: Removal) -> bool:
    """Whether folders may vanish by absence, so that the tree must be known first."""
    return bool(removal.full) and (
        removal.one_container or removal.by_id or not _HIERARCHIES.isdisjoint(removal.full)
    )


def buried_folders(alive: Mapping[str, str | None], removed: AbstractSet[str]) -> set[str]:
    """Removed folders and every folder below one; `alive`: folder -> parent after the run (M15)."""
    verdict: dict[str, bool] = dict.fromkeys(removed, True)
    for start in alive:
        path: list[str] = []
        at: str | None = start
        while at is not None and at not in verdict and at in alive:
            verdict[at] = False  # also ends a cycle, which nobody removed
            path.append(at)
            at = alive[at]
        if at is not None and verdict.get(at, False):
            verdict.update(dict.fromkeys(path, True))
    return {folder for folder, dead in verdict.items() if dead}


def classes(kind: str, error: str | None) -> Iterable[str]:
    """The counters a row stands in (section 11)."""
    if error is None:
        yield "held"
    else:
        yield "stale" if error == "stale" else "unheld"
    if kind in CONTAINER_KINDS:
        yield "folders"


def rewrite_base(*, base_bytes: int, spent: int, tail_bytes: int) -> bool:
    """V28: the tails written since the base outweigh it, or the tail is too large for a record."""
    return spent + tail_bytes > base_bytes or tail_bytes > MAX_TAIL


def surely_rewrites(*, base_bytes: int, spent: int, tail_bytes: int, rows: int) -> bool:
    """The same before the tail is built: a row has at least 40 bytes that do not compress."""
    return base_bytes == 0 or spent + tail_bytes + 40 * rows > 2 * base_bytes


def status(failed: int, retried: int, total: int, complete: int) -> Literal["complete", "partial"]:
    """V38: complete when nothing failed and every container was enumerated to its end."""
    return "partial" if failed or retried or complete < total else "complete"


def counts(
    listed: Mapping[int, int],
    skipped: Mapping[str, int],
    failed: Mapping[str, int],
    gone: int,
    before: Mapping[str, Any],
    changes: Mapping[str, int],
) -> dict[str, Any]:
    """Counters of section 11 without source, excluded and containers."""
    found: dict[str, Any] = {
        "listed": sum(listed.values()),
        "gone": gone,
        "protected": listed.get(PUT, 0),
        "metadata": listed.get(CARRY, 0),
        "unchanged": listed.get(KEEP, 0),
        "skipped": dict(sorted(skipped.items())),
        "failed": dict(sorted(failed.items())),
    }
    for name in ("held", "stale", "unheld", "folders"):
        found[name] = int(before.get(name, 0)) + changes.get(name, 0)
    return found


def retry_list(
    before: list[dict[str, Any]],
    failures: Iterable[tuple[str, str]],
    settled: AbstractSet[str],
    now: str,
) -> list[dict[str, Any]]:
    """Items that fail, how often with the same code in a row, and since when (M23)."""
    old = {entry["i"]: entry for entry in before if entry["i"] not in settled}
    for source_id, code in failures:
        known = old.get(source_id)
        again = known is not None and known["code"] == code
        old[source_id] = {
            "i": source_id,
            "code": code,
            "tries": known["tries"] + 1 if again and known else 1,
            "first": known["first"] if again and known else now,
        }
    return list(old.values())


def run_expired(started: datetime, now: datetime) -> bool:
    """V50."""
    return now - started > MAX_RUN
