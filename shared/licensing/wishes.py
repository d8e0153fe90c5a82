"""What a caller can wish for: each verb as a value that can be performed, previewed or batched."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from shared.catalogue.model import Basis
from shared.licensing.book import Book, Decision
from shared.licensing.model import CustomerFacts, Expiration, LicenceType, Mode, Standing, sub_key
from shared.licensing.repository import Decide
from shared.licensing.rules import (
    add_ons,
    adjusting,
    assigning,
    disconnecting,
    expiration,
    orders,
    overriding,
    purchases,
    quantities,
    switching,
)
from shared.licensing.rules.assigning import Assign
from shared.licensing.rules.offers import Measured, Terms

NOT_MEASURED = Measured()


@dataclass(frozen=True, slots=True)
class Wish:
    """A verb with everything it needs, but not yet with the books it is decided on."""

    verb: str
    customers: tuple[str, ...]
    decide: Decide
    words: str
    """The request in stable words: a command id stands for one of these."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose subscription, and who asks: what every verb on one subscription begins with."""

    facts: CustomerFacts
    standing: Standing
    slot: str
    tenant_id: str = ""

    @property
    def key(self) -> str:
        """Row key of the subscription."""
        return sub_key(self.facts.customer_id, self.slot, self.tenant_id)


def assign_seats(
    facts: CustomerFacts, standing: Standing, request: Assign, measured: Measured = NOT_MEASURED
) -> Wish:
    """A trial or a subscription for a customer (LIC-04 to 12, SVC-20 to 43)."""

    def decide(book: Book) -> Decision:
        return assigning.assign(book, facts, standing, request, measured)

    return _wish("assignSeats", facts, decide, request)


def convert_trial(at: Place, terms: Terms, measured: Measured = NOT_MEASURED) -> Wish:
    """A trial becomes a subscription (LIC-57)."""
    return _at(at, "convertTrial", assigning.convert_trial, terms, measured)


def increase(at: Place, by: int) -> Wish:
    """More seats (LIC-19)."""
    return _at(at, "increase", quantities.increase, by)


def reduce(at: Place, by: int) -> Wish:
    """Fewer seats (LIC-17, LIC-18)."""
    return _at(at, "reduce", quantities.reduce, by)


def set_quantity(at: Place, to: int) -> Wish:
    """A total (SVC-41)."""
    return _at(at, "setQuantity", quantities.set_quantity, to)


def set_mode(at: Place, mode: Mode) -> Wish:
    """Automatic or manual (LIC-41)."""
    return _at(at, "setMode", quantities.set_mode, mode)


def change_settings(
    at: Place,
    settings: Mapping[str, Any] | None = None,
    contract_end: date | None = None,
) -> Wish:
    """Service settings; a null removes one (SVC-24, SVC-30 to 43)."""

    def decide(book: Book) -> Decision:
        return quantities.change_settings(
            book, at.facts, at.standing, at.key, settings=settings, contract_end=contract_end
        )

    return _wish("changeSettings", at.facts, decide, at.key, settings, contract_end)


def expire(at: Place) -> Wish:
    """End it now (LIC-14)."""
    return _at(at, "expire", expiration.expire)


def set_expiration(
    at: Place, mode: Expiration | None = None, expires_on: date | None = None
) -> Wish:
    """Same as pool, now, or a day (LIC-10 to 15)."""

    def decide(book: Book) -> Decision:
        return expiration.set_expiration(
            book, at.facts, at.standing, at.key, mode=mode, expires_on=expires_on
        )

    return _wish("setExpiration", at.facts, decide, at.key, mode, expires_on)


def switch_source(at: Place, terms: Terms) -> Wish:
    """Another pool of the same item (LIC-23)."""
    return _at(at, "switchSource", switching.switch_source, terms)


def set_hidden(facts: CustomerFacts, *, hidden: bool) -> Wish:
    """Hide or show expired services (CUS-24)."""

    def decide(book: Book) -> Decision:
        return add_ons.set_hidden(book, facts, hidden=hidden)

    return _wish("setHidden", facts, decide, hidden)


