"""What a removal removes in an object of several trees: the container is in the row's id."""

from types import SimpleNamespace

from shared.vault.rules import needs_folders, removal_of


def row(source_id: str, kind: str, parent: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(i=source_id, k=kind, p=parent)


def test_m13_absence_counts_in_the_container_that_the_id_names() -> None:
    removal = removal_of("site", {"list:a": "full", "library:b": "delta"}, True, frozenset())
    assert needs_folders(removal)
    assert removal.absent(row("list:a/1", "listitem", "settings/list:a"))
    assert not removal.absent(row("library:b/1", "file", "library:b/0"))
    assert not removal.absent(row("settings/list:a", "list"))
    assert not removal_of("site", {"list:a": "full"}, False, frozenset()).full


def test_m15_a_channel_that_is_gone_takes_messages_and_replies_along() -> None:
    removal = removal_of("team", {}, True, frozenset({"settings/channel:x"}))
    assert removal.buries(row("channel:x/1", "message", "settings/channel:x"))
    assert removal.buries(row("channel:x/1/2", "reply", "channel:x/1"))
    assert not removal.buries(row("channel:y/1/2", "reply", "channel:y/1"))
    drive = removal_of("drive", {}, True, frozenset({"settings/channel:x"}))
    assert not drive.buries(row("channel:x/1/2", "reply", "channel:x/1"))
