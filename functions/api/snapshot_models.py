"""JSON contracts of restore points and their items."""

from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from functions.api.protection_models import BytesOut, GraphOut
from shared.kit.api_model import ApiModel, Instant
from shared.protection.browsing import Opened, item_key
from shared.vault.model import Row, SnapshotHead


class SnapshotOut(ApiModel):
    """One restore point: what stands in the vault's record."""

    n: int
    record_hash: str
    root: str
    previous_record_hash: str
    oid: str = Field(description="The object's name in the vault")
    kind: str
    status: str
    items: int
    started_at: Instant
    ended_at: Instant
    expires_at: Instant | None
    counts: dict[str, Any] = Field(description="Completeness counters of the vault format")
    bytes: BytesOut
    graph: GraphOut
    receipt: dict[str, Any]

    @classmethod
    def of(cls, head: SnapshotHead) -> "SnapshotOut":
        """The head as partners see it."""
        use = head.graph
        return cls(
            n=head.n,
            record_hash=head.record_hash,
            root=head.root,
            previous_record_hash=head.prev,
            oid=head.oid,
            kind=head.kind,
            status=head.status,
            items=head.items,
            started_at=head.started,
            ended_at=head.ended,
            expires_at=head.expires,
            counts=head.counts,
            bytes=BytesOut.model_validate(head.bytes),
            graph=GraphOut(
                requests=use.requests,
                ru=use.ru,
                throttled=use.throttled,
                waited_seconds=round(use.waited_s, 3),
            ),
            receipt=head.receipt(),
        )


class ItemOut(ApiModel):
    """One item of a restore point."""

    item_key: str
    parent_key: str | None
    kind: str
    name: str
    author: str | None = Field(description="Sender or author")
    recipients: list[str]
    at: Instant | None = Field(description="Received, sent or modified")
    size_bytes: int
    version: str
    content_hash: str | None = Field(description="base64url; SHA-256 up to 64 MiB")
    flags: int = Field(description="1 read, 2 flagged, 4 draft, 8 attachments, 16 shared")
    codec: str | None
    mark: str | None = Field(description="Why the content is missing or older; null = held")
    metadata: dict[str, Any]

    @classmethod
    def of(cls, opened: Opened, row: Row) -> "ItemOut":
        """The row as partners see it: its source id stays inside."""
        item = row.item
        seconds = item.get("t")
        return cls(
            item_key=opened.key(row),
            parent_key=item_key(opened.head.oid, row.parent) if row.parent else None,
            kind=row.kind,
            name=row.name,
            author=item.get("w"),
            recipients=list(item.get("o", [])),
            at=None if seconds is None else datetime.fromtimestamp(seconds, UTC),
            size_bytes=row.size,
            version=row.version,
            content_hash=item.get("d"),
            flags=item.get("x", 0),
            codec=item.get("c"),
            mark=row.error,
            metadata=item.get("m", {}),
        )


class ItemWithProof(ItemOut):
    """An item with the proof that it stands in this restore point."""

    proof: dict[str, Any]
