"""Proofs of inclusion and absence, made from a copy, checked with SHA-256 alone (section 11)."""

from pathlib import Path
from typing import Any, NamedTuple

from holdfast_vault.chain import read_documents, receipt_of
from holdfast_vault.findings import Broken, CannotCheck, checking
from holdfast_vault.snapshot import Entry, Snapshot
from shared.vault.format import proofs, rows, tree
from shared.vault.format.base import bucket_of
from shared.vault.format.content import ContentHash
from shared.vault.format.primitives import b64u, hex16


class Prover:
    """Makes proofs of one snapshot; roots are read once."""

    def __init__(self, snap: Snapshot) -> None:
        self._snap = snap
        self._roots = snap.bucket_roots()
        if tree.join(self._roots) != snap.root:
            raise Broken("V41", snap.name, "bucket roots do not join to the root")
        self._about = {
            "repo": snap.record.repo, "oid": snap.oid, "n": snap.n,
            "record_hash": snap.record_hash, "root": snap.head["root"],
        }  # fmt: skip
        self._known: _Bucket | None = None

    def prove(self, source_id: str, *, whole: bool = True) -> dict[str, Any]:
        """Inclusion or absence; `whole` discloses the item's metadata."""
        key = rows.key_of(hex16(self._snap.oid), source_id)
        bucket, above = tree.bucket_path(self._roots, key)
        if bucket is None:
            return proofs.absence(self._about, source_id, None, [])
        found = self._bucket(bucket)
        if key in found.held:
            return self.inclusion(found.held[key], whole=whole)
        at, below = tree.leaf_path(found.pairs, key)
        entry = found.held[at]
        body = rows.body_of(self._snap.keys.leaf, at, entry.core, entry.item)
        path = [*reversed(below), *reversed(above)]
        return proofs.absence(self._about, source_id, (at, body), path)

    def inclusion(self, entry: Entry, *, whole: bool = True) -> dict[str, Any]:
        """Of a row of this snapshot; cheap when rows come in key order."""
        found = self._bucket(bucket_of(entry.key, self._snap.bits))
        said = proofs.disclose(self._snap.keys.leaf, entry.key, entry.item, whole=whole)
        return proofs.inclusion(self._about, said, found.below[entry.key] + found.above)

    def _bucket(self, bucket: int) -> "_Bucket":
        if self._known is None or self._known.number != bucket:
            held, k_leaf = self._snap.entries(bucket), self._snap.keys.leaf
            with checking("V41", self._snap.name):
                pairs = [(k, rows.leaf_of(k_leaf, k, held[k].core, held[k].item))
                         for k in sorted(held)]  # fmt: skip
            if tree.root(pairs) != self._roots[bucket]:
                what = f"rows of bucket {bucket} do not lead to its root"
                raise Broken("V41", self._snap.name, what)
            above = tree.bucket_path(self._roots, pairs[0][0])[1][::-1] if pairs else []
            self._known = _Bucket(bucket, held, pairs, tree.leaf_paths(pairs), above)
        return self._known


class _Bucket(NamedTuple):
    """A verified bucket with the paths of its leaves: `below` inside it, `above` to the root."""

    number: int
    held: dict[bytes, Entry]
    pairs: list[tree.Pair]
    below: dict[bytes, tree.Path]
    above: tree.Path


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
