"""What the operator does at a partner's customer: licences from outside the pools, early ends."""

from typing import Annotated, Any, Literal

from fastapi import Body, Depends, Request
from pydantic import Field, StringConstraints

from functions.api import licensing
from functions.api.licence_models import PreviewOut, SubscriptionOut
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller, Scope
from shared.bootstrap import deps
from shared.catalogue.model import SubscriptionType
from shared.customers import licences
from shared.kit.api_model import ApiModel
from shared.licensing import requests, service, wishes
from shared.licensing.model import LicenceType
from shared.licensing.requests import MOST_SEATS, Settings, Slot, Word
from shared.licensing.rules.assigning import Assign
from shared.licensing.rules.offers import Terms
from shared.licensing.wishes import Wish

router = Router(tags=["licences"])
Operator = Annotated[Caller, Depends(requires("pools.order"))]
Reason = Annotated[str, StringConstraints(min_length=3, max_length=500, pattern=r"^[^\x00-\x1f]+$")]
Amount = Annotated[int, Field(ge=0, le=MOST_SEATS, strict=True)]


class _At(ApiModel):
    subscription_id: str = Field(examples=["CBM-M365"])

    def at(self, about: licences.Asked) -> wishes.Place:
        """Whose subscription it is."""
        return requests.place_of(about.facts, about.standing, self.subscription_id)


class BeginOverride(ApiModel):
    """A licence that the customer bought itself begins (LIC-34 to 36)."""

    verb: Literal["beginOverride"]
    item: Slot = Field(examples=["CBM-M365"])
    licence_type: Literal[LicenceType.CMP, LicenceType.ENTERPRISE]

    def wish(self, about: licences.Asked) -> Wish:
        """The wish."""
        return wishes.begin_override(about.facts, self.item, self.licence_type)


class EndOverride(ApiModel):
    """It has ended; what it superseded is active again (24.2)."""

    verb: Literal["endOverride"]
    item: Slot

    def wish(self, about: licences.Asked) -> Wish:
        """The wish."""
        return wishes.end_override(about.facts, self.item)


class EndEarly(_At):
    """End a subscription inside its commitment; the reason stays in the ledger (AMB-03)."""

    verb: Literal["endEarly"]
    reason: Reason

    def wish(self, about: licences.Asked) -> Wish:
        """The wish."""
        return wishes.end_early(self.at(about), self.reason)


class NoteConsumption(_At):
    """What was used up for good: Fly (LIC-38)."""

    verb: Literal["noteConsumption"]
    consumed: Amount

    def wish(self, about: licences.Asked) -> Wish:
        """The wish."""
        return wishes.note_consumption(self.at(about), self.consumed)


class NoteProtected(_At):
    """How many users are backed up, or how much (LIC-53)."""

    verb: Literal["noteProtected"]
    protected: Amount

    def wish(self, about: licences.Asked) -> Wish:
        """The wish."""
        return wishes.note_protected(self.at(about), self.protected)


class RecordPlan(ApiModel):
    """A customer comes from another channel with its plan (SVC-45): it is shown, never sold."""

    verb: Literal["recordPlan"]
    slot: Slot = Field(examples=["VDC"])
    settings: Settings = Field(examples=[{"plan": "Premium"}])

    def wish(self, about: licences.Asked) -> Wish:
        """The wish."""
        terms = Terms(settings=self.settings)
        asked = Assign(self.slot, SubscriptionType.SUBSCRIPTION, terms, migrated=True)
        return wishes.assign_seats(about.facts, about.standing, asked)


Intervention = Annotated[
    BeginOverride | EndOverride | EndEarly | NoteConsumption | NoteProtected | RecordPlan,
    Field(discriminator="verb"),
]


class InterventionIn(ApiModel):
    """At whose customer, and what."""

    partner_id: Word
    customer_id: Word
    change: Intervention


class InterventionOut(ApiModel):
    """The customer's subscriptions afterwards."""

    value: list[SubscriptionOut]
    events: list[int] = Field(description="Numbers in the partner's ledger")
    notices: list[dict[str, Any]]


@router.post("/licence-interventions", operation_id="licences_intervene", summary="Intervene")
async def intervene(body: InterventionIn, request: Request, caller: Operator) -> InterventionOut:
    """By the operator only; the partner's ledger and history name it."""
    scope, wish = await _asked(body)
    with licensing.placed("/change"):
        command = licensing.command_of(request, caller)
        done = await licensing.perform(scope, command, wish)
    subs = sorted(done.book.of_customer(body.customer_id), key=lambda each: each.key)
    return InterventionOut(
        value=[SubscriptionOut.of(done.book, each) for each in subs],
        events=[event.seq for event in done.events],
        notices=list(done.notices),
    )


@router.post(
    "/licence-interventions:preview",
    operation_id="licences_preview_intervention",
    summary="What would it do?",
)
async def preview(body: Annotated[InterventionIn, Body()], _: Operator) -> PreviewOut:
    """Nothing is changed."""
    scope, wish = await _asked(body)
    return licensing.told(await service.preview(deps().ledgers, scope, wish))


async def _asked(body: InterventionIn) -> tuple[Scope, Wish]:
    """The partner's books and the wish; `NotFound` for a stranger among partners or customers."""
    given, scope = deps(), Scope(body.partner_id)
    await given.partners.home_of(scope)
    about = await licences.asked(given, scope, body.customer_id)
    with licensing.placed("/change"):
        return scope, body.change.wish(about)
