"""What a caller may ask of a customer's licences, as JSON: each verb's members, and its wish."""

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, StringConstraints

from shared.catalogue.model import PaymentModel, SubscriptionType
from shared.kit.api_model import ApiModel
from shared.licensing import wishes
from shared.licensing.model import CustomerFacts, Expiration, Mode, Standing
from shared.licensing.refusals import NotSubscribed
from shared.licensing.rules.assigning import Assign
from shared.licensing.rules.offers import Measured, Terms
from shared.licensing.wishes import Place, Wish

# Above any pool that is sold, below what a stored integer holds.
MOST_SEATS = 10_000_000
_ID = re.compile(r"([A-Za-z0-9.-]{1,64})(?:~([0-9A-Za-z-]{1,64}))?")

Flag = Annotated[bool, Field(strict=True)]
Seats = Annotated[int, Field(ge=1, le=MOST_SEATS, strict=True)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
Slot = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,64}$")]
Settings = Annotated[dict[Word, JsonValue], Field(max_length=50)]


def subscription_id(slot: str, tenant_id: str = "") -> str:
    """The id of a subscription below its customer."""
    return f"{slot}~{tenant_id}" if tenant_id else slot


def place_of(facts: CustomerFacts, standing: Standing, some_id: str) -> Place:
    """Whose subscription an id names; `NotSubscribed` (404) for one of no good form."""
    match = _ID.fullmatch(some_id)
    if match is None:
        raise NotSubscribed("The customer has no such subscription.", rule="24.1 f")
    return Place(facts, standing, match[1], match[2] or "")


class TermsIn(ApiModel):
    """What a subscription is taken with (SVC-20 to 43)."""

    source: Word | None = Field(default=None, examples=["Direct"])
    payment_type: PaymentModel | None = None
    subscription_name: Word | None = Field(default=None, description="Of the pool: Fly (SVC-42)")
    pool_id: Word | None = None
    quantity: Seats | None = None
    mode: Mode | None = None
    expiration: Expiration | None = None
    expires_on: date | None = None
    contract_end_date: date | None = Field(default=None, description="For you; without effect")
    settings: Settings = Field(default={}, description="Those of the catalogue")

    def terms(self) -> Terms:
        """The same in the words of the rules."""
        return Terms(
            source=self.source,
            payment_model=self.payment_type,
            name=self.subscription_name,
            pool_id=self.pool_id,
            quantity=self.quantity,
            mode=self.mode,
            expiration=self.expiration,
            expires_on=self.expires_on,
            contract_end=self.contract_end_date,
            settings=self.settings,
        )


class AssignIn(TermsIn):
    """A trial or a subscription of one slot of the catalogue."""

    slot: Slot = Field(examples=["CBM-M365"])
    type: SubscriptionType = SubscriptionType.SUBSCRIPTION
    tenant_id: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{0,64}$")] = Field(
        default="", description="Left out while the customer has one tenant"
    )

    def wish(self, facts: CustomerFacts, standing: Standing, measured: Measured) -> Wish:
        """The wish."""
        asked = Assign(self.slot, self.type, self.terms(), self.tenant_id)
        return wishes.assign_seats(facts, standing, asked, measured)


class SeatsIn(ApiModel):
    """How many."""

    quantity: Seats


class ModeIn(ApiModel):
    """Who decides on the quantity (LIC-41)."""

    mode: Mode


class ExpirationIn(ApiModel):
    """Same as the pool, or a day (SVC-23)."""

    expiration: Expiration | None = None
    expires_on: date | None = None


class SourceIn(ApiModel):
    """Which pool to move to (LIC-23)."""

    source: Word | None = Field(default=None, examples=["Direct"])
    payment_type: PaymentModel | None = None
    subscription_name: Word | None = None
    pool_id: Word | None = None
    expiration: Expiration | None = None
    expires_on: date | None = None

    def terms(self) -> Terms:
        """The same in the words of the rules."""
        return Terms(
            source=self.source,
            payment_model=self.payment_type,
            name=self.subscription_name,
            pool_id=self.pool_id,
            expiration=self.expiration,
            expires_on=self.expires_on,
        )


class SettingsIn(ApiModel):
    """Settings to change; null removes one, what is left out stays (SVC-24, SVC-30 to 43)."""

    settings: Settings = {}
    contract_end_date: date | None = None


class _One(ApiModel):
    subscription_id: str = Field(examples=["CBM-M365"])

    def at(self, facts: CustomerFacts, standing: Standing) -> Place:
        """Whose subscription it is."""
        return place_of(facts, standing, self.subscription_id)


class AssignChange(AssignIn):
    """Assign."""

    verb: Literal["assign"]


class ConvertChange(_One, TermsIn):
    """A trial becomes a subscription (LIC-57)."""

    verb: Literal["convert"]

    def wish(self, facts: CustomerFacts, standing: Standing, measured: Measured) -> Wish:
        """The wish."""
        return wishes.convert_trial(self.at(facts, standing), self.terms(), measured)