def set_add_on(facts: CustomerFacts, standing: Standing, code: str, *, enabled: bool) -> Wish:
    """Enable or disable an add-on (SVC-05 to 08)."""

    def decide(book: Book) -> Decision:
        return add_ons.set_add_on(book, facts, standing, code, enabled=enabled)

    return _wish("setAddOn", facts, decide, code, enabled)


def change_management(facts: CustomerFacts) -> Wish:
    """What a switch to customer management ends (SVC-06)."""

    def decide(book: Book) -> Decision:
        return add_ons.change_management(book, facts)

    return _wish("changeManagement", facts, decide, facts.management_mode)


def disconnect(facts: CustomerFacts, standing: Standing) -> Wish:
    """End everything of a customer that leaves (LIC-20, AMB-38)."""

    def decide(book: Book) -> Decision:
        return disconnecting.disconnect(book, facts, standing)

    return _wish("disconnect", facts, decide)


def begin_override(facts: CustomerFacts, item: str, licence_type: LicenceType) -> Wish:
    """A CMP or Enterprise licence of the customer begins (LIC-35)."""

    def decide(book: Book) -> Decision:
        return overriding.override(book, facts.customer_id, item, licence_type)

    return _wish("beginOverride", facts, decide, item, licence_type)


def end_override(facts: CustomerFacts, item: str) -> Wish:
    """A CMP or Enterprise licence of the customer has ended (24.2)."""

    def decide(book: Book) -> Decision:
        return overriding.end_override(book, facts.customer_id, item)

    return _wish("endOverride", facts, decide, item)


def note_consumption(at: Place, consumed: int) -> Wish:
    """What the customer has used up for good; it never falls (LIC-38)."""

    def decide(book: Book) -> Decision:
        return quantities.note_consumption(book, at.key, consumed)

    return _wish("noteConsumption", at.facts, decide, at.key, consumed)


def note_protected(at: Place, protected: int) -> Wish:
    """How many are backed up (LIC-53)."""

    def decide(book: Book) -> Decision:
        return quantities.note_protected(book, at.key, protected)

    return _wish("noteProtected", at.facts, decide, at.key, protected)


def end_early(at: Place, reason: str) -> Wish:
    """The operator ends it inside its commitment (AMB-03)."""

    def decide(book: Book) -> Decision:
        return expiration.end_early(book, at.facts, at.key, reason)

    return _wish("endEarly", at.facts, decide, at.key, reason)


def follow_tenant(
    facts: CustomerFacts, standing: Standing, counted: Mapping[Basis, int] | None
) -> Wish:
    """Automatic subscriptions of a customer follow its tenant now (LIC-43 to 45)."""

    def decide(book: Book) -> Decision:
        return adjusting.follow(book, facts, standing, counted)

    return _wish("adjust", facts, decide)


def purchase(order: purchases.Purchase) -> Wish:
    """A new order; called by order processing and the operator only (LIC-03)."""

    def decide(book: Book) -> Decision:
        return purchases.purchase(book, order)

    return Wish("purchase", (), decide, f"purchase {order!r}")


def change_order(order: orders.OrderChange) -> Wish:
    """Quantity, renewal, cancellation, suspension (24.2 Order); see `passing.apply_order`."""

    def decide(book: Book) -> Decision:
        return orders.change(book, order)

    return Wish("changeOrder", (), decide, f"changeOrder {order!r}")


def _at(at: Place, verb: str, rule: Any, *arguments: Any) -> Wish:
    def decide(book: Book) -> Decision:
        decision: Decision = rule(book, at.facts, at.standing, at.key, *arguments)
        return decision

    return _wish(verb, at.facts, decide, at.key, *arguments)


def _wish(verb: str, facts: CustomerFacts, decide: Decide, *words: Any) -> Wish:
    text = " ".join([verb, facts.customer_id, *(repr(word) for word in words)])
    return Wish(verb, (facts.customer_id,), decide, text)
