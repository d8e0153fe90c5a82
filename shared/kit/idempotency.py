"""Remembers the answer to a POST under its Idempotency-Key (draft-ietf-httpapi-idempotency-key).

One row per partner, caller and key. The first request holds the row while it runs; a repeat gets
the stored answer, 409 while the first one runs, 422 when it is not the same request. A holder
that died is replaced after `STALE_AFTER`; its successor gets the same `Claim.seed`, so an id
derived from the seed names the same resource and nothing is made twice.
"""

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.kit.blobs import BlobMissing, BlobStore
from shared.kit.clock import Clock
from shared.kit.errors import Conflict, Invalid, Unprocessable
from shared.kit.ids import new_id
from shared.kit.tables import SPILL_BYTES, LostRace, Row, RowExists, Table

_log = logging.getLogger(__name__)

# At least 24 h is promised; the second day is room for reaping late and for clocks apart.
KEEP = timedelta(hours=48)
# HTTP is cut at 230 s in Azure, so a holder older than this is dead.
STALE_AFTER = timedelta(minutes=5)
RETRY_AFTER_SECONDS = 5
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class KeyMalformed(Invalid):
    """The Idempotency-Key has no usable form."""

    code, title = "IDEMPOTENCY_KEY_INVALID", "The Idempotency-Key is not valid"


class StillRunning(Conflict):
    """The first request with this key has not ended; `retryAfter` seconds in `extra`."""

    code, title = "IDEMPOTENCY_IN_FLIGHT", "The first request with this key is still running"


class KeyReused(Unprocessable):
    """The key was used for another request."""

    code, title = "IDEMPOTENCY_KEY_REUSED", "This key belongs to another request"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run the request: hand it to `finish` or `abandon`."""

    row: Row
    seed: str
    """Random per key and stable over a crash: derive ids of what is made from it."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The stored answer of the first request."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse_key(header: str) -> str:
    """The key in the header, quoted (as the draft wants) or bare; `KeyMalformed` otherwise."""
    text = header.strip()
    if len(text) >= 2 and text.startswith('"') and text.endswith('"'):
        text = text[1:-1]
    if _KEY.fullmatch(text) is None:
        raise KeyMalformed(
            "Send 1 to 255 printable characters, best a UUID.", pointer="/headers/Idempotency-Key"
        )
    return text


def request_hash(method: str, path: str, query: str, body: bytes) -> str:
    """What makes two requests the same one."""
    head = f"{method.upper()}\n{path}\n{query}".encode()
    return hashlib.sha256(hashlib.sha256(head).digest() + body).hexdigest()


class IdempotencyStore:
    """The rows in the table "Idempotency", large answers in a container."""

    def __init__(self, table: Table, blobs: BlobStore, clock: Clock) -> None:
        self._table, self._blobs, self._clock = table, blobs, clock

    async def begin(self, partner: str, caller: str, key: str, request: str) -> Claim | Replay:
        """Claim the key for `request` (a `request_hash`), or get the answer it has already.

        `caller` keeps the keys, and the answers, of different callers apart. Raises
        `StillRunning` (409) and `KeyReused` (422).
        """
        now = self._clock.now()
        row = _fresh(partner, _row_key(caller, key), request, now)
        try:
            return _claim(await self._table.insert(row))
        except RowExists:
            stored = await self._table.find(row.partition, row.key)
        if stored is None:  # released or reaped between the two calls
            raise StillRunning("Repeat the request.", retryAfter=1)
        if stored.values["expires"] > now:
            if stored.values["request"] != request:
                raise KeyReused("Use a new key for a new request.")
            if (replay := await self._replay(stored)) is not None:
                return replay
            if _is_running(stored, now):
                raise StillRunning("Repeat the request later.", retryAfter=RETRY_AFTER_SECONDS)
            row.values["seed"] = stored.values["seed"]
        row.etag = stored.etag
        try:
            return _claim(await self._table.replace(row))
        except LostRace as lost:
            raise StillRunning(
                "Repeat the request later.", retryAfter=RETRY_AFTER_SECONDS
            ) from lost

    async def finish(
        self, claim: Claim, status: int, headers: Mapping[str, str], body: bytes
    ) -> bool:
        """Store the answer. False when another holder took over meanwhile: theirs counts."""
        values = {**claim.row.values, "status": status, "headers": dict(headers)}
        text = _text(body)
        if text is None:
            digest = hashlib.sha256(body).hexdigest()
            values["spilled"] = _blob_name(claim.row, digest)
            await self._blobs.put(values["spilled"], body, create_only=False)
        else:
            values["body"] = text
        answered = Row(claim.row.partition, claim.row.key, values, claim.row.etag)
        try:
            await self._table.replace(answered)
        except LostRace:
            _log.warning("an idempotency key was taken over before its first holder ended")
            return False
        return True

    async def abandon(self, claim: Claim) -> None:
        """Release the key without an answer: the request failed on our side and may be repeated.

        The seed is kept, so what the failed run already made is found again by the repeat.
        """
        values = {**claim.row.values, "held": False}
        released = Row(claim.row.partition, claim.row.key, values, claim.row.etag)
        try:
            await self._table.replace(released)
        except LostRace:
            _log.info("an idempotency key was taken over before it was released")

    async def reap(self, partner: str, *, limit: int = 1000) -> int:
        """Remove at most `limit` expired rows of a partner with their blobs; how many."""
        expired = [
            row
            async for row in self._table.query(
                partner,
                where="expires lt @now",
                parameters={"now": self._clock.now()},
                limit=limit,
            )
        ]
        removed = 0
        for row in expired:
            try:
                await self._table.batch([("delete", row)])
            except LostRace:  # claimed again in this moment
                continue
            removed += 1
            if "spilled" in row.values:
                await self._blobs.delete(row.values["spilled"])
        return removed

    async def _replay(self, stored: Row) -> Replay | None:
        values = stored.values
        if "status" not in values:
            return None
        try:
            body = (
                await self._blobs.get(values["spilled"])
                if "spilled" in values
                else values["body"].encode()
            )
        except BlobMissing:
            # Running again would do the work twice; the caller must look before a new key.
            raise KeyReused("The stored answer is gone; read the resource instead.") from None
        return Replay(values["status"], values["headers"], body)


def _fresh(partner: str, key: str, request: str, now: datetime) -> Row:
    values = {
        "request": request,
        "seed": new_id(),
        "held": True,
        "started": now,
        "expires": now + KEEP,
    }
    return Row(partner, key, values)


def _claim(row: Row) -> Claim:
    return Claim(row, row.values["seed"])


def _is_running(stored: Row, now: datetime) -> bool:
    return bool(stored.values["held"]) and stored.values["started"] + STALE_AFTER > now


def _row_key(caller: str, key: str) -> str:
    parts = (hashlib.sha256(part.encode()).digest() for part in (caller, key))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _blob_name(row: Row, digest: str) -> str:
    partner = hashlib.sha256(row.partition.encode()).hexdigest()[:20]
    return f"idempotency/{partner}/{row.key}/{digest}"


def _text(body: bytes) -> str | None:
    if len(body) > SPILL_BYTES:
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