class IncreaseChange(_One, SeatsIn):
    """More seats (LIC-19)."""

    verb: Literal["increase"]

    def wish(self, facts: CustomerFacts, standing: Standing, _: Measured) -> Wish:
        """The wish."""
        return wishes.increase(self.at(facts, standing), self.quantity)


class ReduceChange(_One, SeatsIn):
    """Fewer seats (LIC-17)."""

    verb: Literal["reduce"]

    def wish(self, facts: CustomerFacts, standing: Standing, _: Measured) -> Wish:
        """The wish."""
        return wishes.reduce(self.at(facts, standing), self.quantity)


class SetQuantityChange(_One, SeatsIn):
    """A total (SVC-41)."""

    verb: Literal["setQuantity"]

    def wish(self, facts: CustomerFacts, standing: Standing, _: Measured) -> Wish:
        """The wish."""
        return wishes.set_quantity(self.at(facts, standing), self.quantity)


class SetModeChange(_One, ModeIn):
    """Automatic or manual (LIC-41)."""

    verb: Literal["setMode"]

    def wish(self, facts: CustomerFacts, standing: Standing, _: Measured) -> Wish:
        """The wish."""
        return wishes.set_mode(self.at(facts, standing), self.mode)


class ExpireChange(_One):
    """End it now (LIC-14)."""

    verb: Literal["expire"]

    def wish(self, facts: CustomerFacts, standing: Standing, _: Measured) -> Wish:
        """The wish."""
        return wishes.expire(self.at(facts, standing))


class SetExpirationChange(_One, ExpirationIn):
    """Choose the last day (LIC-10 to 15)."""

    verb: Literal["setExpiration"]

    def wish(self, facts: CustomerFacts, standing: Standing, _: Measured) -> Wish:
        """The wish."""
        at = self.at(facts, standing)
        return wishes.set_expiration(at, self.expiration, self.expires_on)


class SwitchSourceChange(_One, SourceIn):
    """Another pool of the same item (LIC-23)."""

    verb: Literal["switchSource"]

    def wish(self, facts: CustomerFacts, standing: Standing, _: Measured) -> Wish:
        """The wish."""
        return wishes.switch_source(self.at(facts, standing), self.terms())


class ChangeSettingsChange(_One, SettingsIn):
    """Settings and the informational contract end (SVC-24)."""

    verb: Literal["changeSettings"]

    def wish(self, facts: CustomerFacts, standing: Standing, _: Measured) -> Wish:
        """The wish."""
        at = self.at(facts, standing)
        return wishes.change_settings(at, self.settings, self.contract_end_date)


class SetAddOnChange(ApiModel):
    """Enable or disable an add-on (SVC-05)."""

    verb: Literal["setAddOn"]
    add_on: Slot
    is_enabled: Flag

    def wish(self, facts: CustomerFacts, standing: Standing, _: Measured) -> Wish:
        """The wish."""
        return wishes.set_add_on(facts, standing, self.add_on, enabled=self.is_enabled)


class DisconnectChange(ApiModel):
    """End everything of a customer that leaves (LIC-20): can be previewed here, not done."""

    verb: Literal["disconnect"]

    def wish(self, facts: CustomerFacts, standing: Standing, _: Measured) -> Wish:
        """The wish."""
        return wishes.disconnect(facts, standing)


class SetHiddenChange(ApiModel):
    """Hide or show expired services (CUS-24)."""

    verb: Literal["setHidden"]
    is_hidden: Flag

    def wish(self, facts: CustomerFacts, _: Standing, __: Measured) -> Wish:
        """The wish."""
        return wishes.set_hidden(facts, hidden=self.is_hidden)


class AdjustChange(ApiModel):
    """Let automatic subscriptions follow the tenant's licences now (LIC-43 to 45)."""

    verb: Literal["adjust"]

    def wish(self, facts: CustomerFacts, standing: Standing, measured: Measured) -> Wish:
        """The wish."""
        return wishes.follow_tenant(facts, standing, measured.counted)


_Change = (
    AssignChange
    | ConvertChange
    | IncreaseChange
    | ReduceChange
    | SetQuantityChange
    | SetModeChange
    | ExpireChange
    | SetExpirationChange
    | SwitchSourceChange
    | ChangeSettingsChange
    | SetAddOnChange
)
Change = Annotated[_Change, Field(discriminator="verb")]
"""One verb with its members: what is batched."""
Foreseen = Annotated[
    _Change | SetHiddenChange | AdjustChange | DisconnectChange, Field(discriminator="verb")
]
"""What can be previewed."""


def located(errors: list[dict[str, Any]], under: str = "") -> list[dict[str, Any]]:
    """Pointers of the rules as places in a body, below the member `under`."""
    return [{**one, "pointer": f"#{under}{one['pointer'].removeprefix('#')}"} for one in errors]
