"""An answer on its way out, and how it is stored under an Idempotency-Key.

Answers may hold what is shown once: an API key, a link for an administrator. They are stored
encrypted under a key made of the caller's own Idempotency-Key, of which only a hash is kept: who
reads the table reads no answer.
"""

import base64
import hashlib
import os
from dataclasses import dataclass, field

from starlette.datastructures import MutableHeaders

from shared.kit.errors import Conflict
from shared.kit.idempotency import Replay

# Said anew for every answer: who asks, how much is left, which request it was.
_KEPT = ("content-type", "location", "operation-location", "retry-after", "etag")
_NONCE_BYTES = 12


class AnswerUnreadable(Conflict):
    """The stored answer cannot be opened."""

    code, title = "IDEMPOTENCY_ANSWER_UNREADABLE", "The stored answer cannot be read"


@dataclass(slots=True)
class Answer:
    """Status, headers and body as they leave."""

    status: int
    headers: MutableHeaders = field(default_factory=MutableHeaders)
    body: bytes = b""


def seal(answer: Answer, key: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and encrypted body to store."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
    nonce = os.urandom(_NONCE_BYTES)
    text = AESGCM(_key(key)).encrypt(nonce, answer.body, None)
    return answer.status, kept, base64.b64encode(nonce + text)


def opened(stored: Replay, key: str) -> Answer:
    """The answer as it was; `Idempotency-Replayed: true` says so."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    raw = base64.b64decode(stored.body)
    try:
        body = AESGCM(_key(key)).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None)
    except InvalidTag as wrong:
        raise AnswerUnreadable("Read the resource instead.") from wrong
    headers = MutableHeaders(stored.headers)
    headers["Idempotency-Replayed"] = "true"
    return Answer(stored.status, headers, body)


def _key(text: str) -> bytes:
    # A key the caller chose at random needs no stretching; docs/api.md asks for a UUID.
    return hashlib.sha256(b"holdfast-answer-1\0" + text.strip().strip('"').encode()).digest()
