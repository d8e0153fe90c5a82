"""Decisions about one item of an object, and about the cursor of its container: pure."""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.kit.clock import from_text

# After this many consecutive runs with the same code an item no longer holds back its container's
# cursor; it is tried once per run from the retry list instead (microsoft365.md M23).
RETRY_LIST_AFTER = 3
# Causes that only a new version of the item can cure (microsoft365.md section 5).
UNTIL_NEW_VERSION = frozenset({"malware", "invalid_recipients", "too_large", "gone"})
# Causes that are tried again about once a month: one thirtieth of the items each day.
MONTHLY = frozenset({"corrupt", "attachment_unreadable"})
_DAYS = 30
# Objects whose deltas are checked once a month against a full listing; a team's messages would
# cost one request in fifty of them, and no delta of theirs has been found to lose any.
RELISTED = frozenset({"mailbox", "drive", "site"})
RELIST_AFTER, RELIST_SPREAD = timedelta(days=28), timedelta(days=1)
# The container that is listed first and completely in every run; a drive has only one.
TOP_OF = {"mailbox": "folders", "site": "settings"}
# What the vault adds to the item a page showed.
_VAULT_MEMBERS = frozenset({"s", "d", "e"})


class Step(StrEnum):
    """What has to be done for a listed item."""

    UNCHANGED = "unchanged"
    METADATA = "metadata"
    CONTENT = "content"
    SKIP_AGAIN = "skip again"


def decide_step(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    *,
    has_content: bool,
    content_changed: bool,
    audited: bool,
    today: date,
) -> Step:
    """Compare a listed item with the held row.

    `content_changed` and `audited` are the workload's own pure answers (microsoft365.md 3.1). No
    content is requested for a version that is held (M11); a row that lacks its content is read
    again unless its cause is permanent for this version (section 5, M22).
    """
    if old is None:
        return Step.CONTENT if has_content else Step.METADATA
    same_members = _shown(old) == _shown(new)
    if not has_content:
        return Step.UNCHANGED if same_members else Step.METADATA
    same_version = old.get("v") == new.get("v")
    mark = str(old.get("e", ""))
    if mark:
        cause = mark.removeprefix("skip:")
        if mark.startswith("skip:") and same_version and not _due(cause, old, today):
            return Step.SKIP_AGAIN
        return Step.CONTENT
    if same_version:
        return Step.UNCHANGED if same_members else Step.METADATA
    if content_changed or audited:
        return Step.CONTENT
    return Step.METADATA


def skip_cause(old: Mapping[str, Any]) -> str:
    """The cause in the row of an item that was skipped."""
    return str(old.get("e", "")).removeprefix("skip:")


def next_tries(known: Mapping[str, Any] | None, code: str) -> int:
    """Consecutive runs in which an item failed with this code, this one included (M23)."""
    if known is None or known.get("code") != code:
        return 1
    return int(known.get("tries", 0)) + 1


def holds_cursor(tries: int) -> bool:
    """Whether an item that failed so often keeps its container's cursor where it was (M23)."""
    return tries < RETRY_LIST_AFTER


def enumerated(*, complete: bool, full: bool, continued: bool) -> str | None:
    """How a container was enumerated, for inferring deletions (M13); None = not to its end.

    An enumeration that goes on from an earlier run's page has not listed everything in this run:
    like a delta it proves nothing by absence.
    """
    if not complete:
        return None
    return "full" if full and not continued else "delta"


def relist_due(
    workload: str, source_id: str, cursors: Mapping[str, Mapping[str, Any]], now: datetime
) -> bool:
    """Whether an object is to be listed whole, without downloads, in this run (M7, section 4.4).

    Monthly, on a day that its id decides, and never before a listing at hand has come to its end.
    One that was last listed before anybody wrote it down has its turn within a month as well.
    """
    top = cursors.get(TOP_OF.get(workload, source_id))
    if workload not in RELISTED or top is None or top["kind"] != "delta":
        return False
    turn = int.from_bytes(hashlib.sha256(source_id.encode()).digest()[:4])
    listed = top.get("listed")
    if listed is None:
        return turn % _DAYS == now.toordinal() % _DAYS
    return now - from_text(listed) >= RELIST_AFTER + turn % 5 * RELIST_SPREAD


def _shown(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in _VAULT_MEMBERS}


def _due(cause: str, old: Mapping[str, Any], today: date) -> bool:
    if cause in UNTIL_NEW_VERSION:
        return False
    if cause in MONTHLY:
        digest = hashlib.sha256(str(old.get("i", "")).encode()).digest()
        return (int.from_bytes(digest[:4]) + today.toordinal()) % _DAYS == 0
    return True
