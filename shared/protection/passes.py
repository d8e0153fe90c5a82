"""Where the enumeration of one object stands between two slices: pure bookkeeping of cursors.

It is kept in the slice's checkpoint, so that any worker can go on, and it decides which cursors
may be committed if the run were sealed now.
"""

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from shared.kit.clock import from_text
from shared.microsoft365.model import Change, Cursor, Page
from shared.protection.item_rules import enumerated
from shared.protection.model import Record
from shared.vault.rules import CONTAINER_KINDS

# Enough to tell a person what is wrong; the vault's report names every one.
FAILED_SAMPLE = 20


class Pass(Record):
    """One enumeration of an object, from its first slice to its seal."""

    work: dict[str, Cursor] = Field(default_factory=dict)
    """Where each container goes on inside this run."""
    first: dict[str, Cursor] = Field(default_factory=dict)
    """Where each container stood when this run met it: what is kept when an item failed (M23)."""
    continued: list[str] = Field(default_factory=list)
    """Containers whose enumeration an earlier run began (vault.md V50)."""
    started_on_delta: list[str] = Field(default_factory=list)
    done: list[str] = Field(default_factory=list)
    full: list[str] = Field(default_factory=list)
    blocked: list[str] = Field(default_factory=list)
    """Containers with a failed item: their cursor does not advance (M23)."""
    gone: list[str] = Field(default_factory=list)
    begun: list[str] = Field(default_factory=list)
    """Containers whose listing without a delta token this run began."""
    anew: dict[str, list[int]] = Field(default_factory=dict)
    """Containers that it began to list again, with the slice and the position where it last did."""
    declared: dict[str, int] = Field(default_factory=dict)
    """Microsoft's own item counts, by container; see `source`."""
    declared_by: str = ""
    """The container whose pages told them."""
    declared_at: str = ""
    beside: int = 0
    """Items listed in containers without such a count: events and contacts of a mailbox."""
    page_container: str = ""
    page_seen: list[str] = Field(default_factory=list)
    """Changes of an unfinished page that were dealt with: the next slice reads that page again."""
    failed_items: list[dict[str, Any]] = Field(default_factory=list)
    tried: dict[str, str] = Field(default_factory=dict)
    """Items of the retry list that failed again in this run, with the code: not tried twice."""
    relisted: list[str] = Field(default_factory=list)
    """Containers that this run lists whole although their deltas go on (M7)."""
    known: list[str] = Field(default_factory=list)
    """Containers that an earlier run had met."""
    heal_after: str = ""
    """Key behind which rows with damaged content are still to be read again; hex."""
    heal_seen: list[str] = Field(default_factory=list)
    """Rows behind it that were dealt with."""
    healed: int = 0
    """Items whose stored content was damaged and is stored anew."""
    lost: list[str] = Field(default_factory=list)
    """Names of the first items whose stored content is damaged and that are gone at the source."""
    lost_count: int = 0

    @classmethod
    def start(cls, committed: Mapping[str, Cursor], *, relist: bool = False) -> "Pass":
        """A new run: go on from the cursors of the newest snapshot.

        With `relist` every container is listed from its beginning: what is held is not read again,
        and an item that fails leaves its container's cursor where it was.
        """
        work = {n: _afresh(at) for n, at in committed.items()} if relist else dict(committed)
        return cls(
            work=work,
            first=dict(committed),
            relisted=sorted(committed) if relist else [],
            known=sorted(committed),
            continued=[name for name, at in work.items() if at["kind"] == "page" and at["link"]],
            started_on_delta=[name for name, at in committed.items() if at["kind"] == "delta"],
        )

    def enter(self, page: Page) -> list[Change]:
        """Begin a page; returns its changes without those that an earlier slice dealt with."""
        name = page.container
        if name not in self.first:
            announced = not page.changes and not page.complete
            self.first[name] = page.cursor if announced else _afresh(page.cursor)
        if self.page_container != name:
            self.page_container, self.page_seen = name, []
        seen = set(self.page_seen)
        return [change for change in page.changes if _mark(change) not in seen]

    def note(self, change: Change) -> None:
        """A change of the page at hand is dealt with."""
        self.page_seen.append(_mark(change))
        is_item = not change.removed and change.item.get("k") not in CONTAINER_KINDS
        if is_item and change.container not in self.declared:
            self.beside += 1

    def begin(self, page: Page, at: tuple[int, int]) -> bool:
        """Before `leave`: whether a listing began again here and not all is there that was seen.

        `at` is where this reading of the page began. No delta will report what an earlier reading
        showed and this one does not: it went before the new listing's token was made (M13).
        """
        if not page.begins:
            return False
        name = page.container
        here = {_mark(change) for change in page.changes}
        known = name in self.begun or name in self.continued or name in self.anew
        _add(self.begun, name)
        if not known and here.issuperset(self.page_seen):
            return False
        if name in self.continued:
            self.continued.remove(name)
        self.anew[name] = list(at)
        return True

    def leave(self, page: Page) -> None:
        """A page is dealt with to its end: its cursor is where the container goes on."""
        name = page.container
        self.page_container, self.page_seen = "", []
        if page.declared:
            self.declared.update(page.declared)
            self.declared_by, self.declared_at = name, page.cursor["asOf"]
        if page.full:
            _add(self.full, name)
        if page.gone:
            self.work.pop(name, None)
            self.declared.pop(name, None)
            _add(self.gone, name)
            return
        self.work[name] = self._dated(page)
        if page.complete:
            _add(self.done, name)

    def _dated(self, page: Page) -> Cursor:
        """The page's cursor, with when its container was last listed whole."""
        name, cursor = page.container, page.cursor
        if page.complete and (name in self.relisted or name not in self.known):
            return {**cursor, "listed": cursor["asOf"]}
        before = self.first[name].get("listed")
        return {**cursor, "listed": before} if before else cursor

    def block(self, container: str) -> None:
        """An item of the container failed and is not on the retry list yet (M23)."""
        _add(self.blocked, container)

    def note_failed(self, item: Mapping[str, Any], code: str, request_id: str) -> None:
        """Remember a few failed items by name, for people."""
        if len(self.failed_items) < FAILED_SAMPLE:
            self.failed_items.append(
                {
                    "name": str(item.get("n", ""))[:200],
                    "kind": str(item.get("k", "")),
                    "code": code,
                    "request_id": request_id,
                }
            )

    def note_lost(self, item: Mapping[str, Any]) -> None:
        """An item is damaged here and gone at its source: count it, name the first few."""
        self.lost_count += 1
        if len(self.lost) < FAILED_SAMPLE:
            self.lost.append(str(item.get("n", ""))[:200])

    def committable(self) -> dict[str, Cursor | None]:
        """The cursors a seal may commit now (M20, M23); None drops a container's cursor.

        A listing that began again and did not end leaves rows that only a whole one can disprove.
        """
        kept: dict[str, Cursor | None] = {
            name: self.first[name] if name in self.blocked and name in self.first else at
            for name, at in self.work.items()
        }
        unproved = self.anew.keys() & self.work.keys() - set(self.done)
        kept |= {name: _afresh(self.work[name]) for name in unproved}
        return kept | dict.fromkeys(self.gone)

    def enumerated(self) -> dict[str, Literal["full", "delta"]]:
        """The containers that were enumerated to their end, and how (M13)."""
        ends: dict[str, Literal["full", "delta"]] = {}
        for name in self.done:
            if name in self.gone:
                continue
            how = enumerated(
                complete=True, full=name in self.full, continued=name in self.continued
            )
            ends[name] = "full" if how == "full" else "delta"
        return ends

    def since(self) -> dict[str, tuple[int, int]]:
        """Where the last listing began of containers that were listed more than once (M13)."""
        return {name: (number, position) for name, (number, position) in self.anew.items()}

    def source(self) -> tuple[int, datetime] | None:
        """Items that Microsoft says there are, and as of when (vault.md section 11).

        None unless everything that tells a count was listed in this run: a delta names only the
        folders that changed, and a sum over some of them would mean nothing.
        """
        if self.enumerated().get(self.declared_by) != "full":
            return None
        return sum(self.declared.values()), from_text(self.declared_at)

    def containers(self) -> int:
        """Containers that had to be enumerated."""
        return len(set(self.work) - set(self.gone))

    def kind(self, *, has_parent: bool) -> Literal["full", "incremental", "reset"]:
        """What kind of snapshot this is (vault.md section 10)."""
        if not has_parent:
            return "full"
        return "reset" if set(self.full) & set(self.started_on_delta) else "incremental"


def _afresh(cursor: Cursor) -> Cursor:
    return {**cursor, "link": "", "kind": "page"}


def _mark(change: Change) -> str:
    text = f"{change.item['i']}\0{change.item.get('v', '')}\0{change.removed}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:9]).decode()


def _add(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
