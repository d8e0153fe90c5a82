"""Checks that need no key: record hashes, chain, receipts, session root, names against bytes."""

import json
from collections.abc import Callable, Set
from functools import partial
from pathlib import Path
from typing import Any

from holdfast_vault.findings import Broken, CannotCheck, Finding, checking
from holdfast_vault.source import KNOWN_NAMES, Directory
from holdfast_vault.vault import numbers, objects, repository
from shared.vault.format import names
from shared.vault.format.errors import Damaged
from shared.vault.format.snapshot import NO_PREV, Record
from shared.vault.format.tree import session_root

_COMPARED = ("repo", "oid", "n", "root", "items", "record_hash")
Hashes = dict[tuple[str, int], dict[str, Any]]


def collect(findings: list[Finding], work: Callable[[], object]) -> None:
    """Do `work`; a broken rule is noted and the checks go on."""
    try:
        work()
    except Broken as broken:
        if broken.finding not in findings:
            findings.append(broken.finding)


def check_chain(source: Directory, *, blobs: bool = True) -> tuple[Hashes, list[Finding]]:
    """(clear header and hash of every record, what is wrong); `blobs`: hash packs and bases."""
    repo = str(repository(source)["repo"])
    findings = [
        Finding("V6", name, "a name that does not belong into a vault")
        for name in source.names()
        if not KNOWN_NAMES.fullmatch(name)
    ]
    hashes: Hashes = {}
    for oid in objects(source):
        collect(findings, lambda oid=oid: _object(source, repo, oid, hashes, findings))  # type: ignore[misc]
    if blobs:
        findings += check_names(source, set())
    return hashes, findings


def check_names(source: Directory, but: Set[str]) -> list[Finding]:
    """What is wrong with the names of packs and base parts, except of those in `but` (V19)."""
    findings: list[Finding] = []
    for name in source.names("o/"):
        if name.endswith((".hfp", ".hfb")) and name not in but:
            collect(findings, partial(check_name, source, name))
    return findings


def check_name(source: Directory, name: str) -> None:
    """A pack's or base part's name is the hash of its bytes (V19)."""
    if source.digest(name) != name.rsplit("/", 1)[1].split(".")[0]:
        raise Broken("V19", name, "the name is not the hash of the bytes")


def _object(
    source: Directory, repo: str, oid: str, hashes: Hashes, findings: list[Finding]
) -> None:
    before: tuple[int, str] | None = None
    for n in numbers(source, oid):
        name = names.record(oid, n)
        if before is not None and n != before[0] + 1:
            gap = names.record(oid, before[0] + 1)
            findings.append(Finding("V45", gap, f"the record before snapshot {n} is missing"))
            before = None
        found: dict[str, Any] = {}
        collect(findings, lambda name=name, n=n, found=found: found.update(  # type: ignore[misc]
            _header(source, repo, oid, n, name)))  # fmt: skip
        if not found:
            before = None
            continue
        if before is not None and found["prev"] != before[1]:
            broken = names.record(oid, before[0])
            what = f"record hash differs from `prev` of snapshot {n}: one of the two was changed"
            findings.append(Finding("V45", broken, what))
        if n == 1 and found["prev"] != NO_PREV:
            findings.append(Finding("V31", name, "the first record names a predecessor"))
        before = (n, found["record_hash"])
        hashes[oid, n] = found


def _header(source: Directory, repo: str, oid: str, n: int, name: str) -> dict[str, Any]:
    with checking("V31", name):
        data = source.read(name)
        record = Record(data)
        if (record.repo, record.oid, record.n) != (repo, oid, n):
            raise Damaged("the record of another repository, object or number")
        members = {k: record.header[k] for k in ("repo", "oid", "n", "prev", "root", "items")}
        return members | {"record_hash": record.record_hash(data).hex()}


def read_documents(path: Path) -> list[dict[str, Any]]:
    """JSON documents: one, a list, or one a line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise CannotCheck(f"{path} cannot be read") from wrong
    try:
        try:
            found = json.loads(text)
        except ValueError:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as wrong:
        raise CannotCheck(f"{path} is not JSON") from wrong
    documents = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in documents):
        raise CannotCheck(f"{path} holds no documents")
    return documents


def receipt_of(document: dict[str, Any]) -> dict[str, Any]:
    """A receipt as the vault writes it, whether it came from the vault or from the API."""
    found = dict(document)
    if "recordHash" in found:
        found["record_hash"] = found["recordHash"]
    if not {"oid", "n", "record_hash"} <= found.keys():
        raise CannotCheck("a receipt names no oid, n and record hash")
    return found


def check_receipts(hashes: Hashes, receipts: list[dict[str, Any]]) -> tuple[int, list[Finding]]:
    """(receipts whose record is in the copy, what differs). Expired records may be gone."""
    checked, findings = 0, []
    oldest: dict[str, int] = {}
    for oid, n in hashes:
        oldest[oid] = min(n, oldest.get(oid, n))
    for receipt in map(receipt_of, receipts):
        oid, n = receipt["oid"], receipt["n"]
        found = hashes.get((oid, n))
        if found is None:
            if n > oldest.get(oid, n):
                name = names.record(oid, n)
                findings.append(Finding("V45", name, "a receipt exists, the record does not"))
            continue
        checked += 1
        wrong = [k for k in _COMPARED if k in receipt and receipt[k] != found[k]]
        if wrong:
            what = f"differs from the receipt in {', '.join(wrong)}"
            findings.append(Finding("V45", names.record(oid, n), what))
    return checked, findings


def check_session(receipts: list[dict[str, Any]], root: str) -> None:
    """The session root over all receipts of one session (section 11)."""
    ordered = sorted(map(receipt_of, receipts), key=lambda one: (one["oid"], one["n"]))
    try:
        found = session_root([bytes.fromhex(one["record_hash"]) for one in ordered]).hex()
    except (ValueError, TypeError) as wrong:
        raise CannotCheck("a receipt whose record hash is not hex") from wrong
    if found != root.lower():
        raise Broken("V45", "session root", f"the receipts lead to {found}")
