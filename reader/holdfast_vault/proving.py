"""Proofs of inclusion and absence, made from a copy, checked with SHA-256 alone (section 11)."""

from pathlib import Path
from typing import Any

from holdfast_vault.chain import read_documents, receipt_of
from holdfast_vault.findings import Broken, CannotCheck, checking
from holdfast_vault.snapshot import Entry, Snapshot
from shared.vault.format import proofs, rows, tree
from shared.vault.format.content import ContentHash
from shared.vault.format.primitives import b64u, hex16


class Prover:
    """Makes proofs of one snapshot; roots are read once."""

    def __init__(self, snap: Snapshot) -> None:
        self._snap = snap
        self._roots = snap.bucket_roots()
        if tree.join(self._roots) != snap.root:
            raise Broken("V41", snap.name, "bucket roots do not join to the root")
        self._pairs: tuple[int, dict[bytes, Entry], list[tree.Pair]] | None = None

    def prove(self, source_id: str, *, whole: bool = True) -> dict[str, Any]:
        """Inclusion or absence; `whole` discloses the item's metadata."""
        snap = self._snap
        about = {
            "repo": snap.record.repo, "oid": snap.oid, "n": snap.n,
            "record_hash": snap.record_hash, "root": snap.head["root"],
        }  # fmt: skip
        key = rows.key_of(hex16(snap.oid), source_id)
        bucket, path = tree.bucket_path(self._roots, key)
        if bucket is None:
            return proofs.absence(about, source_id, None, [])
        held, pairs = self._bucket(bucket)
        at, below = tree.leaf_path(pairs, key)
        upward = [*reversed(below), *reversed(path)]
        entry = held[at]
        if at == key:
            said = proofs.disclose(snap.keys.leaf, key, entry.item, whole=whole)
            return proofs.inclusion(about, said, upward)
        body = rows.body_of(snap.keys.leaf, at, entry.core, entry.item)
        return proofs.absence(about, source_id, (at, body), upward)

    def _bucket(self, bucket: int) -> tuple[dict[bytes, Entry], list[tree.Pair]]:
        if self._pairs is None or self._pairs[0] != bucket:
            held, k_leaf = self._snap.entries(bucket), self._snap.keys.leaf
            with checking("V41", self._snap.name):
                pairs = [(k, rows.leaf_of(k_leaf, k, held[k].core, held[k].item))
                         for k in sorted(held)]  # fmt: skip
            if tree.root(pairs) != self._roots[bucket]:
                what = f"rows of bucket {bucket} do not lead to its root"
                raise Broken("V41", self._snap.name, what)
            self._pairs = bucket, held, pairs
        return self._pairs[1], self._pairs[2]


def check_proof(proof_path: Path, content: Path | None, receipt_path: Path | None) -> str:
    """What the proof shows; `Broken` when proof, content or receipt do not fit together (V44)."""
    documents = read_documents(proof_path)
    if len(documents) != 1:
        raise CannotCheck(f"{proof_path} holds {len(documents)} proofs, expected one")
    proof = documents[0]
    if proof.get("proof") not in ("inclusion", "absence"):
        raise CannotCheck(f"{proof_path} is not a proof")
    if not proofs.proof_holds(proof):
        raise Broken("V44", str(proof_path), "the proof does not lead to its root")
    inside = proof["proof"] == "inclusion"
    if content is not None:
        if not inside:
            raise CannotCheck("a proof of absence speaks of no content")
        _content(proof["item"], content)
    said = "was in" if inside else "was not in"
    item = proof["item"]["i"] if inside else proof["i"]
    text = f"item {item!r} {said} snapshot {proof.get('n')} of object {proof.get('oid')}"
    if receipt_path is None:
        return f"{text} with root {proof['root']}; compare the root with a receipt you hold"
    receipt = receipt_of(read_documents(receipt_path)[0])
    for name in ("repo", "oid", "n", "root", "record_hash"):
        if name in receipt and receipt[name] != proof.get(name):
            raise Broken("V44", str(receipt_path), f"the receipt speaks of another {name}")
    if "root" not in receipt:
        raise CannotCheck("the receipt names no root")
    return f"{text}, as the receipt says"


def _content(item: dict[str, Any], path: Path) -> None:
    running = ContentHash()
    try:
        with path.open("rb") as file:
            while part := file.read(8 << 20):
                running.update(part)
    except OSError as wrong:
        raise CannotCheck(f"{path} cannot be read: {wrong.strerror}") from wrong
    if item.get("s") != running.length or item.get("d") != b64u(running.digest()):
        raise Broken("V44", str(path), "the content is not what the proof speaks of")
