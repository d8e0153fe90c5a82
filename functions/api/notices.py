"""What you were told about your licences, and when: a log; what stands now is licence-attention."""

from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import Field

from functions.api.paging import Pages
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.licensing import noticing
from shared.licensing.noticing import Noted
from shared.licensing.repository import TABLE
from shared.licensing.requests import subscription_id
from shared.licensing.rules.telling import Kind

router = Router(tags=["licences"])


class NoticeTold(ApiModel):
    """One thing to be told, once."""

    id: str
    kind: Kind
    topic: str = Field(description="What a contact chooses to be told of it (NTF-03)")
    rule: str
    due_on: date = Field(description="The day on which it was to be told")
    noted_at: Instant = Field(description="Later than that when days were missed")
    customer_id: str | None
    subscription_id: str | None
    pool_id: str | None
    what: dict[str, Any]

    @classmethod
    def of(cls, noted: Noted) -> "NoticeTold":
        """As partners see it."""
        kind, _, rest = noted.subject.partition("~")
        slot, _, tenant = rest.partition("~")[2].partition("~")
        return cls(
            id=noted.notice_id,
            kind=noted.kind,
            topic=noticing.TOPIC,
            rule=noted.rule,
            due_on=noted.due_on,
            noted_at=noted.noted_at,
            customer_id=noted.customer_id or None,
            subscription_id=subscription_id(slot, tenant) if kind == "sub" else None,
            pool_id=rest if kind == "pool" else None,
            what=noted.what,
        )


@router.get("/notices", operation_id="notices_list", summary="List notices about licences")
async def list_page(
    caller: Annotated[Caller, Depends(requires("licences.read"))],
    customer_id: Annotated[str | None, Query(alias="customerId", max_length=64)] = None,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[NoticeTold]:
    """The newest first: 30, 7 and 1 days before an end, shortfalls, pools that run low (NTF-20).

    Each is told once and stays here, settled or not; how it stands now is `GET /licence-attention`.
    """
    pages = Pages(caller, "notices_list", "/notices", {"customerId": customer_id})
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await noticing.page(
        deps().tables[TABLE],
        caller.scope,
        after=after,
        limit=maxpagesize,
        customer_id=customer_id,
    )
    link = await pages.link({"after": last} if last else None, maxpagesize)
    return PageOf(value=[NoticeTold.of(each) for each in found], next_link=link)
