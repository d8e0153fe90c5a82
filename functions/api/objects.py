"""Protected objects, their restore points, and what is in them."""

from typing import Annotated, Any

from fastapi import Depends, Path, Query, Response

from functions.api.paging import Pages
from functions.api.protection_models import ObjectOut, PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from functions.api.snapshot_models import ItemOut, ItemWithProof, SnapshotOut, Wanted, said
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.protection import browsing, points, queries

router = Router(tags=["objects"])
Reader = Annotated[Caller, Depends(requires("objects.read", own="self.restore"))]
# Reading what somebody wrote is no less than restoring it: monitoring alone must not do.
ContentReader = Annotated[Caller, Depends(requires("restores.start", own="self.restore"))]
Number = Annotated[int, Path(ge=1, le=9_999_999_999)]
ItemKey = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
SNAPSHOT = "/objects/{object_id}/snapshots/{n}"


@router.get(
    "/customers/{customer_id}/objects",
    operation_id="objects_list",
    summary="List the objects of a customer",
)
async def list_of_customer(
    customer_id: str, caller: Reader, maxpagesize: PageSize = 100, skip_token: SkipToken = None
) -> PageOf[ObjectOut]:
    """Mailboxes and drives with their last good point (BKP-28)."""
    given = deps()
    pages = Pages(caller, "objects_list", f"/customers/{customer_id}/objects", {})
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await queries.list_objects(
        given, caller.scope, customer_id, after=after, limit=maxpagesize
    )
    link = await pages.link({"after": last} if last else None, maxpagesize)
    value = [ObjectOut.of(one, queries.rpo_age_seconds(given, one)) for one in found]
    return PageOf(value=value, next_link=link)


@router.get("/objects/{object_id}", operation_id="objects_get", summary="Read an object")
async def get(object_id: str, caller: Reader) -> ObjectOut:
    """With its last good point and the age of that."""
    given = deps()
    found = await queries.get_object(given, caller.scope, object_id)
    return ObjectOut.of(found, queries.rpo_age_seconds(given, found))


@router.get(
    "/objects/{object_id}/snapshots",
    operation_id="snapshots_list",
    summary="List the restore points of an object",
)
async def list_snapshots(object_id: str, caller: Reader) -> PageOf[SnapshotOut]:
    """Newest first; read from the vault itself."""
    found = await points.list_points(deps(), caller.scope, object_id)
    return PageOf(value=[SnapshotOut.of(point) for point in found])


@router.get(SNAPSHOT, operation_id="snapshots_get", summary="Read a restore point")
async def get_snapshot(object_id: str, n: Number, caller: Reader) -> SnapshotOut:
    """Root and record hash, completeness counters, bytes, cost (vault.md sections 10 and 11)."""
    return SnapshotOut.of(await points.get_point(deps(), caller.scope, object_id, n))


@router.get(SNAPSHOT + "/items", operation_id="items_list", summary="List items")
async def list_items(
    object_id: str,
    n: Number,
    caller: Reader,
    wanted: Wanted,
    folder: Annotated[
        str | None, Query(pattern="^[0-9a-f]{64}$", description="Item key of a folder")
    ] = None,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[ItemOut]:
    """In the order of item keys; `kind=folder` gives the folder tree."""
    opened = await browsing.open_point(deps(), caller.scope, object_id, n)
    filters = {"folder": folder, **said(wanted)}
    pages = Pages(caller, "items_list", f"/objects/{object_id}/snapshots/{n}/items", filters)
    after = (await pages.place(skip_token)).get("after", "")
    rows, last = await browsing.list_items(
        opened, wanted, folder=folder, after=after, limit=maxpagesize
    )
    link = await pages.link({"after": last} if last else None, maxpagesize)
    return PageOf(value=[ItemOut.of(opened, row) for row in rows], next_link=link)


@router.get(SNAPSHOT + "/items/{item_key}", operation_id="items_get", summary="Read an item")
async def get_item(object_id: str, n: Number, item_key: ItemKey, caller: Reader) -> ItemWithProof:
    """Its metadata, and the proof that it stands in this restore point (vault.md 12.3)."""
    opened = await browsing.open_point(deps(), caller.scope, object_id, n)
    row = await browsing.find_row(opened, item_key)
    proof: dict[str, Any] = await opened.snapshot.proof(row.source_id)
    return ItemWithProof(**ItemOut.of(opened, row).model_dump(by_alias=False), proof=proof)


@router.get(
    SNAPSHOT + "/items/{item_key}/content",
    operation_id="items_content",
    summary="Read the content of an item",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}, "message/rfc822": {}}}},
)
async def get_content(
    object_id: str, n: Number, item_key: ItemKey, caller: ContentReader
) -> Response:
    """The stored bytes, verified; 413 CONTENT_TOO_LARGE over 32 MiB: restore it instead."""
    opened = await browsing.open_point(deps(), caller.scope, object_id, n)
    row = await browsing.find_row(opened, item_key)
    data = b"".join([part async for part in browsing.content_of(opened, row)])
    media = "message/rfc822" if row.item.get("c") == "mime" else "application/octet-stream"
    # Never rendered in the browser of whoever follows the link: the bytes are a stranger's.
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(content=data, media_type=media, headers=headers)
