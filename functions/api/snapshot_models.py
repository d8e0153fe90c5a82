"""JSON contracts of restore points and their items."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import Field

from functions.api.protection_models import BytesOut, From, GraphOut, To
from shared.kit.api_model import ApiModel, Instant
from shared.kit.clock import to_text
from shared.protection.browsing import ItemFilter, Opened, item_key
from shared.protection.finding import ChangeKind, Version
from shared.protection.points import RestorePoint
from shared.vault.model import Row


class SnapshotOut(ApiModel):
    """One restore point: what stands in the vault's record, and until when it is kept."""

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
    expires_at: Instant | None = Field(
        description="By the record and by every longer retention that was promised since; null: "
        "without end"
    )
    held: bool = Field(description="A legal hold keeps it beyond that, until it is lifted")
    counts: dict[str, Any] = Field(description="Completeness counters of the vault format")
    bytes: BytesOut
    graph: GraphOut
    receipt: dict[str, Any]

    @classmethod
    def of(cls, point: RestorePoint) -> "SnapshotOut":
        """The restore point as partners see it."""
        head = point.head
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
            expires_at=point.expires,
            held=point.held,
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


class FoundOut(ItemOut):
    """An item and where it was found."""

    object_id: str
    snapshot: int

    @classmethod
    def found(cls, opened: Opened, row: Row) -> "FoundOut":
        """The row with its object and restore point."""
        return cls(
            **ItemOut.of(opened, row).model_dump(by_alias=False),
            object_id=opened.found.object_id,
            snapshot=opened.head.n,
        )


class VersionOut(ApiModel):
    """What became of an item with one restore point."""

    snapshot: int
    ended_at: Instant = Field(description="Time of the restore point")
    changes: list[ChangeKind] = Field(description="Empty at the oldest restore point kept")
    item: ItemOut | None = Field(description="null where it was deleted")

    @classmethod
    def of(cls, version: Version) -> "VersionOut":
        """The version as partners see it."""
        head = version.opened.head
        item = ItemOut.of(version.opened, version.row) if version.row else None
        return cls(snapshot=head.n, ended_at=head.ended, changes=version.kinds, item=item)


class ChangeOut(ApiModel):
    """How one item differs between two restore points."""

    item_key: str
    changes: list[ChangeKind]
    before: ItemOut | None
    after: ItemOut | None


Word = Annotated[str | None, Query(max_length=200)]
Size = Annotated[int | None, Query(ge=0, le=2**53)]


async def item_filter(
    search: Annotated[
        str | None, Query(max_length=200, description="In name, author and recipients")
    ] = None,
    name: Annotated[Word, Query(description="In the name or subject")] = None,
    sender: Annotated[Word, Query(description="In the sender or author")] = None,
    begin: From = None,
    to: To = None,
    min_size: Annotated[Size, Query(alias="minSize", description="Bytes")] = None,
    max_size: Annotated[Size, Query(alias="maxSize", description="Bytes")] = None,
    kind: Annotated[str | None, Query(max_length=20, examples=["mail"])] = None,
) -> ItemFilter:
    """What an item has to be, all of it; dates are when it was received, sent or modified."""
    return ItemFilter(
        search=search,
        name=name,
        sender=sender,
        from_at=begin,
        to_at=to,
        min_size=min_size,
        max_size=max_size,
        kind=kind,
    )


Wanted = Annotated[ItemFilter, Depends(item_filter)]


def said(wanted: ItemFilter) -> dict[str, Any]:
    """The filter as its query said it: what a link to the next page repeats."""
    return {
        "search": wanted.search,
        "name": wanted.name,
        "sender": wanted.sender,
        "from": to_text(wanted.from_at) if wanted.from_at else None,
        "to": to_text(wanted.to_at) if wanted.to_at else None,
        "minSize": wanted.min_size,
        "maxSize": wanted.max_size,
        "kind": wanted.kind,
    }
