"""A customer's subscriptions: read, assign, change, end; told in advance."""

from typing import Annotated

from fastapi import Body, Depends, Request, Response

from functions.api import licensing
from functions.api.access_models import IfMatch
from functions.api.licence_models import (
    AsOf,
    ChangedOut,
    EntryOut,
    ExplainedOut,
    HistoryOut,
    KnownAt,
    PreviewOut,
    ReasonOut,
    SubscriptionOut,
    What,
)
from functions.api.paging import address
from functions.api.protection_models import PageOf
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.customers import licences
from shared.kit.api_model import ApiModel
from shared.licensing import reading, requests, service
from shared.licensing.book import Book
from shared.licensing.model import sub_key
from shared.licensing.repository import Outcome
from shared.licensing.requests import (
    AssignIn,
    ConvertChange,
    ExpirationIn,
    ExpireChange,
    Foreseen,
    IncreaseChange,
    ModeIn,
    ReduceChange,
    SeatsIn,
    SetExpirationChange,
    SetModeChange,
    SetQuantityChange,
    SettingsIn,
    SourceIn,
    SwitchSourceChange,
    TermsIn,
)
from shared.marketplace import leaving

router = Router(prefix="/customers/{customer_id}/subscriptions", tags=["licences"])
Reader = Annotated[Caller, Depends(requires("licences.read"))]
Writer = Annotated[Caller, Depends(requires("licences.write"))]


class PreviewIn(ApiModel):
    """A change to be told in advance."""

    change: Foreseen


@router.get("", operation_id="subscriptions_list", summary="List a customer's subscriptions")
async def list_of_customer(
    customer_id: str, caller: Reader, as_of: AsOf = None, known_at: KnownAt = None
) -> PageOf[SubscriptionOut]:
    """All of them, ended ones too; on an earlier day with `asOf`, as then known with `knownAt`."""
    given = deps()
    await licences.asked(given, caller.scope, customer_id)
    if as_of or known_at:
        book = await reading.as_of(given.ledgers, caller.scope, day=as_of, known_at=known_at)
    else:
        book = await reading.customer_book(given.ledgers, caller.scope, customer_id)
    found = sorted(book.of_customer(customer_id), key=lambda each: each.key)
    return PageOf(value=[SubscriptionOut.of(book, each) for each in found])


@router.post("", operation_id="subscriptions_assign", summary="Assign a service", status_code=201)
async def assign(
    customer_id: str, body: AssignIn, request: Request, response: Response, caller: Writer
) -> ChangedOut:
    """A trial, or a subscription from a pool (LIC-04 to 12, SVC-20 to 43)."""
    done = await licensing.carry_out(request, caller, customer_id, body)
    its_id = requests.subscription_id(body.slot, body.tenant_id)
    response.headers["Location"] = address(f"/customers/{customer_id}/subscriptions/{its_id}")
    return _changed(done, customer_id, its_id)


@router.get("/{subscription_id}", operation_id="subscriptions_get", summary="Read a subscription")
async def get(
    customer_id: str, subscription_id: str, response: Response, caller: Reader
) -> SubscriptionOut:
    """As it stands today, with its ETag."""
    given = deps()
    about = await licences.asked(given, caller.scope, customer_id)
    key = requests.place_of(about.facts, about.standing, subscription_id).key
    book = await reading.customer_book(given.ledgers, caller.scope, customer_id)
    shown = SubscriptionOut.of(book, book.sub(key))
    response.headers["ETag"] = shown.etag
    return shown


@router.patch(
    "/{subscription_id}", operation_id="subscriptions_edit", summary="Change its settings"
)
async def edit(
    customer_id: str,
    subscription_id: str,
    body: SettingsIn,
    request: Request,
    caller: Writer,
    if_match: IfMatch = None,
) -> ChangedOut:
    """Settings of the catalogue and the contract's end; every wrong one is named at once."""
    given = deps()
    about = await licences.asked(given, caller.scope, customer_id)
    change = requests.ChangeSettingsChange(
        verb="changeSettings", subscription_id=subscription_id, **dict(body)
    )
    wish = await licences.wish_of(given, about, change)
    key = change.at(about.facts, about.standing).key
    with licensing.placed():
        done = await licensing.perform(
            caller.scope,
            licensing.command_of(request, caller),
            licensing.only_if(wish, key, if_match),
        )
    return _changed(done, customer_id, subscription_id)


@router.post("/{subscription_id}:increase", operation_id="subscriptions_increase", summary="Add")
async def increase(
    customer_id: str, subscription_id: str, body: SeatsIn, request: Request, caller: Writer
) -> ChangedOut:
    """More from the same pool, with a minimum term of their own (LIC-18, LIC-19)."""
    change = IncreaseChange(verb="increase", subscription_id=subscription_id, **dict(body))
    return await _change(request, caller, customer_id, change)


@router.post("/{subscription_id}:reduce", operation_id="subscriptions_reduce", summary="Return")
async def reduce(
    customer_id: str, subscription_id: str, body: SeatsIn, request: Request, caller: Writer
) -> ChangedOut:
    """Oldest first, none younger than 31 days (LIC-17, LIC-18)."""
    change = ReduceChange(verb="reduce", subscription_id=subscription_id, **dict(body))
    return await _change(request, caller, customer_id, change)


