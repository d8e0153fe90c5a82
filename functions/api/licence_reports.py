"""The partner's licences in one list, what somebody should look at, and the change of a month."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from functions.api.licence_models import SubscriptionOut
from functions.api.paging import Pages
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel
from shared.licensing import reading
from shared.licensing.requests import subscription_id
from shared.licensing.rules import attention, billing, views
from shared.licensing.rules.attention import Kind, Notice

router = Router(tags=["licences"])
Reader = Annotated[Caller, Depends(requires("licences.read"))]
Filter = Annotated[str | None, Query(max_length=100)]


class AttentionOut(ApiModel):
    """One thing to look at."""

    kind: Kind
    rule: str
    pool_id: str | None
    customer_id: str | None
    subscription_id: str | None
    on: date | None = Field(description="The last usable day, or when a decrease happens")
    threshold: int | None = Field(description="30, 7 or 1: the smallest that has been reached")
    quantity: int | None

    @classmethod
    def of(cls, notice: Notice) -> "AttentionOut":
        """As partners see it."""
        same = ("kind", "rule", "pool_id", "customer_id", "on", "threshold", "quantity")
        _, _, rest = (notice.subscription or "").partition("~")
        _, _, place = rest.partition("~")  # slot, or slot~tenant: the id below its customer
        slot, _, tenant = place.partition("~")
        shown = subscription_id(slot, tenant) if slot else None
        return cls(subscription_id=shown, **{name: getattr(notice, name) for name in same})


class MonthChangeOut(ApiModel):
    """Licences and customers at the end of last month and on the day (LIC-54)."""

    day: date
    previous_day: date
    licences: int
    previous_licences: int
    licence_change: int
    customers: int
    previous_customers: int
    customer_change: int


@router.get("/subscriptions", operation_id="subscriptions_report", summary="List all subscriptions")
async def list_all(
    caller: Reader,
    source: Filter = None,
    item: Filter = None,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[SubscriptionOut]:
    """Of every customer you may see, ended ones too, each with its source (LIC-48)."""
    pages = Pages(
        caller, "subscriptions_report", "/subscriptions", {"source": source, "item": item}
    )
    after = (await pages.place(skip_token)).get("after", "")
    book = await reading.visible_book(deps().ledgers, caller.scope)
    keys = [
        key
        for key in sorted(book.subs)
        if key > after
        and (source is None or book.subs[key].source.casefold() == source.casefold())
        and (item is None or book.subs[key].item == item)
    ]
    page = keys[:maxpagesize]
    link = await pages.link({"after": page[-1]} if len(keys) > len(page) else None, maxpagesize)
    return PageOf(value=[SubscriptionOut.of(book, book.subs[key]) for key in page], next_link=link)


@router.get("/licence-attention", operation_id="licence_attention", summary="What needs a look?")
async def needs_a_look(
    caller: Reader,
    within: Annotated[int, Query(ge=0, le=366, description="Days ahead")] = 30,
) -> PageOf[AttentionOut]:
    """How it stands now: near ends, shortfalls, decreases that wait, low pools (LIC-45, 24.3).

    Gone from here once it is settled; what you were told and when stays in `GET /notices`.
    """
    book = await reading.visible_book(deps().ledgers, caller.scope)
    found = attention.notices(book, within=within)
    return PageOf(value=[AttentionOut.of(each) for each in found])


@router.get("/licence-change", operation_id="licence_change", summary="Month over month")
async def change(
    caller: Reader,
    on: Annotated[date | None, Query(description="Left out: today")] = None,
) -> MonthChangeOut:
    """What changed since the end of the month before, by the ledger alone (LIC-54)."""
    ledgers = deps().ledgers
    day = on or ledgers.today()
    before = billing.month_days(day)[0] - timedelta(days=1)
    then = views.licence_totals(await reading.as_of(ledgers, caller.scope, day=before))
    now = views.licence_totals(await reading.as_of(ledgers, caller.scope, day=day))
    return MonthChangeOut(
        day=day,
        previous_day=before,
        licences=now[1],
        previous_licences=then[1],
        licence_change=views.licence_change(then[1], now[1]),
        customers=now[0],
        previous_customers=then[0],
        customer_change=views.licence_change(then[0], now[0]),
    )
