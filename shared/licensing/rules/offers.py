"""What is offered and asked: terms of a request, service and type, settings, mode, quantity."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from shared.catalogue import rules as catalogue_rules
from shared.catalogue.model import Basis, PaymentModel, Place, PoolItem, Service, SubscriptionType
from shared.licensing.book import Book
from shared.licensing.model import CustomerFacts, Expiration, Mode, Pool
from shared.licensing.refusals import (
    AutoNotSupported,
    InvalidRequest,
    PlanNotSellable,
    PremiumNotAvailable,
    RetentionExceeds,
    TrialOnly,
    TypeNotOffered,
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a subscription is taken with; a trial takes none of it (SVC-20 to 25)."""

    source: str | None = None
    payment_model: PaymentModel | None = None
    name: str | None = None
    """Name of the pool subscription: needed for Fly with several (SVC-42)."""
    pool_id: str | None = None
    quantity: int | None = None
    mode: Mode | None = None
    expiration: Expiration | None = None
    expires_on: date | None = None
    contract_end: date | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was read in the customer's tenant; None: nothing was read."""

    assigned_licences: int | None = None
    counted: Mapping[Basis, int] | None = None
    """The same for every basis that seats can follow."""
    protected: int | None = None


def check_offer(
    book: Book, facts: CustomerFacts, service: Service, wanted: SubscriptionType
) -> None:
    """Refuse what is not offered to this customer in this form (SVC-02, 06, 09, 10, AMB-18)."""
    closed = facts.management_mode == "Customer"
    if closed and catalogue_rules.needs_partner_management(book.catalogue, service):
        raise PremiumNotAvailable(
            f"{service.name} is not offered under customer management.",
            rule="SVC-06" if service.add_on else "SVC-02",
            pointer="/slot",
        )
    if service.add_on or service.legacy:
        what = "an add-on: enable it" if service.add_on else "not selectable any more"
        raise TypeNotOffered(f"{service.name} is {what}.", rule="AMB-18", pointer="/slot")
    if wanted not in service.types:
        if wanted is SubscriptionType.SUBSCRIPTION:
            raise TrialOnly(f"{service.name} is trial only.", rule="SVC-09", pointer="/type")
        raise TypeNotOffered(f"{service.name} has no trial.", rule="SVC-20", pointer="/type")


def checked_settings(
    book: Book,
    at: Place,
    sent: Mapping[str, Any],
    pool: Pool | None,
    held: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The settings in their one spelling; every wrong one is named at once."""
    entitlements = pool.entitlements if pool else {"retentionUnlimited": True}
    settings, faults = catalogue_rules.check_settings(
        book.catalogue, at, sent, entitlements=entitlements, held=held
    )
    if not faults:
        return settings
    first = faults[0]
    pointer = f"/settings/{first.name}"
    if all(fault.code == catalogue_rules.EXCEEDS for fault in faults):
        raise RetentionExceeds(first.detail, rule=first.rule, pointer=pointer)
    if all(fault.code == catalogue_rules.NOT_SELLABLE for fault in faults):
        raise PlanNotSellable(first.detail, rule=first.rule, pointer=pointer)
    errors = [error(f"/settings/{fault.name}", fault.detail) for fault in faults]
    raise InvalidRequest(errors, rule=first.rule)


def chosen_mode(item: PoolItem | None, wanted: Mode | None) -> Mode:
    """Automatic unless it is not offered or manual is wanted (LIC-41, LIC-43)."""
    can_follow = item is not None and item.auto_adjust
    if wanted is Mode.AUTO and not can_follow:
        raise AutoNotSupported("Enter the quantity yourself.", rule="LIC-43", pointer="/mode")
    return wanted or (Mode.AUTO if can_follow else Mode.MANUAL)


def first_quantity(
    book: Book,
    at: Place,
    terms: Terms,
    mode: Mode,
    settings: Mapping[str, Any],
    measured: Measured,
) -> int:
    """What is taken at first (SVC-26, SVC-35, SVC-37, LIC-42)."""
    part = book.catalogue.part_of(at)
    service = book.catalogue.service_by_code[at.service]
    if catalogue_rules.is_measured(part, settings):
        if terms.quantity is not None:
            detail = "It equals the protected capacity; leave it out."
            raise InvalidRequest([error("/quantity", detail)], rule="SVC-35")
        return max(1, measured.protected or 0)
    if service.unpooled:
        return 0
    if terms.quantity is None:
        if mode is Mode.AUTO and service.licence_basis is not None:
            counted = measured.counted or {}
            return max(1, counted.get(service.licence_basis, measured.assigned_licences or 0))
        name = part.quantity_name if part else "quantity"
        raise InvalidRequest([error("/quantity", f"Enter the {name}.")], rule="LIC-42")
    if terms.quantity < 1:
        raise InvalidRequest([error("/quantity", "At least 1.")], rule="SVC-37")
    return terms.quantity


def error(pointer: str, detail: str) -> dict[str, str]:
    """One wrong field."""
    return {"pointer": pointer, "detail": detail}
