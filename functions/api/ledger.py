"""The ledger of licences: its events, and whether everything still adds up."""

from typing import Annotated

from fastapi import Depends, Query

from functions.api.licence_models import AsOf, EventOut, KnownAt
from functions.api.paging import Pages
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel
from shared.kit.clock import to_text
from shared.licensing import reading

router = Router(tags=["licences"])
Reader = Annotated[Caller, Depends(requires("licences.read"))]


class BrokenOut(ApiModel):
    """The first place where the chain does not hold."""

    seq: int
    detail: str


class ComparisonOut(ApiModel):
    """What a rebuild from the events alone says of what is stored."""

    ok: bool
    events: int
    rows: int
    differences: list[str]
    broken: BrokenOut | None


@router.get("/ledger", operation_id="ledger_list", summary="List the events of the ledger")
async def list_page(
    caller: Reader,
    customer_id: Annotated[str | None, Query(alias="customerId", max_length=64)] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[EventOut]:
    """Oldest first. Callers limited to some customers name one with `customerId`."""
    filters = {
        "customerId": customer_id,
        "asOf": as_of.isoformat() if as_of else None,
        "knownAt": to_text(known_at) if known_at else None,
    }
    pages = Pages(caller, "ledger_list", "/ledger", filters)
    after = int((await pages.place(skip_token)).get("after", "0"))
    found = await deps().ledgers.events(
        caller.scope, after=after, customer=customer_id, limit=maxpagesize + 1
    )
    page = found[:maxpagesize]
    shown = [
        event
        for event in page
        if (as_of is None or event.effective <= as_of)
        and (known_at is None or (event.recorded is not None and event.recorded <= known_at))
    ]
    last = {"after": str(page[-1].seq)} if len(found) > maxpagesize else None
    link = await pages.link(last, maxpagesize)
    return PageOf(value=[EventOut.of(event) for event in shown], next_link=link)


@router.post("/ledger:verify", operation_id="ledger_verify", summary="Rebuild and compare")
async def verify(caller: Reader) -> ComparisonOut:
    """Tells every balance again from the events, and checks the chain of their hashes."""
    told = await reading.rebuild_and_compare(deps().ledgers, caller.scope)
    broken = BrokenOut(seq=told.broken.seq, detail=told.broken.detail) if told.broken else None
    return ComparisonOut(
        ok=told.ok,
        events=told.events,
        rows=told.rows,
        differences=list(told.differences),
        broken=broken,
    )
