"""The repository file: what kind of vault this is (section 4), and what a reader must know (V2)."""

import json
from datetime import datetime
from typing import Any

from shared.vault.format.errors import Damaged, UnknownFormat
from shared.vault.format.keys import load

FORMAT = 1
KNOWN_FEATURES: frozenset[str] = frozenset()


def build(
    *,
    repo: str,
    tenant: str,
    created: datetime,
    chunker: dict[str, Any],
    recovery: str,
    lock_mode: str = "none",
    key_lock: str = "rolling",
) -> bytes:
    """The file; `recovery` is `customer` or `sealed` (V7), `lock_mode` `full` or `none` (V59)."""
    document = {
        "format": FORMAT,
        "repo": repo,
        "tenant": tenant,
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "features": {"required": [], "optional": []},
        "lock_mode": lock_mode,
        "key_lock": key_lock,
        "recovery": recovery,
        "chunker": chunker,
        "hash": "sha256",
        "aead": "aes-256-gcm",
    }
    return json.dumps(document, separators=(",", ":")).encode()


def changed(document: dict[str, Any], *, recovery: str) -> bytes:
    """The next file of the same repository: whose the recovery wrap is by now (V7)."""
    return json.dumps(document | {"recovery": recovery}, separators=(",", ":")).encode()


def read(blob: bytes) -> dict[str, Any]:
    """The file; `UnknownFormat` when a reader of this version must stop (V2)."""
    document = load(blob)
    if document.get("format") != FORMAT:
        raise UnknownFormat(f"vault format {document.get('format')!r}")
    if document.get("hash") != "sha256" or document.get("aead") != "aes-256-gcm":
        raise UnknownFormat("hash or encryption this reader does not have")
    try:
        unknown = set(document["features"]["required"]) - KNOWN_FEATURES
    except (KeyError, TypeError) as wrong:
        raise Damaged("the repository file names no features") from wrong
    if unknown:
        raise UnknownFormat(f"required features {', '.join(sorted(map(str, unknown)))}")
    return document
