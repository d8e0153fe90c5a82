"""What keeping a vault asks of its writers: locks, the condemned list, digests for the head."""

from dataclasses import dataclass, field
from datetime import datetime

from shared.vault.locks import Locks


@dataclass(slots=True)
class Guard:
    """What keeping the vault asks of a writer."""

    files: dict[str, str] = field(default_factory=dict)
    """Name -> hex SHA-256 of repository file and key blobs, repeated in the head."""
    locks: Locks | None = None
    key_lock: str = "rolling"
    shared: dict[str, datetime] = field(default_factory=dict)
    """Until when what all objects share is locked, as far as this process knows."""
    condemned: frozenset[str] = frozenset()
    """Blobs on a condemned list (V22)."""
    damaged: frozenset[str] = frozenset()
    """Blobs that a scrub or a reader found damaged: read again, or never used again."""
