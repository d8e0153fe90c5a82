"""Finding items: over the objects of a customer, over time, and between two restore points."""

from typing import Annotated

from fastapi import Query

from functions.api.objects import SNAPSHOT, ItemKey, Number, Reader
from functions.api.paging import Pages
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.snapshot_models import ChangeOut, FoundOut, ItemOut, VersionOut, Wanted, said
from shared.bootstrap import deps
from shared.protection import browsing, finding
from shared.protection.finding import ChangeKind

router = Router(tags=["objects"])


@router.get(
    "/customers/{customer_id}/items",
    operation_id="items_search",
    summary="Search the items of a customer",
)
async def search(
    customer_id: str,
    caller: Reader,
    wanted: Wanted,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[FoundOut]:
    """In the newest restore point of every object; a page may be short: follow `nextLink`."""
    pages = Pages(caller, "items_search", f"/customers/{customer_id}/items", said(wanted))
    place = await pages.place(skip_token)
    found, following = await finding.search(
        deps(), caller.scope, customer_id, wanted, place, maxpagesize
    )
    link = await pages.link(following, maxpagesize)
    return PageOf(value=[FoundOut.found(opened, row) for opened, row in found], next_link=link)


@router.get(
    "/objects/{object_id}/items/{item_key}/history",
    operation_id="items_history",
    summary="Read the history of an item",
)
async def history(
    object_id: str, item_key: ItemKey, caller: Reader, skip_token: SkipToken = None
) -> PageOf[VersionOut]:
    """Restore points with which it came, changed, moved or went, newest first.

    The oldest restore point kept has no `changes`: it is what the item was when memory begins.
    """
    path = f"/objects/{object_id}/items/{item_key}/history"
    pages = Pages(caller, "items_history", path, {})
    place = await pages.place(skip_token)
    versions, following = await finding.history(deps(), caller.scope, object_id, item_key, place)
    link = await pages.link(following, finding.HISTORY_POINTS)
    return PageOf(value=[VersionOut.of(one) for one in versions], next_link=link)


@router.get(
    SNAPSHOT + "/changes",
    operation_id="snapshots_compare",
    summary="Compare two restore points",
)
async def compare(
    object_id: str,
    n: Number,
    since: Annotated[int, Query(ge=1, le=9_999_999_999, description="The other restore point")],
    caller: Reader,
    change: Annotated[list[ChangeKind], Query(description="Any of these")] = [],  # noqa: B006
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[ChangeOut]:
    """What was added, changed, moved or deleted between `since` and this one.

    In the order of item keys; a page may be short: follow `nextLink`.
    """
    filters = {"since": since, "change": sorted(change) or None}
    path = f"/objects/{object_id}/snapshots/{n}/changes"
    pages = Pages(caller, "snapshots_compare", path, filters)
    after = (await pages.place(skip_token)).get("after", "")
    newer = await browsing.open_point(deps(), caller.scope, object_id, n)
    older = await browsing.open_point(deps(), caller.scope, object_id, since)
    found, last = await finding.compare(older, newer, frozenset(change), after, maxpagesize)
    link = await pages.link({"after": last} if last else None, maxpagesize)
    value = [
        ChangeOut(
            item_key=one.key,
            changes=one.kinds,
            before=ItemOut.of(older, one.before) if one.before else None,
            after=ItemOut.of(newer, one.after) if one.after else None,
        )
        for one in found
    ]
    return PageOf(value=value, next_link=link)
