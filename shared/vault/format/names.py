"""Names of blobs (V6) and of objects; all are keyed hashes, ciphertext hashes or numbers (V4)."""

import hmac
import os

LAST = 9_999_999_999

REPOSITORY = "repo/0001.json"
REPOSITORIES = "repo/"


def oid(k_oid: bytes, workload: str, source_id: str, generation: int = 0) -> str:
    """32 hex digits naming a protected object; depends on the exact bytes of both ids (V5)."""
    text = workload.encode() + b"\0" + text_bytes(source_id)
    if generation:
        text += b"\0" + generation.to_bytes(4)
    return hmac.digest(k_oid, text, "sha256").hex()[:32]


def text_bytes(text: str) -> bytes:
    """UTF-8, and for the lone surrogates JSON may carry, their three-byte form."""
    return text.encode("utf-8", "surrogatepass")


def new_repository_id() -> str:
    """A random repository id."""
    return os.urandom(16).hex()


def repository_file(revision: int) -> str:
    """The repository file; the highest number counts."""
    return f"{REPOSITORIES}{revision:04}.json"


def tenant_key(epoch: int, revision: int = 1) -> str:
    """Wrapped tenant master key."""
    return f"keys/t/{epoch:04}-{revision:04}.json"


def object_key(oid_: str, revision: int = 1) -> str:
    """Wrapped object key."""
    return f"keys/o/{oid_}/{revision:04}.json"


def records(oid_: str) -> str:
    """Prefix of an object's snapshot records; listed newest first."""
    return f"o/{oid_}/s/"


def record(oid_: str, n: int) -> str:
    """Snapshot record number `n`: the commit point (V31)."""
    return f"{records(oid_)}{LAST - n:010}.hfs"


def record_number(name: str) -> int:
    """The inverse of `record`."""
    return LAST - int(name.rsplit("/", 1)[1].removesuffix(".hfs"))


def base(oid_: str, digest: bytes | str) -> str:
    """A part of a base segment, named by the hash of its bytes."""
    return f"o/{oid_}/b/{_hex(digest)}.hfb"


def pack(oid_: str, digest: bytes | str) -> str:
    """A pack of dedup domain `object`, named by the hash of its bytes (V19)."""
    return f"o/{oid_}/p/{_hex(digest)}.hfp"


def run(oid_: str, run_id: str) -> str:
    """Prefix of a run's checkpoints, in the control container."""
    return f"wip/{oid_}/{run_id}/"


def checkpoint(oid_: str, run_id: str, number: int) -> str:
    """One slice's checkpoint, in the control container."""
    return f"{run(oid_, run_id)}{number:06}.hfw"


def _hex(digest: bytes | str) -> str:
    return digest if isinstance(digest, str) else digest.hex()
