"""What is decided for one item and for the cursor of its container."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.microsoft365.model import Change, Cursor, Page
from shared.protection.item_rules import Step, decide_step, enumerated, holds_cursor, next_tries
from shared.protection.log_lines import ended_object
from shared.protection.model import Completeness, ObjectRun, RunState
from shared.protection.passes import Pass

TODAY = date(2026, 3, 1)
HELD = {"i": "1", "k": "mail", "p": "inbox", "n": "Hi", "v": "A", "x": 0, "s": 5, "d": "hash"}


def step(old: dict[str, Any] | None, new: dict[str, Any], **known: bool) -> Step:
    given = {"has_content": True, "content_changed": False, "audited": False} | known
    return decide_step(old, new, today=TODAY, **given)


def listed(**changes: Any) -> dict[str, Any]:
    shown = {key: value for key, value in HELD.items() if key not in {"s", "d"}}
    return shown | changes


@pytest.mark.parametrize(
    ("old", "new", "known", "expected"),
    [
        (None, listed(), {}, Step.CONTENT),
        (HELD, listed(), {}, Step.UNCHANGED),
        (HELD, listed(), {"content_changed": True}, Step.UNCHANGED),  # M11
        (HELD, listed(p="archive"), {}, Step.METADATA),
        (HELD, listed(v="B", x=1), {}, Step.METADATA),
        (HELD, listed(v="B"), {"content_changed": True}, Step.CONTENT),
        (HELD, listed(v="B"), {"audited": True}, Step.CONTENT),
        (HELD | {"e": "stale"}, listed(), {}, Step.CONTENT),
        ({"i": "1", "e": "fail:500/X"}, listed(), {}, Step.CONTENT),
        (listed(e="skip:malware"), listed(), {}, Step.SKIP_AGAIN),
        (listed(e="skip:malware"), listed(v="B"), {}, Step.CONTENT),
        (listed(e="skip:onenote"), listed(), {}, Step.CONTENT),
        (None, {"i": "f"}, {"has_content": False}, Step.METADATA),
        ({"i": "f", "n": "A"}, {"i": "f", "n": "A"}, {"has_content": False}, Step.UNCHANGED),
        ({"i": "f", "n": "A"}, {"i": "f", "n": "B"}, {"has_content": False}, Step.METADATA),
    ],
)
def test_step_of_an_item(
    old: dict[str, Any] | None, new: dict[str, Any], known: dict[str, bool], expected: Step
) -> None:
    assert step(old, new, **known) is expected


def test_corrupt_items_are_tried_about_once_a_month() -> None:
    old = listed(e="skip:corrupt")
    tried = [
        day
        for day in range(60)
        if decide_step(
            old, listed(), has_content=True, content_changed=False, audited=False,
            today=date.fromordinal(TODAY.toordinal() + day),
        ) is Step.CONTENT
    ]  # fmt: skip
    assert len(tried) == 2


def test_m23_the_third_failure_with_one_code_lets_the_cursor_go() -> None:
    known: dict[str, Any] | None = None
    held = []
    for code in ["500/X", "500/X", "503/Y", "503/Y", "503/Y"]:
        tries = next_tries(known, code)
        held.append(holds_cursor(tries))
        known = {"code": code, "tries": tries}
    assert held == [True, True, True, True, False]


def test_m13_only_a_complete_enumeration_of_this_run_proves_absence() -> None:
    assert enumerated(complete=True, full=True, continued=False) == "full"
    assert enumerated(complete=True, full=True, continued=True) == "delta"
    assert enumerated(complete=True, full=False, continued=False) == "delta"
    assert enumerated(complete=False, full=True, continued=False) is None


def cursor(link: str, kind: Any = "delta") -> Cursor:
    return Cursor(link=link, kind=kind, asOf="2026-03-01T00:00:00Z")


def page(container: str, link: str, *ids: str, **more: Any) -> Page:
    changes = [Change({"i": i, "v": "1"}, removed=False, container=container) for i in ids]
    given = {"complete": False, "full": False} | more
    return Page(container, changes, cursor(link), **given)


def read(standing: Pass, one: Page) -> None:
    for change in standing.enter(one):
        standing.note(change)
    standing.leave(one)


def test_blocked_container_keeps_its_committed_cursor_the_others_advance() -> None:
    standing = Pass.start({"a": cursor("a0"), "b": cursor("b0")})
    read(standing, page("a", "a1", "1", complete=True))
    standing.block("a")
    read(standing, page("b", "b1", "2", complete=True))
    assert standing.work["a"]["link"] == "a1"  # the run itself goes on
    assert standing.committable() == {"a": cursor("a0"), "b": cursor("b1")}


def test_fresh_folder_with_a_failed_item_starts_at_its_announcement_next_time() -> None:
    standing = Pass.start({})
    read(standing, page("new", "start"))
    read(standing, page("new", "end", "1", complete=True, full=True))
    standing.block("new")
    assert standing.committable() == {"new": cursor("start")}
    assert standing.enumerated() == {"new": "full"}


def test_fresh_drive_with_a_failed_item_starts_afresh_next_time() -> None:
    standing = Pass.start({})
    read(standing, page("drive", "end", "1", complete=True, full=True))
    standing.block("drive")
    assert standing.committable()["drive"] == cursor("", "page")


def test_vanished_container_drops_its_cursor_and_proves_nothing() -> None:
    standing = Pass.start({"a": cursor("a0")})
    standing.leave(page("a", "", complete=True, gone=True))
    assert standing.committable() == {"a": None}
    assert standing.enumerated() == {}
    assert standing.containers() == 0


def test_enumeration_continued_from_an_earlier_run_infers_no_deletion() -> None:
    standing = Pass.start({"a": cursor("page 7", "page")})
    read(standing, page("a", "end", "1", complete=True, full=True))
    assert standing.enumerated() == {"a": "delta"}


def test_expired_token_makes_a_reset() -> None:
    standing = Pass.start({"a": cursor("a0")})
    read(standing, page("a", "a1", "1", complete=True, full=True))
    assert standing.kind(has_parent=True) == "reset"
    assert standing.kind(has_parent=False) == "full"
    assert Pass.start({"a": cursor("a0")}).kind(has_parent=True) == "incremental"


@given(st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=20), st.data())
def test_page_cut_anywhere_is_finished_without_repeats(ids: list[str], data: st.DataObject) -> None:
    one = page("a", "next", *ids)
    standing = Pass.start({"a": cursor("a0")})
    cut = data.draw(st.integers(0, len(ids)))
    first = standing.enter(one)[:cut]
    for change in first:
        standing.note(change)
    assert standing.committable() == {"a": cursor("a0")}
    again = Pass.model_validate(standing.model_dump(mode="json"))  # the checkpoint's state
    rest = again.enter(one)
    assert [c.item["i"] for c in (*first, *rest)] == ids
    for change in rest:
        again.note(change)
    again.leave(one)
    assert again.committable() == {"a": cursor("next")}


def test_v40_counts_are_a_whole_only_when_every_folder_was_listed() -> None:
    told = {"declared": {"a": 4, "b": 2}}
    fresh = Pass.start({})
    read(fresh, page("folders", "f1", **told, full=True))
    assert fresh.source() is None  # the list of folders goes on
    read(fresh, page("folders", "f2", declared={"c": 1}, complete=True, full=True))
    assert fresh.source() == (7, datetime(2026, 3, 1, tzinfo=UTC))
    read(fresh, page("a", "a1", "1", "2", complete=True, full=True))
    read(fresh, page("events", "e1", "3", complete=True, full=True))
    assert fresh.beside == 1
    later = Pass.start({"folders": cursor("f2")})
    read(later, page("folders", "f3", **told, complete=True))
    assert later.source() is None
    assert Pass.start({}).source() is None


@pytest.mark.parametrize(
    ("declared", "held", "alarming"),
    [
        (100, 80, False),
        (100, 79, True),
        (10_000, 9_950, False),
        (10_000, 9_949, True),
        (5, 9, False),
    ],
)
def test_v40_a_gap_that_changes_in_flight_do_not_explain_is_told(
    declared: int, held: int, *, alarming: bool
) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    told = Completeness(declared=declared, held=held, as_of=at)
    run = ObjectRun(
        session_id="s", object_id="o", workload="mailbox", source_id="u", display_name="Ann",
        address="ann@contoso.com", state=RunState.SUCCEEDED, started_at=at, ended_at=at,
        completeness=told,
    )  # fmt: skip
    line = ended_object(run)
    assert told.is_alarming is alarming
    assert line.status == ("Warning" if alarming else "Success")
    assert (f"Microsoft counts {declared} items" in line.message) is alarming
