"""Rows of drives, change detection by hash, and what hangs below a removed folder (M15)."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shared.microsoft365.drive_rows import DriveEntry, content_changed, item_change, orphans

FILE: dict[str, Any] = {
    "id": "01A", "name": "a.txt", "size": 3, "eTag": '"{1},2"', "parentReference": {"id": "01R"},
    "file": {"mimeType": "text/plain", "hashes": {"quickXorHash": "q="}},
    "fileSystemInfo": {
        "createdDateTime": "2024-01-01T00:00:00Z", "lastModifiedDateTime": "2024-01-02T00:00:00Z",
    },
    "lastModifiedBy": {"user": {"email": "ada@x"}},
    "@microsoft.graph.downloadUrl": "https://secret/token",
}  # fmt: skip


def _change(packages: frozenset[str] = frozenset(), **changes: Any) -> Any:
    entry = msgspec.convert({**FILE, **changes}, DriveEntry)
    return item_change("b!d", entry, packages)


def test_row_of_a_file_holds_no_url() -> None:
    change = _change()
    assert change.item == {
        "i": "01A", "k": "file", "p": "01R", "n": "a.txt", "w": "ada@x", "t": 1704153600,
        "v": '"{1},2"', "x": 0, "c": "file",
        "m": {
            "created": "2024-01-01T00:00:00Z", "modified": "2024-01-02T00:00:00Z",
            "hash": "q=", "size": 3, "type": "text/plain",
        },
    }  # fmt: skip
    assert change.fetch["url"] == "https://secret/token"


def test_a_renamed_file_is_not_read_again() -> None:
    held = {**_change().item, "d": "x"}
    assert not content_changed(held, _change(name="b.txt", eTag="3").item)
    assert content_changed(held, _change(size=4).item)
    changed = {"mimeType": "text/plain", "hashes": {"quickXorHash": "other"}}
    assert content_changed(held, _change(file=changed).item)


def test_a_missing_hash_means_read_unless_the_version_is_held() -> None:
    bare = {"mimeType": "text/plain"}
    held = {**_change(file=bare).item, "d": "x"}
    assert not content_changed(held, _change(file=bare).item)
    assert content_changed(held, _change(file=bare, eTag="9").item)


def test_onenote_is_known_by_package_and_type() -> None:
    assert _change(frozenset({"01R"})).fetch["onenote"]
    assert _change(file={"mimeType": "application/msonenote"}).fetch["onenote"]
    assert not _change().fetch["onenote"]


def test_root_has_no_parent() -> None:
    root = _change(root={}, file=None, folder={}, parentReference={"id": "other"}).item
    assert "p" not in root
    assert root["m"]["root"]


def test_m15_descendants_go_with_a_removed_folder_unless_they_moved() -> None:
    parents = {"a": "root", "b": "a", "c": "b", "moved": "root", "x": "ghost"}
    assert orphans(parents, {"a"}) == {"b", "c"}
    assert orphans(parents, set()) == set()


@given(
    st.dictionaries(st.integers(0, 12).map(str), st.integers(0, 12).map(str)),
    st.sets(st.integers(0, 12).map(str)),
)
def test_orphans_agree_with_walking_up(parents: dict[str, str], removed: set[str]) -> None:
    def lost(item: str) -> bool:
        seen = set()
        at: str | None = parents.get(item)
        while at is not None and at not in seen:
            if at in removed:
                return True
            seen.add(at)
            at = parents.get(at)
        return False

    assert orphans(parents, removed) == {i for i in parents if i not in removed and lost(i)}
