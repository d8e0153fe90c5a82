"""The adapter of signed documents: distributors outside marketplaces, and direct sales.

A delivery carries a JWT signed with the seller's private key over the SHA-256 of the body. The
operator has registered the public key; we keep nothing that could sign.
"""

import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.catalogue.model import Channel
from shared.kit.clock import Clock
from shared.kit.tables import LostRace, Row, RowExists, Table
from shared.marketplace.documents import OrderDocument, subscription_of
from shared.marketplace.model import (
    Asked,
    ChannelAnswer,
    ChannelEvent,
    ChannelSubscription,
    Hook,
    Kind,
    Unreadable,
    UsageRecord,
    UsageResult,
    UsageStatus,
    key_of,
    order_id_of,
)
from shared.marketplace.refusals import CallerForeign, CallerUnproven, Parked

ALGORITHMS = ["EdDSA", "ES256", "RS256"]
LEEWAY_SECONDS = 60
LONGEST_SECONDS = 900
"""A token lives at most so long: a stolen one is of little use."""
MAX_TOKEN_CHARACTERS = 8192
_KEYS = "keys"


class SellerKey(BaseModel):
    """A public key, and what its owner may tell of."""

    model_config = ConfigDict(frozen=True)

    key_id: str
    source: str
    """Names the seller's orders for ever: two keys of one source tell of the same orders."""
    name: str
    """What pools say as their source, e.g. "Direct"."""
    channel: Channel
    public_key: str
    """PEM."""
    registered_at: datetime
    revoked_at: datetime | None = None


class Keys:
    """The registered keys."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def save(self, key: SellerKey) -> None:
        """Replace it: the operator is its one writer."""
        row = Row(_KEYS, key_of(key.key_id), {"key": key.model_dump(mode="json")})
        await self._table.upsert(row)

    async def find(self, key_id: str) -> SellerKey | None:
        """A key, also a revoked one."""
        row = await self._table.find(_KEYS, key_of(key_id))
        return SellerKey.model_validate(row.values["key"]) if row else None

    async def list_all(self) -> list[SellerKey]:
        """All of them."""
        found = self._table.query(_KEYS)
        return [SellerKey.model_validate(row.values["key"]) async for row in found]


class Signed:
    """The adapter for one source; `audience` is our own public address."""

    def __init__(self, source: str, keys: Keys, table: Table, audience: str, clock: Clock) -> None:
        self.source = source
        self._keys, self._table, self._audience, self._clock = keys, table, audience, clock

    async def verify_and_parse(self, hook: Hook) -> ChannelEvent:
        """The event of a document whose signature holds; its fault when it is not understood."""
        key = await check(self._keys, hook, self._audience)
        return parse(hook, key, self._clock.now())

    async def note(self, event: ChannelEvent) -> None:
        """Keep the document if it is the newest; `Parked` when a sequence was used twice."""
        if event.sequence is None:
            return
        partition = f"order~{order_id_of(event.source, event.external_id)}"
        values = {"sequence": event.sequence, "digest": event.digest, "raw": event.raw}
        held = await self._table.find(partition, "document")
        try:
            if held is None:
                await self._table.insert(Row(partition, "document", values))
            elif held.values["sequence"] < event.sequence:
                held.values = values
                await self._table.replace(held)
            elif (
                held.values["sequence"] == event.sequence and held.values["digest"] != event.digest
            ):
                raise Parked("SEQUENCE_REUSED", f"Sequence {event.sequence} was used before.")
        except (RowExists, LostRace):
            await self.note(event)

    async def fetch(self, external_id: str) -> ChannelSubscription | None:
        """What the newest document says."""
        row = await self._table.find(f"order~{order_id_of(self.source, external_id)}", "document")
        if row is None:
            return None
        told = OrderDocument.model_validate_json(row.values["raw"])
        name = next((k.name for k in await self._keys.list_all() if k.source == self.source), "")
        return subscription_of(told, self.source, name or self.source)

    async def asked(self, event: ChannelEvent) -> Asked | None:  # noqa: ARG002
        """Nothing waits: a document tells what has been sold."""
        return None

    async def answer(self, answer: ChannelAnswer) -> bool:  # noqa: ARG002
        """Nobody is told: the order's state can be read."""
        return False

    async def activate(self, truth: ChannelSubscription) -> None:
        """Nothing: what was sold is active."""

    async def list_all(self) -> AsyncIterator[ChannelSubscription | Unreadable]:
        """Nothing to compare with: the documents are ours."""
        nothing: tuple[ChannelSubscription, ...] = ()
        for each in nothing:
            yield each

    async def report_usage(self, records: list[UsageRecord]) -> list[UsageResult]:
        """Sellers of documents are billed by the monthly report, not by a meter."""
        return [
            UsageResult(record=record, status=UsageStatus.REJECTED, said="no meter on this channel")
            for record in records
        ]

    async def close(self) -> None:
        """Nothing is open."""


