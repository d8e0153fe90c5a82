"""The manifest and its comparison with a token's roles (M37, M38)."""

from shared.microsoft365.permissions import MANIFEST, REASONS, compare, needed


def test_m38_a_workload_adds_only_its_row() -> None:
    added = needed(["mailbox", "drive"]) - needed(["mailbox"])
    assert added == MANIFEST["reader"]["drive"]


def test_healthy_missing_excess() -> None:
    need = needed(["mailbox"])
    assert compare(["mailbox"], need).state == "healthy"
    less = compare(["mailbox", "drive"], need)
    assert (less.state, less.degraded) == ("missing", {"drive"})
    assert less.missing == {"Files.Read.All", "Sites.Read.All"}
    more = compare(["mailbox"], [*need, "Directory.ReadWrite.All"])
    assert (more.state, more.excess) == ("excess", {"Directory.ReadWrite.All"})


def test_every_permission_has_a_reason() -> None:
    asked = {role for rows in MANIFEST.values() for row in rows.values() for role in row}
    assert asked == REASONS.keys()
