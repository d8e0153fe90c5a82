"""Refusals of the vault, and the one place where format errors become them."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.kit.blobs import BlobMissing
from shared.kit.errors import HoldfastError
from shared.vault.format.errors import FormatError, UnknownFormat


class VaultDamaged(HoldfastError):
    """Stored bytes are missing or differ from what was recorded; `detail` names blob and item."""

    code, status, title = "VAULT_DAMAGED", 500, "Stored data is damaged"

    def __init__(self, detail: str = "", *, blob: str = "") -> None:
        super().__init__(detail)
        self.blob = blob
        """The damaged blob's name; empty where no single blob is to blame."""


class VaultTooNew(HoldfastError):
    """A format number or feature this release does not know (V2)."""

    code, status, title = "VAULT_TOO_NEW", 500, "The vault was written by a newer release"


class Superseded(HoldfastError):
    """Another run of the same object committed first; start a new one (V49)."""

    code, status, title = "RUN_SUPERSEDED", 409, "Another run committed first"


class RunExpired(HoldfastError):
    """The run is older than 24 hours and may no longer commit (V50)."""

    code, status, title = "RUN_EXPIRED", 409, "The run is too old to commit"


class SliceFinished(HoldfastError):
    """The slice has its checkpoint already; nothing can be added."""

    code, status, title = "SLICE_FINISHED", 409, "The slice is finished"


class UnknownSnapshot(HoldfastError):
    """The object has no such snapshot."""

    code, status, title = "UNKNOWN_SNAPSHOT", 404, "There is no such snapshot"


class UnknownRepository(HoldfastError):
    """The container holds no repository, or another one."""

    code, status, title = "UNKNOWN_REPOSITORY", 404, "There is no such vault"


class KeyRefused(HoldfastError):
    """A key is unusable: weak, unknown, or it does not open what it should."""

    code, status, title = "KEY_REFUSED", 422, "The key cannot be used"


class KeyAlarm(HoldfastError):
    """A key blob differs from what was recorded when it was made (V8)."""

    code, status, title = "KEY_ALARM", 500, "A key is not the one that was recorded"


class SnapshotExpired(HoldfastError):
    """The restore point is past its retention and not held (V57)."""

    code, status, title = "SNAPSHOT_EXPIRED", 410, "The restore point has expired"


class ErasurePending(HoldfastError):
    """The object is marked for erasure: nothing is written to it any more (W0)."""

    code, status, title = "ERASURE_PENDING", 409, "The object is being erased"


class ErasureRefused(HoldfastError):
    """An erasure may not begin or not go on: a legal hold, or too few approvals."""

    code, status, title = "ERASURE_REFUSED", 409, "The erasure is refused"


@contextmanager
def located(where: str) -> Iterator[None]:
    """Turn what the format package or a missing blob says into refusals with a place (V65)."""
    try:
        yield
    except UnknownFormat as unknown:
        raise VaultTooNew(str(unknown.at(where))) from None
    except FormatError as wrong:
        raise VaultDamaged(str(wrong.at(where)), blob=_blob(where)) from None
    except BlobMissing as missing:
        raise VaultDamaged(f"{where}: the blob is missing", blob=_blob(where)) from missing


def _blob(where: str) -> str:
    name = where.partition(" ")[0]
    return name if name.startswith("o/") else ""
