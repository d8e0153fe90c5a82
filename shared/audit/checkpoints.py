"""Signed checkpoints: what the trail was on a day, kept where it cannot be changed."""

import base64
from dataclasses import dataclass
from datetime import datetime

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.audit import chain, signing
from shared.audit.model import instant
from shared.kit.errors import HoldfastError

_PREFIX = b"holdfast-audit-checkpoint-1\n"


class CheckpointUnreadable(HoldfastError):
    """The document is no checkpoint."""

    code, status, title = "CHECKPOINT_UNREADABLE", 422, "This is no checkpoint"


class CheckpointForged(HoldfastError):
    """The signature does not fit the checkpoint."""

    code, status, title = "CHECKPOINT_FORGED", 422, "The signature of the checkpoint is wrong"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The newest line of a partner's trail at an instant."""

    partner_id: str
    seq: int
    hash: str
    at: datetime

    def mark(self) -> chain.Mark:
        """What a verification compares."""
        return chain.Mark(self.seq, self.hash, f"the signed checkpoint of {instant(self.at)}")


class _Statement(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: int
    partnerId: str  # noqa: N815
    seq: int
    hash: str
    at: str


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    checkpoint: _Statement
    algorithm: str
    keyId: str  # noqa: N815
    signature: str


async def sign(checkpoint: Checkpoint, signer: signing.Signer) -> bytes:
    """The signed document: JSON that a person can read."""
    statement = {
        "version": 1,
        "partnerId": checkpoint.partner_id,
        "seq": checkpoint.seq,
        "hash": checkpoint.hash,
        "at": instant(checkpoint.at),
    }
    signature = await signer.sign(_PREFIX + chain.canonical(statement))
    document = {
        "checkpoint": statement,
        "algorithm": signing.ALGORITHM,
        "keyId": signing.key_id(await signer.public_pem()),
        "signature": base64.b64encode(signature).decode(),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def read(document: bytes, public_pem: bytes) -> Checkpoint:
    """The checkpoint, when the key signed it. `CheckpointUnreadable`, `CheckpointForged`."""
    try:
        given = _Document.model_validate_json(document)
        signature = base64.b64decode(given.signature, validate=True)
        at = datetime.fromisoformat(given.checkpoint.at)
    except (ValidationError, ValueError) as malformed:
        raise CheckpointUnreadable("The document has not the form of a checkpoint.") from malformed
    signed = _PREFIX + chain.canonical(given.checkpoint.model_dump())
    if given.algorithm != signing.ALGORITHM or not signing.is_signed(public_pem, signed, signature):
        raise CheckpointForged("Somebody changed it, or it was signed with another key.")
    return Checkpoint(given.checkpoint.partnerId, given.checkpoint.seq, given.checkpoint.hash, at)


def blob_name(checkpoint: Checkpoint) -> str:
    """Where the checkpoint of a day is kept: names ascend with time."""
    return f"{prefix(checkpoint.partner_id)}{checkpoint.at:%Y-%m-%d}.json"


def prefix(partner_id: str) -> str:
    """What the names of a partner's checkpoints start with."""
    return f"audit/{partner_id}/"