def readable(public_key: str) -> bool:
    """Whether the text is a public key that can check our algorithms."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(public_key.encode())
    except (ValueError, TypeError):
        return False
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name == "secp256r1"
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= 2048
    return isinstance(key, ed25519.Ed25519PublicKey)


async def check(keys: Keys, hook: Hook, audience: str) -> SellerKey:
    """The key that signed the body; `CallerUnproven` (401), `CallerForeign` (403) when revoked."""
    import jwt

    scheme, _, token = hook.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARACTERS:
        raise CallerUnproven("Send 'Authorization: Bearer <token>'.")
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError as refused:
        raise CallerUnproven(f"{refused}.") from refused
    key = await keys.find(key_id) if isinstance(key_id, str) else None
    if key is None:
        raise CallerUnproven("No such key is registered.")
    if key.revoked_at is not None:
        raise CallerForeign("This key was revoked.")
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key.public_key, ALGORITHMS, audience=audience, leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "aud"]},
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError) as refused:
        raise CallerUnproven(f"{refused}.") from refused
    if claims["exp"] - claims["iat"] > LONGEST_SECONDS:
        raise CallerUnproven(f"The token lives longer than {LONGEST_SECONDS} s.")
    if not hmac.compare_digest(str(claims.get("sha256", "")).lower(), hook.digest):
        raise CallerUnproven("The token's sha256 is not the body's.")
    return key


def parse(hook: Hook, key: SellerKey, now: datetime) -> ChannelEvent:
    """The event of a document; what is wrong with it otherwise."""
    text = hook.body.decode("utf-8", "replace")
    kept: dict[str, Any] = {
        "source": key.source, "received_at": now, "digest": hook.digest, "raw": text,
    }  # fmt: skip
    try:
        told = _read(hook.body, key)
    except (ValidationError, orjson.JSONDecodeError, ValueError, RecursionError) as wrong:
        return ChannelEvent(
            event_id=f"body-{hook.digest[:40]}",
            external_id=f"delivery-{hook.digest[:40]}",
            kind=Kind.UNKNOWN,
            fault=_said(wrong),
            **kept,
        )
    return ChannelEvent(
        event_id=told.document_id,
        external_id=told.order_id,
        kind=Kind.ADJUSTED,
        action=str(told.status),
        plan_id=told.item,
        quantity=told.quantity,
        sequence=told.sequence,
        effective_at=told.issued_at.astimezone(UTC),
        **(kept | {"raw": told.model_dump_json(by_alias=True)}),
    )


def _read(body: bytes, key: SellerKey) -> OrderDocument:
    told = OrderDocument.model_validate(orjson.loads(body))
    if told.channel is not key.channel:
        raise ValueError(f"/channel: this key tells of {key.channel} only")
    return told


def _said(wrong: Exception) -> str:
    if isinstance(wrong, ValidationError):
        told = [f"/{'/'.join(map(str, e['loc']))}: {e['msg']}" for e in wrong.errors()[:10]]
        return "; ".join(told)
    return str(wrong)[:300]
