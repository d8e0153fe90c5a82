"""The hash chain of a partner's lines: sealing one, and finding every line that was touched.

A line is one JSON object in canonical form: members sorted, no white space, UTF-8. Its `hash` is
SHA-256 over a fixed prefix and the line without `hash`; its `previous` is the hash of the line
before. Text that is not exactly canonical counts as edited, so nothing can hide in spelling.
"""

import bisect
import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

GENESIS = "0" * 64
_PREFIX = b"holdfast-audit-1\n"


class Kind(StrEnum):
    """What was done to a line."""

    EDITED = "edited"
    REMOVED = "removed"
    REORDERED = "reordered"
    INSERTED = "inserted"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Finding:
    """One touched line, or a run of lines; `position` is the place in what was read, from 1."""

    kind: Kind
    first: int | None
    last: int | None
    position: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A trusted statement from elsewhere: the line `seq` has this hash."""

    seq: int
    hash: str
    source: str


@dataclass(slots=True)
class Report:
    """What a verification saw."""

    lines: int = 0
    first: int | None = None
    last: int | None = None
    last_hash: str | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was touched."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class _Link:
    position: int
    seq: int
    previous: str
    hash: str


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def hash_of(body: Mapping[str, Any]) -> str:
    """The hash of a line given without its `hash`."""
    return hashlib.sha256(_PREFIX + canonical(dict(body))).hexdigest()


def seal(body: Mapping[str, Any]) -> bytes:
    """The canonical line for a body that has `seq` and `previous`."""
    return canonical({**body, "hash": hash_of(body)})


def parsed(text: bytes) -> dict[str, Any] | None:
    """The JSON object of a line that has number and hashes, touched or not; None otherwise."""
    try:
        line = orjson.loads(text)
        canonical(line)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    if not isinstance(line, dict) or type(line.get("seq")) is not int:
        return None
    texts = isinstance(line.get("hash"), str) and isinstance(line.get("previous"), str)
    return line if texts else None


def verify(
    lines: Iterable[bytes],
    *,
    anchor: tuple[int, str] | None = None,
    marks: Sequence[Mark] = (),
) -> Report:
    """Check lines given in file order and name each one edited, removed, reordered or inserted.

    `anchor` is number and hash of the line before the first (`(0, GENESIS)` for a whole chain);
    without it the first line is taken as it is. `marks` catch what the chain alone cannot: lines
    cut off at the end, and a tail that was hashed anew.
    """
    report = Report()
    intact, edited = _read(lines, report)
    kept = _without_doubles(intact, report)
    report.findings += _moved(kept)
    kept.sort(key=lambda link: link.seq)
    report.findings += _gaps(kept, edited, anchor)
    report.findings += _broken_links(kept, anchor)
    report.findings += _against_marks(kept, edited, marks, anchor)
    seen = [link.seq for link in kept] + list(edited)
    report.first, report.last = min(seen, default=None), max(seen, default=None)
    report.last_hash = kept[-1].hash if kept else None
    return report


def _read(lines: Iterable[bytes], report: Report) -> tuple[list[_Link], set[int]]:
    intact: list[_Link] = []
    edited: set[int] = set()
    partner: object = None
    for position, text in enumerate(lines, 1):
        report.lines = position
        line = parsed(text)
        if line is None:
            found = Finding(Kind.UNREADABLE, None, None, position, "this is not a line")
            report.findings.append(found)
            continue
        seq = line["seq"]
        body = {name: value for name, value in line.items() if name != "hash"}
        if text != canonical(line) or hash_of(body) != line["hash"]:
            edited.add(seq)
            detail = "the content does not match its hash"
            report.findings.append(Finding(Kind.EDITED, seq, seq, position, detail))
            continue
        partner = partner or line.get("partnerId")
        if line.get("partnerId") != partner:
            detail = "the line belongs to another partner"
            report.findings.append(Finding(Kind.INSERTED, seq, seq, position, detail))
            continue
        intact.append(_Link(position, seq, line["previous"], line["hash"]))
    return intact, edited


def _without_doubles(intact: list[_Link], report: Report) -> list[_Link]:
    """One line per number: the one its neighbours vouch for. The others were inserted."""
    by_seq: dict[int, list[_Link]] = defaultdict(list)
    for link in intact:
        by_seq[link.seq].append(link)
    kept = []
    for seq, doubles in by_seq.items():
        if len(doubles) > 1:
            wanted = {after.previous for after in by_seq.get(seq + 1, [])}
            given = {before.hash for before in by_seq.get(seq - 1, [])}
            doubles.sort(key=lambda link: (link.hash not in wanted, link.previous not in given))
            detail = "another line has this number and fits the chain better or comes first"
            report.findings += [
                Finding(Kind.INSERTED, seq, seq, link.position, detail) for link in doubles[1:]
            ]
        kept.append(doubles[0])
    return kept


def _moved(kept: list[_Link]) -> list[Finding]:
    """The fewest lines whose removal leaves the rest ascending: those were moved."""
    in_file = sorted(kept, key=lambda link: link.position)
    ends: list[int] = []  # smallest last number of an ascending run of each length
    at: list[int] = []  # index of that last line
    before: list[int] = []
    for index, link in enumerate(in_file):
        length = bisect.bisect_left(ends, link.seq)
        before.append(at[length - 1] if length else -1)
        ends[length : length + 1] = [link.seq]
        at[length : length + 1] = [index]
    stays = set()
    index = at[-1] if at else -1
    while index >= 0:
        stays.add(index)
        index = before[index]
    return [
        Finding(Kind.REORDERED, link.seq, link.seq, link.position, "the line stands elsewhere")
        for index, link in enumerate(in_file)
        if index not in stays
    ]


def _gaps(kept: list[_Link], edited: set[int], anchor: tuple[int, str] | None) -> list[Finding]:
    numbers = [link.seq for link in kept]
    if anchor is not None:
        numbers.insert(0, anchor[0])
    return [
        gap
        for low, high in itertools.pairwise(numbers)
        for gap in _missing(low + 1, high - 1, edited, "no line has this number")
    ]


def _missing(first: int, last: int, edited: set[int], detail: str) -> list[Finding]:
    """The run of numbers cut by those an edited line stands for."""
    found = []
    for present in [*sorted(seq for seq in edited if first <= seq <= last), last + 1]:
        if present > first:
            found.append(Finding(Kind.REMOVED, first, present - 1, None, detail))
        first = present + 1
    return found


def _broken_links(kept: list[_Link], anchor: tuple[int, str] | None) -> list[Finding]:
    found = []
    if anchor and kept and kept[0].seq == anchor[0] + 1 and kept[0].previous != anchor[1]:
        first = kept[0]
        detail = "the first line does not continue what came before"
        found.append(Finding(Kind.EDITED, first.seq, first.seq, first.position, detail))
    for link, after in itertools.pairwise(kept):
        if after.seq == link.seq + 1 and after.previous != link.hash:
            detail = f"line {after.seq} recorded another hash of this line: it was hashed anew"
            found.append(Finding(Kind.EDITED, link.seq, link.seq, link.position, detail))
    return found


def _against_marks(
    kept: list[_Link], edited: set[int], marks: Sequence[Mark], anchor: tuple[int, str] | None
) -> list[Finding]:
    hashes = {link.seq: link.hash for link in kept}
    start = anchor[0] if anchor else 0
    last = max(hashes, default=start)
    good = (kept[0].seq if kept else start + 1) - 1
    found = []
    for mark in sorted(marks, key=lambda mark: mark.seq):
        if mark.seq > last:
            detail = f"{mark.source} counts lines up to {mark.seq}"
            found += _missing(last + 1, mark.seq, edited, detail)
            last = mark.seq
        elif mark.seq in hashes and hashes[mark.seq] != mark.hash:
            detail = f"{mark.source} has another hash for line {mark.seq}: lines were rewritten"
            found.append(Finding(Kind.EDITED, good + 1, mark.seq, None, detail))
        elif mark.seq in hashes:
            good = mark.seq
    return found