@router.post(
    "/{subscription_id}:setQuantity",
    operation_id="subscriptions_set_quantity",
    summary="Go to a total",
)
async def set_quantity(
    customer_id: str, subscription_id: str, body: SeatsIn, request: Request, caller: Writer
) -> ChangedOut:
    """Only the difference is charged or returned (SVC-41)."""
    change = SetQuantityChange(verb="setQuantity", subscription_id=subscription_id, **dict(body))
    return await _change(request, caller, customer_id, change)


@router.post(
    "/{subscription_id}:setMode", operation_id="subscriptions_set_mode", summary="Automatic or not"
)
async def set_mode(
    customer_id: str, subscription_id: str, body: ModeIn, request: Request, caller: Writer
) -> ChangedOut:
    """Automatic follows the licences assigned in the tenant (LIC-41 to 43)."""
    change = SetModeChange(verb="setMode", subscription_id=subscription_id, **dict(body))
    return await _change(request, caller, customer_id, change)


@router.post("/{subscription_id}:expire", operation_id="subscriptions_expire", summary="End it")
async def expire(
    customer_id: str, subscription_id: str, request: Request, caller: Writer
) -> ChangedOut:
    """Now; the refusal names the first day on which it works (LIC-14)."""
    change = ExpireChange(verb="expire", subscription_id=subscription_id)
    return await _change(request, caller, customer_id, change)


@router.post(
    "/{subscription_id}:setExpiration",
    operation_id="subscriptions_set_expiration",
    summary="Choose the last day",
)
async def set_expiration(
    customer_id: str, subscription_id: str, body: ExpirationIn, request: Request, caller: Writer
) -> ChangedOut:
    """Same as the pool, or a day inside the commitment and the pool (LIC-10 to 15)."""
    change = SetExpirationChange(
        verb="setExpiration", subscription_id=subscription_id, **dict(body)
    )
    return await _change(request, caller, customer_id, change)


@router.post(
    "/{subscription_id}:switchSource",
    operation_id="subscriptions_switch_source",
    summary="Move to another pool",
)
async def switch_source(
    customer_id: str, subscription_id: str, body: SourceIn, request: Request, caller: Writer
) -> ChangedOut:
    """Of the same item; a new minimum term begins (LIC-23)."""
    change = SwitchSourceChange(verb="switchSource", subscription_id=subscription_id, **dict(body))
    return await _change(request, caller, customer_id, change)


@router.post(
    "/{subscription_id}:convert", operation_id="subscriptions_convert", summary="Convert a trial"
)
async def convert(
    customer_id: str, subscription_id: str, body: TermsIn, request: Request, caller: Writer
) -> ChangedOut:
    """The pool is charged, the term begins (LIC-57)."""
    change = ConvertChange(verb="convert", subscription_id=subscription_id, **dict(body))
    return await _change(request, caller, customer_id, change)


@router.get(
    "/{subscription_id}/explain",
    operation_id="subscriptions_explain",
    summary="Why is it so many, why until then?",
)
async def explain(
    customer_id: str, subscription_id: str, caller: Reader, what: What = "quantity"
) -> ExplainedOut:
    """Every event and rule that made the quantity or the last day."""
    key = await _key(caller, customer_id, subscription_id)
    found = await reading.explain(deps().ledgers, caller.scope, key, what)
    return ExplainedOut(what=what, reasons=[ReasonOut.of(each) for each in found])


@router.get(
    "/{subscription_id}/history", operation_id="subscriptions_history", summary="Modifications"
)
async def history(customer_id: str, subscription_id: str, caller: Reader) -> HistoryOut:
    """With before and after (LIC-49)."""
    key = await _key(caller, customer_id, subscription_id)
    found = await reading.history(deps().ledgers, caller.scope, customer_id, key=key)
    return HistoryOut(value=[EntryOut.of(each) for each in found])


# A path of its own shape: the verb stands on the collection.
previews = Router(prefix="/customers/{customer_id}", tags=["licences"])


@previews.post(
    "/subscriptions:preview",
    operation_id="subscriptions_preview",
    summary="What would happen, and why",
)
async def preview(
    customer_id: str, body: Annotated[PreviewIn, Body()], caller: Writer
) -> PreviewOut:
    """Of every verb, the end of a customer included; nothing is changed."""
    given = deps()
    about = await licences.asked(given, caller.scope, customer_id)
    with licensing.placed("/change"):
        wish = await licences.wish_of(given, about, body.change)
        told = await service.preview(given.ledgers, caller.scope, wish)
    if body.change.verb == "disconnect":
        told = await leaving.foretold(given, caller.scope, customer_id, told)
    return licensing.told(told)


async def _key(caller: Caller, customer_id: str, subscription_id: str) -> str:
    """The row key of a subscription that is or was there."""
    about = await licences.asked(deps(), caller.scope, customer_id)
    key = requests.place_of(about.facts, about.standing, subscription_id).key
    book = await reading.customer_book(deps().ledgers, caller.scope, customer_id)
    return book.sub(key).key


async def _change(
    request: Request, caller: Caller, customer_id: str, change: "Foreseen"
) -> ChangedOut:
    done = await licensing.carry_out(request, caller, customer_id, change)
    return _changed(done, customer_id, getattr(change, "subscription_id", ""))


def _changed(done: Outcome, customer_id: str, subscription_id: str) -> ChangedOut:
    slot, _, tenant = subscription_id.partition("~")
    book: Book = done.book
    return ChangedOut(
        subscription=SubscriptionOut.of(book, book.sub(sub_key(customer_id, slot, tenant))),
        events=[event.seq for event in done.events],
        notices=list(done.notices),
    )
