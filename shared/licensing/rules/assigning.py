"""Giving a service to a customer: a trial, a subscription from a pool, or a trial converted."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from shared.catalogue import rules as catalogue_rules
from shared.catalogue.model import Place, SubscriptionType
from shared.licensing.book import LIVE, Book, Decision, Draft, from_pool
from shared.licensing.model import (
    TRIAL_DAYS,
    CustomerFacts,
    Expiration,
    Pool,
    Standing,
    State,
    Subscription,
    sub_key,
)
from shared.licensing.refusals import (
    AlreadyAssigned,
    InvalidRequest,
    NoPool,
    NotATrial,
    TrialUsed,
)
from shared.licensing.rules import expiration, gates, pools
from shared.licensing.rules.offers import (
    Measured,
    Terms,
    check_offer,
    checked_settings,
    chosen_mode,
    error,
    first_quantity,
)


@dataclass(frozen=True, slots=True)
class Assign:
    """A request to give `slot` to a customer."""

    slot: str
    type: SubscriptionType
    terms: Terms = field(default_factory=Terms)
    tenant_id: str = ""
    migrated: bool = False
    """It comes from another channel: its plan need not be one that providers sell (SVC-45)."""


_FIELDS = {
    "source": "source",
    "payment_model": "paymentType",
    "name": "subscriptionName",
    "pool_id": "poolId",
    "quantity": "quantity",
    "mode": "mode",
    "expiration": "expiration",
    "expires_on": "expiresOn",
    "contract_end": "contractEndDate",
}
_TRIAL_RULES = {"source": "SVC-21", "expiration": "LIC-16", "expires_on": "LIC-16"}


def assign(
    book: Book,
    facts: CustomerFacts,
    standing: Standing,
    request: Assign,
    measured: Measured = Measured(),
) -> Decision:
    """A new trial or subscription; a refusal changes nothing."""
    draft = gates.opened(book, facts, standing)
    at = catalogue_rules.place(book.catalogue, request.slot)
    service = book.catalogue.service_by_code[at.service]
    check_offer(book, facts, service, request.type)
    key = sub_key(facts.customer_id, request.slot, request.tenant_id)
    held = draft.book.subs.get(key)
    if request.type is SubscriptionType.TRIAL:
        _begin_trial(draft, facts, request, at, key, held)
    else:
        pool = None if service.unpooled else _pool(draft.book, at, request.terms)
        _refuse_held(held, pool)
        _begin(draft, facts, request, at, pool, measured, held)
    return draft.decision()


def convert_trial(
    book: Book,
    facts: CustomerFacts,
    standing: Standing,
    key: str,
    terms: Terms,
    measured: Measured = Measured(),
) -> Decision:
    """A trial becomes a first assignment: the pool is charged, the term starts (LIC-57)."""
    draft = gates.opened(book, facts, standing)
    trial = draft.book.sub(key)
    if trial.state is not State.TRIAL:
        raise NotATrial("Only a running trial can be converted.", rule="LIC-57")
    at = catalogue_rules.place(book.catalogue, trial.slot)
    service = book.catalogue.service_by_code[at.service]
    check_offer(book, facts, service, SubscriptionType.SUBSCRIPTION)
    request = Assign(trial.slot, SubscriptionType.SUBSCRIPTION, terms, trial.tenant_id)
    pool = None if service.unpooled else _pool(draft.book, at, terms)
    _begin(draft, facts, request, at, pool, measured, trial)
    return draft.decision()


def _pool(book: Book, at: Place, terms: Terms) -> Pool:
    if at.item is None:
        raise NoPool(
            "Its subscription needs a licence that is not pooled.", rule="AMB-18", pointer="/slot"
        )
    return pools.choose(
        book,
        at.item,
        source=terms.source,
        payment_model=terms.payment_model,
        name=terms.name,
        pool_id=terms.pool_id,
    )


def _refuse_held(held: Subscription | None, pool: Pool | None) -> None:
    if held is None or held.state not in LIVE:
        return
    if held.state is State.TRIAL:
        raise AlreadyAssigned("A trial is running: convert it.", rule="LIC-57")
    if pool is None or held.pool_id == pool.pool_id:
        raise AlreadyAssigned("Change the subscription instead.", rule="24.1 f")
    # another pool: `check_guard` refuses it as a second source


def _begin_trial(
    draft: Draft,
    facts: CustomerFacts,
    request: Assign,
    at: Place,
    key: str,
    held: Subscription | None,
) -> None:
    """A trial: no pool, no terms, one per customer and service (LIC-50, SVC-12, SVC-25, GAP-18)."""
    given = [name for name in _FIELDS if getattr(request.terms, name) is not None]
    errors = [error(f"/{_FIELDS[name]}", "A trial has none.") for name in given]
    settings, faults = catalogue_rules.check_settings(
        draft.book.catalogue, at, request.terms.settings, entitlements={}, trial=True
    )
    errors += [error(f"/settings/{fault.name}", fault.detail) for fault in faults]
    if errors:
        rule = next((_TRIAL_RULES[name] for name in given if name in _TRIAL_RULES), "SVC-25")
        raise InvalidRequest(errors, rule=rule)
    _refuse_held(held, None)
    guard = draft.book.guard(facts.customer_id)
    if at.service in guard.trials:
        raise TrialUsed(
            f"The trial of {at.service} began on {guard.trials[at.service]}.", rule="GAP-18"
        )
    trial = Subscription(
        customer_id=facts.customer_id,
        tenant_id=request.tenant_id,
        slot=at.slot,
        service=at.service,
        part=at.part,
        item=at.item,
        type=SubscriptionType.TRIAL,
        state=State.TRIAL,
        expiration=Expiration.SPECIFIED_DATE,
        expires_on=draft.day + timedelta(days=TRIAL_DAYS - 1),
        settings=settings,
    )
    trials = {**guard.trials, at.service: draft.day}
    draft.record(
        "TrialStarted",
        key,
        rules=("LIC-50", "GAP-18"),
        sets={
            key: _row(trial),
            guard.key: {"customer_id": facts.customer_id, "trials": trials},
        },
    )


def _begin(
    draft: Draft,
    facts: CustomerFacts,
    request: Assign,
    at: Place,
    pool: Pool | None,
    measured: Measured,
    held: Subscription | None,
) -> None:
    """A first assignment: checks in the order field, pool, customer; then one event."""
    terms, day = request.terms, draft.day
    mode = chosen_mode(draft.book.catalogue.item_by_code.get(at.item or ""), terms.mode)
    settings = checked_settings(
        draft.book, at, terms.settings, pool, held=terms.settings if request.migrated else None
    )
    quantity = first_quantity(draft.book, at, terms, mode, settings, measured)
    licence = None
    chosen: tuple[Expiration, date | None] = (Expiration.SAME_AS_POOL, None)
    if pool is not None:
        pools.check_rank(draft.book.guard(facts.customer_id).overrides.get(pool.item))
        pools.check_open(pool, day)
        pools.check_guard(draft.book, facts.customer_id, pool, leaving=None)
        chosen = expiration.for_new(pool, day, terms.expiration, terms.expires_on)
        pools.check_enough(pool, quantity, day)
        licence = pools.licence_type(pool)
    sub = Subscription(
        customer_id=facts.customer_id,
        tenant_id=request.tenant_id,
        slot=at.slot,
        service=at.service,
        part=at.part,
        item=at.item,
        pool_id=pool.pool_id if pool else None,
        licence_type=licence,
        payment_model=pool.payment_model if pool else None,
        source=pool.source if pool else "",
        mode=mode,
        assigned_on=day,
        expiration=chosen[0],
        expires_on=chosen[1],
        contract_end=terms.contract_end,
        settings=settings,
        protected=measured.protected or 0,
    )
    converts = held is not None and held.state is State.TRIAL
    draft.record(
        "TrialConverted" if converts else "Assigned",
        sub.key,
        rules=("LIC-04", "LIC-07", "LIC-57" if converts else "LIC-12"),
        moves=[from_pool(sub.key, pool.pool_id, quantity, day)] if pool else [],
        sets={sub.key: _row(sub)},
    )


def _row(sub: Subscription) -> dict[str, Any]:
    """Every value of a fresh subscription but its lots, which only moves change."""
    return sub.model_dump(mode="json", exclude={"lots"})
