"""What counts for a customer, what it uses, seats that follow its tenant, and letting it go."""

from datetime import date
from typing import Annotated, Literal

from fastapi import Depends, Request
from pydantic import Field

from functions.api import licensing
from functions.api.customers import CustomerInResponse, shown
from functions.api.licence_models import ServiceOut, SubscriptionOut
from functions.api.protection_models import PageOf
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.catalogue.model import Basis
from shared.customers import licences
from shared.customers.tenant_licences import read_licences
from shared.kit.api_model import ApiModel
from shared.licensing import reading
from shared.licensing.book import LIVE, Book
from shared.licensing.model import LicenceType, Subscription
from shared.licensing.requests import AdjustChange, subscription_id
from shared.licensing.rules import overriding, views
from shared.marketplace import leaving

router = Router(prefix="/customers/{customer_id}", tags=["licences"])
Reader = Annotated[Caller, Depends(requires("licences.read"))]
Writer = Annotated[Caller, Depends(requires("licences.write"))]
Leaver = Annotated[Caller, Depends(requires("customers.disconnect"))]


class EffectiveOut(ApiModel):
    """The one licence that counts for a pool item (LIC-34, LIC-35)."""

    item: str
    licence_type: LicenceType
    since: date
    subscription_id: str | None = Field(description="null: a licence from outside the pools")


class UseOut(ApiModel):
    """What of one subscription is used."""

    subscription_id: str
    source: str
    held: int
    used: int | None = Field(description="null: the tenant could not be read")
    shown: str = Field(examples=["40/30"], description="Used of held; may be more than is held")
    licences: int = Field(description="Backed-up users that need a licence, as last reported")
    consumed: int


class UseDayOut(ApiModel):
    """Licences in use from a day on (LIC-53)."""

    subscription_id: str
    day: date
    licences: int


class LicenceUseOut(ApiModel):
    """What a customer uses of its licences (LIC-42, LIC-46, LIC-52, LIC-53)."""

    licence_model: views.LicenceModel
    is_policy_editing_allowed: bool
    counted: dict[str, int] | None = Field(
        description="Users with a counted product, by basis; null: the tenant could not be read"
    )
    licences: int = Field(description="Sum over the subscriptions")
    subscriptions: list[UseOut]
    history: list[UseDayOut] = Field(description="Oldest first")


class AdjustedOut(ApiModel):
    """What following the tenant did."""

    value: list[SubscriptionOut]
    events: list[int]
    notices: list[dict[str, object]]


class DisconnectIn(ApiModel):
    """Said in words, because it cannot be taken back."""

    confirmed: Literal[True]


class DisconnectedOut(ApiModel):
    """A customer that is gone, and the services it had."""

    customer: CustomerInResponse
    services: list[ServiceOut]
    events: list[int] = Field(description="Numbers in the ledger")


@router.get(
    "/effective-licences", operation_id="licences_effective", summary="Which licence counts?"
)
async def effective(customer_id: str, caller: Reader) -> PageOf[EffectiveOut]:
    """One per pool item: CMP and Enterprise before pooled, then the newest (LIC-34, LIC-35)."""
    book = await _book(caller, customer_id)
    return PageOf(
        value=[
            EffectiveOut(
                item=item,
                licence_type=found.licence_type,
                since=found.since,
                subscription_id=_id(book.subs[found.subscription]) if found.subscription else None,
            )
            for item, found in overriding.of_customer(book, customer_id).items()
        ]
    )


@router.get("/licence-use", operation_id="licences_use", summary="How much of it is used?")
async def use(customer_id: str, caller: Reader) -> LicenceUseOut:
    """Read in the tenant now; what is held stays what it is (LIC-42, LIC-46, LIC-52, LIC-53)."""
    given = deps()
    about = await licences.asked(given, caller.scope, customer_id)
    tenant = about.customer.tenant_id
    counted = await read_licences(given, tenant) if tenant else None
    book = await reading.customer_book(given.ledgers, caller.scope, customer_id)
    subs = sorted(book.of_customer(customer_id), key=lambda each: each.key)
    used = [_use(book, sub, counted) for sub in subs if sub.state in LIVE]
    history = await reading.protected_history(given.ledgers, caller.scope, customer_id)
    model = views.licence_model(book, customer_id)
    return LicenceUseOut(
        licence_model=model,
        is_policy_editing_allowed=views.policy_editing_allowed(model),
        counted={str(basis): number for basis, number in counted.items()} if counted else None,
        licences=sum(each.licences for each in used),
        subscriptions=used,
        history=[
            UseDayOut(subscription_id=_id(book.subs[key]), day=day, licences=number)
            for key, day, number in history
        ],
    )


@router.post(
    "/subscriptions:adjust", operation_id="subscriptions_adjust", summary="Follow the tenant now"
)
async def adjust(customer_id: str, request: Request, caller: Writer) -> AdjustedOut:
    """What happens every night, for this customer and at once (LIC-43 to 45)."""
    change = AdjustChange(verb="adjust")
    done = await licensing.carry_out(request, caller, customer_id, change)
    subs = sorted(done.book.of_customer(customer_id), key=lambda each: each.key)
    return AdjustedOut(
        value=[SubscriptionOut.of(done.book, each) for each in subs],
        events=[event.seq for event in done.events],
        notices=list(done.notices),
    )


# A path of its own shape: the verb stands on the customer.
leavers = Router(prefix="/customers", tags=["customers"])


@leavers.post(
    "/{customer_id}:disconnect", operation_id="customers_disconnect", summary="Let a customer go"
)
async def disconnect(
    customer_id: str,
    body: DisconnectIn,  # noqa: ARG001
    request: Request,
    caller: Leaver,
) -> DisconnectedOut:
    """After every commitment: licences end, policies rest, the tenant is free (CUS-29, LIC-20).

    Sessions that run are stopped. 409 while a prepaid order that was made for it runs (AMB-38).
    """
    given = deps()
    command = licensing.command_of(request, caller)
    gone, events = await leaving.disconnect(given, caller.scope, command, customer_id)
    book = await reading.customer_book(given.ledgers, caller.scope, customer_id)
    services = [ServiceOut(**each) for each in views.services(book, customer_id)]
    return DisconnectedOut(customer=shown(gone), services=services, events=list(events))


def _use(book: Book, sub: Subscription, counted: dict[Basis, int] | None) -> UseOut:
    basis = book.catalogue.service_by_code[sub.service].licence_basis
    found = (counted.get(basis) if counted else None) if basis else sub.protected
    return UseOut(
        subscription_id=_id(sub),
        source=sub.source,
        held=sub.quantity,
        used=found,
        shown="" if found is None else views.usage(sub, found),
        licences=sub.protected,
        consumed=sub.consumed,
    )


def _id(sub: Subscription) -> str:
    return subscription_id(sub.slot, sub.tenant_id)


async def _book(caller: Caller, customer_id: str) -> Book:
    await licences.asked(deps(), caller.scope, customer_id)
    return await reading.customer_book(deps().ledgers, caller.scope, customer_id)
