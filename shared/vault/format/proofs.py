"""Proofs as documents: built from a snapshot, checked with SHA-256 alone (section 12.3)."""

from typing import Any

from shared.vault.format import tree
from shared.vault.format.content import content_hash
from shared.vault.format.errors import Damaged
from shared.vault.format.names import text_bytes
from shared.vault.format.primitives import b64u, hex16, mac, unb64u
from shared.vault.format.rows import NO_CONTENT, core


def disclose(k_leaf: bytes, key: bytes, item: bytes, *, whole: bool = True) -> dict[str, Any]:
    """What a proof says of an item: its JSON, or with `whole` false only the hash of it."""
    found = core(item)
    salt = mac(k_leaf, key + text_bytes(found.v))
    said: dict[str, Any] = {"i": found.i, "v": found.v, "s": found.s, "d": found.d}
    said["salt"] = b64u(salt)
    if whole:
        said["json"] = item.decode()
    else:
        said["meta"] = b64u(mac(salt, item))
    return said


def inclusion(about: dict[str, Any], item: dict[str, Any], path: tree.Path) -> dict[str, Any]:
    """`about`: repo, oid, n, record hash, root. `path` from the leaf to the root."""
    return {"proof": "inclusion", **about, "item": item, "path": _coded(path)}


def absence(
    about: dict[str, Any], source_id: str, other: tuple[bytes, bytes] | None, path: tree.Path
) -> dict[str, Any]:
    """`other` is (key, body) of the leaf where the search ends; None for an empty snapshot."""
    found: dict[str, Any] = {"proof": "absence", **about, "i": source_id}
    found["other"] = None if other is None else {"key": other[0].hex(), "body": other[1].hex()}
    found["path"] = _coded(path)
    return found


def proof_holds(proof: dict[str, Any]) -> bool:
    """Whether the proof leads to its root; any altered part makes it False (V44)."""
    try:
        root, path = bytes.fromhex(proof["root"]), _path(proof["path"])
        if proof["proof"] == "inclusion":
            item = proof["item"]
            key = tree.item_key(hex16(proof["oid"]), text_bytes(item["i"]))
            return tree.included(root, key, _body(item), path)
        if proof["proof"] != "absence":
            return False
        key = tree.item_key(hex16(proof["oid"]), text_bytes(proof["i"]))
        if proof["other"] is None:
            return root == tree.EMPTY_ROOT
        other = bytes.fromhex(proof["other"]["key"]), bytes.fromhex(proof["other"]["body"])
        return tree.absent(root, key, *other, path)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, Damaged):
        return False


def content_matches(proof: dict[str, Any], data: bytes) -> bool:
    """Whether these bytes are the content an inclusion proof speaks of."""
    item = proof.get("item", {})
    return bool(item.get("s") == len(data) and item.get("d") == b64u(content_hash(data)))


def _body(item: dict[str, Any]) -> bytes:
    salt = unb64u(item["salt"])
    digest = NO_CONTENT if item["d"] is None else unb64u(item["d"])
    if "json" in item:
        raw = item["json"].encode()
        found = core(raw)
        if (found.i, found.v, found.s, found.d) != (item["i"], item["v"], item["s"], item["d"]):
            return b""
        meta = mac(salt, raw)
    else:
        meta = unb64u(item["meta"])
    return tree.open_body(salt, text_bytes(item["v"]), item["s"], digest, meta)


def _coded(path: tree.Path) -> list[list[Any]]:
    return [[depth, sibling.hex()] for depth, sibling in path]


def _path(coded: list[list[Any]]) -> tree.Path:
    return [(int(depth), bytes.fromhex(sibling)) for depth, sibling in coded]
