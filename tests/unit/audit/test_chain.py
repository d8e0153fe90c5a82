"""The chain names every line that was edited, removed, reordered or inserted."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audit import chain
from shared.audit.chain import GENESIS, Kind, Mark
from shared.audit.model import Actor, Entry, Target, read, seal, state_hash

AT = datetime(2026, 1, 31, 23, 59, 59, 999_000, tzinfo=UTC)
ANCHOR = (0, GENESIS)


def make_chain(length: int, partner: str = "p1") -> list[bytes]:
    lines, previous = [], GENESIS
    for seq in range(1, length + 1):
        entry = Entry(
            actor=Actor(kind="user", subject=f"tid~{seq}", name="Ü"),
            action="role.delete",
            target=Target(kind="role", id=f"r{seq}"),
            details={"note": "x"},
        )
        at = AT + timedelta(seconds=seq)
        lines.append(seal(entry, partner_id=partner, seq=seq, at=at, previous=previous))
        previous = read(lines[-1]).hash
    return lines


CHAIN = make_chain(12)
LAST = Mark(12, read(CHAIN[-1]).hash, "the head")


def named(report: chain.Report) -> set[tuple[Kind, int | None, int | None]]:
    return {(found.kind, found.first, found.last) for found in report.findings}


def forge(line: bytes, **members: object) -> bytes:
    """The line with members changed and hashed anew, as somebody with the code would do it."""
    body = orjson.loads(line)
    del body["hash"]
    return chain.seal(body | members)


def edit(line: bytes) -> bytes:
    body = orjson.loads(line)
    return chain.canonical(body | {"action": "role.create"})


def test_an_untouched_chain_is_good() -> None:
    report = chain.verify(CHAIN, anchor=ANCHOR, marks=[LAST])
    assert report.ok
    assert (report.lines, report.first, report.last) == (12, 1, 12)
    assert report.last_hash == LAST.hash
    assert chain.verify(CHAIN[4:9]).ok
    assert chain.verify([], anchor=ANCHOR).ok


def test_a_line_reads_back_as_written() -> None:
    line = read(CHAIN[3])
    assert (line.seq, line.actor.subject, line.partner_id) == (4, "tid~4", "p1")
    assert line.at == AT + timedelta(seconds=4)
    assert line.previous == read(CHAIN[2]).hash


@given(st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12)))
def test_edited_and_removed_lines_are_named_exactly(edited: set[int], removed: set[int]) -> None:
    edited -= removed
    lines = [
        edit(line) if seq in edited else line
        for seq, line in enumerate(CHAIN, 1)
        if seq not in removed
    ]
    report = chain.verify(lines, anchor=ANCHOR, marks=[LAST])
    told: dict[Kind, set[int]] = {Kind.EDITED: set(), Kind.REMOVED: set()}
    for found in report.findings:
        assert found.first is not None
        assert found.last is not None
        told[found.kind] |= set(range(found.first, found.last + 1))
    assert told == {Kind.EDITED: edited, Kind.REMOVED: removed}


@given(st.data())
def test_any_changed_byte_is_found_and_named(data: st.DataObject) -> None:
    seq = data.draw(st.integers(1, 12))
    line = bytearray(CHAIN[seq - 1])
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    report = chain.verify([*CHAIN[: seq - 1], bytes(line), *CHAIN[seq:]], anchor=ANCHOR)
    assert any(
        found.position == seq and found.kind in {Kind.EDITED, Kind.UNREADABLE}
        for found in report.findings
    )


@given(st.integers(0, 11), st.integers(0, 11))
def test_a_moved_line_is_named(source: int, target: int) -> None:
    lines = list(CHAIN)
    lines.insert(target, lines.pop(source))
    report = chain.verify(lines, anchor=ANCHOR, marks=[LAST])
    if source == target:
        assert report.ok
    elif abs(source - target) == 1:  # who moved past whom cannot be told
        assert len(report.findings) == 1
        assert report.findings[0].first in {source + 1, target + 1}
    else:
        assert named(report) == {(Kind.REORDERED, source + 1, source + 1)}


@given(st.permutations(range(12)))
@settings(max_examples=50)
def test_any_other_order_is_found(order: list[int]) -> None:
    report = chain.verify([CHAIN[at] for at in order], anchor=ANCHOR)
    assert report.ok == (order == list(range(12)))
    assert {found.kind for found in report.findings} <= {Kind.REORDERED}


@given(st.integers(1, 12))
def test_a_line_hashed_anew_is_named(seq: int) -> None:
    lines = list(CHAIN)
    lines[seq - 1] = forge(lines[seq - 1], action="nothing.happened")
    report = chain.verify(lines, anchor=ANCHOR, marks=[LAST])
    assert any(
        found.kind is Kind.EDITED and found.first <= seq <= found.last  # type: ignore[operator]
        for found in report.findings
    )
    if seq < 12:
        assert (Kind.EDITED, seq, seq) in named(report)


def test_a_tail_hashed_anew_is_told_by_the_checkpoints() -> None:
    lines, previous = CHAIN[:6], read(CHAIN[5]).hash
    for line in CHAIN[6:]:
        lines.append(forge(line, previous=previous, action="nothing.happened"))
        previous = read(lines[-1]).hash
    assert chain.verify(lines, anchor=ANCHOR).ok  # the chain alone cannot know
    marks = [Mark(seq, read(CHAIN[seq - 1]).hash, "day") for seq in (3, 6, 9)]
    assert named(chain.verify(lines, anchor=ANCHOR, marks=marks)) == {(Kind.EDITED, 7, 9)}


def test_lines_cut_off_at_either_end_are_named() -> None:
    report = chain.verify(CHAIN[2:-3], anchor=ANCHOR, marks=[LAST])
    assert named(report) == {(Kind.REMOVED, 1, 2), (Kind.REMOVED, 10, 12)}
    assert named(chain.verify([], anchor=ANCHOR, marks=[LAST])) == {(Kind.REMOVED, 1, 12)}


def test_an_inserted_line_is_named_and_the_true_one_is_kept() -> None:
    forged = forge(CHAIN[4], action="nothing.happened")
    for place in (4, 5):
        lines = [*CHAIN[:place], forged, *CHAIN[place:]]
        report = chain.verify(lines, anchor=ANCHOR, marks=[LAST])
        assert [(found.kind, found.position) for found in report.findings] == [
            (Kind.INSERTED, place + 1)
        ]


def test_lines_of_another_partner_are_named() -> None:
    foreign = make_chain(3, "p2")[2]
    report = chain.verify([*CHAIN, foreign], anchor=ANCHOR)
    assert [(found.kind, found.position) for found in report.findings] == [(Kind.INSERTED, 13)]


def test_a_forged_number_does_not_flood_the_report() -> None:
    lines = [*CHAIN[:5], forge(CHAIN[5], seq=10**18), *CHAIN[6:]]
    assert len(chain.verify(lines, anchor=ANCHOR, marks=[LAST]).findings) < 6


def test_a_doubled_member_hides_nothing() -> None:
    spelled = CHAIN[3].replace(b'"action":', b'"action":"customer.read","action":', 1)
    assert orjson.loads(spelled) == orjson.loads(CHAIN[3])
    report = chain.verify([*CHAIN[:3], spelled, *CHAIN[4:]], anchor=ANCHOR)
    assert named(report) == {(Kind.EDITED, 4, 4)}


@given(st.lists(st.binary()))
def test_garbage_is_named_and_never_raises(lines: list[bytes]) -> None:
    report = chain.verify(lines)
    assert len(report.findings) >= len(lines)


@pytest.mark.parametrize("text", ["x" * 10_000, "\ud800", "\x00"])
def test_no_text_from_outside_can_stop_a_line(text: str) -> None:
    entry = Entry(
        actor=Actor(kind="user", subject="s", name=text),
        action="a.b",
        target=Target(kind=text, id=text),
        details={text: text},
    )
    line = seal(entry, partner_id="p1", seq=1, at=AT, previous=GENESIS)
    assert chain.verify([line], anchor=ANCHOR).ok
    assert len(line) < 5_000


def test_the_hash_of_a_state_does_not_depend_on_member_order() -> None:
    assert state_hash({"a": 1, "b": [2]}) == state_hash({"b": [2], "a": 1}) != state_hash({"a": 1})
    assert state_hash(None) is None
