"""States, places and collisions of restores."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.restore import rules
from shared.restore.model import EntryState, Restore, RestoreState, Target

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TREE = {"root": ("", None), "a": ("Projects", "root"), "b": ("2026", "a")}


def a_restore(place: Any, collision: Any) -> Restore:
    return Restore(
        restore_id="r",
        partner_id="p",
        customer_id="c",
        object_id="o",
        workload="mailbox",
        source_id="u",
        snapshot=1,
        target=Target(place=place, object_id="o", source_id="u"),
        collision=collision,
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.mark.parametrize(
    ("entries", "canceled", "error", "expected"),
    [
        ({EntryState.CREATED: 3}, False, False, RestoreState.COMPLETED),
        ({EntryState.CREATED: 1, EntryState.SKIPPED: 2}, False, False, RestoreState.COMPLETED),
        ({EntryState.CREATED: 2, EntryState.FAILED: 1}, False, False,
         RestoreState.COMPLETED_WITH_ERRORS),
        ({EntryState.CREATED: 2, EntryState.PENDING: 1}, False, True,
         RestoreState.COMPLETED_WITH_ERRORS),
        ({EntryState.FAILED: 3}, False, False, RestoreState.FAILED),
        ({}, False, True, RestoreState.FAILED),
        ({EntryState.CREATED: 1, EntryState.PENDING: 2}, True, False, RestoreState.CANCELED),
    ],
)  # fmt: skip
def test_rst_09_state_follows_from_the_ledger(
    entries: dict[EntryState, int], canceled: bool, error: bool, expected: RestoreState
) -> None:
    assert rules.decide_state(entries, canceled=canceled, error=error) is expected


def test_paths_come_from_the_tree_and_a_drive_root_has_no_name() -> None:
    assert rules.path_of("b", TREE) == ["Projects", "2026"]
    assert rules.path_of("root", TREE) == []
    assert rules.path_of("unknown", TREE) == []
    assert rules.inside("b", "a", TREE)
    assert not rules.inside("a", "b", TREE)


def test_a_ring_of_parents_ends() -> None:
    ring = {"a": ("A", "b"), "b": ("B", "a")}
    assert len(rules.path_of("a", ring)) <= rules.MAX_DEPTH
    assert not rules.inside("a", "c", ring)


@given(st.text(max_size=300))
def test_a_target_folder_never_climbs(path: str) -> None:
    try:
        names = rules.folder_names(path)
    except ValueError:
        return
    assert names
    assert all(name.strip() and name not in {".", ".."} and "/" not in name for name in names)


@pytest.mark.parametrize("path", ["", "/", "a//b", "../a", "a/..", "a\\b", "a\nb", "x" * 201])
def test_impossible_folders_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="folder name"):
        rules.folder_names(path)


def test_target_paths() -> None:
    below = Target(place="folder", folder=["Restored 2026-03-01"], object_id="o", source_id="u")
    assert rules.target_path(below, ["Inbox"]) == ["Restored 2026-03-01", "Inbox"]
    same = Target(place="original", object_id="o", source_id="u")
    assert rules.target_path(same, ["Inbox"]) == ["Inbox"]
    assert rules.default_folder(NOW) == ["Restored 2026-03-01"]


def test_m36_after_a_crash_the_target_is_searched_first() -> None:
    assert rules.collision_after_crash(a_restore("folder", "copy")) == ("skip", [])
    assert rules.collision_after_crash(a_restore("folder", "skip")) == ("skip", [])
    assert rules.collision_after_crash(a_restore("original", "replace")) == ("replace", [])
    again, notes = rules.collision_after_crash(a_restore("original", "copy"))
    assert (again, notes) == ("copy", ["possibly_duplicated"])
