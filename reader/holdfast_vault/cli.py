"""The commands of holdfast-vault; exit 0 all holds, 1 a rule is broken, 2 could not check (V71)."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from holdfast_vault.chain import check_chain, check_receipts, check_session, read_documents
from holdfast_vault.extract import extract
from holdfast_vault.findings import Broken, CannotCheck, Finding
from holdfast_vault.proving import Prover, check_proof
from holdfast_vault.snapshot import Snapshot
from holdfast_vault.source import Directory
from holdfast_vault.vault import Vault, numbers, objects, recovery_key
from holdfast_vault.verify import Verifier, check_listing

FINE, BROKEN, NOT_CHECKED = 0, 1, 2
WORKLOADS = ("mailbox", "drive", "site", "team")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except Broken as broken:
        return _verdict([broken.finding])
    except CannotCheck as why:
        _error(f"holdfast-vault: could not check: {why}")
        return NOT_CHECKED
    except OSError as wrong:
        _error(f"holdfast-vault: could not check: {wrong.filename or ''} {wrong.strerror}")
        return NOT_CHECKED


def _verdict(findings: list[Finding], fine: str = "") -> int:
    for finding in findings:
        _say(f"BROKEN {finding}")
    if findings:
        _say(f"{len(findings)} broken")
        return BROKEN
    _say(fine)
    return FINE


def _say(text: str) -> None:
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


def _error(text: str) -> None:
    sys.stderr.write(text.encode("utf-8", "backslashreplace").decode() + "\n")


def _open(given: argparse.Namespace) -> Vault:
    password = os.environ.get("HOLDFAST_RECOVERY_PASSWORD")
    return Vault(Directory(given.dir), recovery_key(given.key, password))


def _chain(given: argparse.Namespace) -> int:
    hashes, findings = check_chain(Directory(given.dir))
    receipts = read_documents(given.receipts) if given.receipts else []
    checked, wrong = check_receipts(hashes, receipts)
    if given.session_root:
        if not receipts:
            raise CannotCheck("--session-root needs --receipts with all receipts of the session")
        try:
            check_session(receipts, given.session_root)
        except Broken as broken:
            wrong.append(broken.finding)
    text = f"ok: {len(hashes)} records of {len({oid for oid, _ in hashes})} objects"
    return _verdict(findings + wrong, f"{text}, {checked} of {len(receipts)} receipts compared")


def _verify(given: argparse.Namespace) -> int:
    vault = _open(given)
    wanted = _object(vault, given.object) if given.object else None
    verifier = Verifier(vault, deep=given.deep, say=_say)
    verifier.run(wanted)
    findings = verifier.findings
    if given.listing:
        findings += check_listing(vault, given.listing)
    counts = verifier.counts
    text = f"ok: {counts['objects']} objects, {counts['snapshots']} snapshots"
    text += f", {counts['items']} rows in them"
    if given.deep:
        text += f", {counts['packs']} packs with {counts['bytes']} bytes of content decrypted"
    return _verdict(findings, text)


def _list(given: argparse.Namespace) -> int:
    vault = _open(given)
    findings: list[Finding] = []
    for oid in objects(vault.source):
        try:
            _describe(vault, oid, as_json=given.json)
        except Broken as broken:
            findings.append(broken.finding)
    return _verdict(findings, f"{len(objects(vault.source))} objects")


def _describe(vault: Vault, oid: str, *, as_json: bool) -> None:
    found = [Snapshot(vault, oid, n) for n in reversed(numbers(vault.source, oid))]
    erased = vault.object(oid) is None
    private: dict[str, Any] = {} if erased else found[0].private
    said = {k: private.get(k, "") for k in ("display_name", "address", "source_id")}
    points = [
        {"n": one.n, **{k: one.head[k] for k in ("ended", "expires", "status", "items", "root")}}
        for one in found
    ]
    if as_json:
        workload = found[0].head["workload"]
        _say(json.dumps({"oid": oid, "workload": workload, "erased": erased, **said,
                         "snapshots": points}))  # fmt: skip
        return
    who = (
        "(erased)" if erased else f"{said['display_name']} <{said['address'] or said['source_id']}>"
    )
    _say(f"{oid}  {found[0].head['workload']}  {who}")
    for one in points:
        until = one["expires"] or "never"
        _say(f"  {one['n']:>5}  {one['ended']}  {one['status']:<8}  {one['items']:>8} items"
             f"  expires {until}")  # fmt: skip


def _object(vault: Vault, wanted: str) -> str:
    """An object by oid, start of oid, source id, address or display name.

    `mailbox:` or another workload before it chooses between objects that share an address.
    """
    found = [oid for oid in objects(vault.source) if oid.startswith(wanted) and len(wanted) >= 4]
    said = found
    if not found:
        workload, colon, rest = wanted.partition(":")
        kind, name = (workload, rest) if colon and workload in WORKLOADS else (None, wanted)
        matching = list(_named(vault, kind, name))
        found = [oid for oid, _ in matching]
        said = [f"{one}:{name} is {oid[:8]}" for oid, one in matching]
    if len(found) > 1:
        raise CannotCheck(f"{len(found)} objects match {wanted!r}: {', '.join(said)}")
    if not found:
        raise CannotCheck(f"no object matches {wanted!r}; `list` shows them all")
    return found[0]


def _named(vault: Vault, kind: str | None, name: str) -> Iterator[tuple[str, str]]:
    """(oid, workload) of the objects that are called so."""
    for oid in objects(vault.source):
        if vault.object(oid) is None:
            continue
        newest = Snapshot(vault, oid, numbers(vault.source, oid)[-1])
        workload = str(newest.head["workload"])
        names = [str(newest.private[one]) for one in ("source_id", "address", "display_name")]
        if kind in {None, workload} and name.casefold() in map(str.casefold, names):
            yield oid, workload


def _snapshot(given: argparse.Namespace) -> Snapshot:
    """By number, `latest`, or the newest that ended at or before a time."""
    vault = _open(given)
    oid = _object(vault, given.object)
    if vault.object(oid) is None:
        raise CannotCheck(f"the key of {oid} is gone: the object was erased")
    found = numbers(vault.source, oid)
    if given.at == "latest":
        return Snapshot(vault, oid, found[-1])
    if given.at.isdecimal():
        if int(given.at) not in found:
            raise CannotCheck(f"the copy has no snapshot {given.at} of this object")
        return Snapshot(vault, oid, int(given.at))
    try:
        at = datetime.fromisoformat(given.at).astimezone()
    except ValueError as wrong:
        raise CannotCheck("--at is a number, `latest`, or a time like 2026-03-01T02:00Z") from wrong
    for n in reversed(found):
        snap = Snapshot(vault, oid, n)
        if datetime.fromisoformat(snap.head["ended"]) <= at:
            return snap
    raise CannotCheck(f"no snapshot of this object had ended by {given.at}")


def _extract(given: argparse.Namespace) -> int:
    only = set(given.item) if given.item else None
    files, size, findings = extract(_snapshot(given), given.to, only=only, say=_say)
    return _verdict(findings, f"ok: {files} files, {size} bytes, proofs.jsonl, receipt.json")


def _prove(given: argparse.Namespace) -> int:
    proof = Prover(_snapshot(given)).prove(given.item, whole=not given.hide_metadata)
    _say(json.dumps(proof))
    return FINE


def _check_proof(given: argparse.Namespace) -> int:
    return _verdict([], f"ok: {check_proof(given.proof, given.file, given.receipt)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="holdfast-vault", description=__doc__,
        epilog="A password of the recovery key is taken from HOLDFAST_RECOVERY_PASSWORD.",
    )  # fmt: skip
    verbs = parser.add_subparsers(required=True, metavar="command")

    def verb(name: str, run: Any, text: str, *, key: bool, one: bool = False) -> Any:
        made = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        made.add_argument("dir", type=Path, help="copy of the vault container")
        if key:
            made.add_argument("--key", type=Path, required=True, help="recovery key (PEM)")
        if one:
            made.add_argument(
                "--object", required=True, help="id, address or name, or mailbox:address"
            )
            made.add_argument("--at", default="latest", help="number, latest, or a time")
        return made

    verb("list", _list, "objects and their restore points", key=True).add_argument(
        "--json", action="store_true", help="one JSON document a line"
    )
    chain = verb("chain", _chain, "records, chain and names, without any key", key=False)
    chain.add_argument("--receipts", type=Path, help="receipts: JSON, or one a line")
    chain.add_argument("--session-root", help="hex root over all these receipts")
    verify = verb("verify", _verify, "every rule the format has", key=True)
    verify.add_argument("--deep", action="store_true", help="decrypt every chunk as well")
    verify.add_argument("--object", help="only this object")
    verify.add_argument("--listing", type=Path, help="property listing, to check the locks")
    take = verb("extract", _extract, "files with their proofs", key=True, one=True)
    take.add_argument("--to", type=Path, required=True, help="a new or empty folder")
    take.add_argument("--item", action="append", help="source id; may be repeated")
    prove = verb("prove", _prove, "proof that an item was, or was not, there", key=True, one=True)
    prove.add_argument("--item", required=True, help="source id")
    prove.add_argument("--hide-metadata", action="store_true", help="disclose only its hash")
    check = verbs.add_parser("check-proof", help="check a proof; needs no key and no vault")
    check.set_defaults(run=_check_proof)
    check.add_argument("proof", type=Path)
    check.add_argument("file", type=Path, nargs="?", help="the content it speaks of")
    check.add_argument("receipt", type=Path, nargs="?", help="a receipt you hold")
    return parser
