"""Taking a subscription from another pool of the same item (LIC-22 to 24, table 5.2)."""

from shared.licensing.book import HOLDING, Book, Decision, Draft, from_pool
from shared.licensing.model import CustomerFacts, Expiration, Pool, Standing, Subscription
from shared.licensing.refusals import AlreadyAssigned, InvalidRequest, NoPool
from shared.licensing.rules import expiration, gates, pools
from shared.licensing.rules.offers import Terms


def switch_source(
    book: Book, facts: CustomerFacts, standing: Standing, key: str, terms: Terms
) -> Decision:
    """All seats return to the old pool and are taken from the new one, in one commit (LIC-23).

    A new 31-day commitment starts. When the old pool has ended it is a new assignment. The
    payment model may change only if nothing else active of the customer uses the old one.
    """
    draft = gates.opened(book, facts, standing)
    sub = draft.book.sub(key)
    if sub.item is None:
        raise NoPool("It draws on no pool.", rule="LIC-23")
    target = pools.choose(
        draft.book,
        sub.item,
        source=terms.source,
        payment_model=terms.payment_model,
        name=terms.name,
        pool_id=terms.pool_id,
    )
    has_ended = sub.state not in HOLDING and sub.released > 0
    if not has_ended:
        sub = gates.changeable(draft, key)
        if target.pool_id == sub.pool_id:
            raise AlreadyAssigned("It draws on this pool already.", rule="LIC-23")
        pool = draft.book.pool_of(sub)
        expiration.check_commitment_over(sub, pool, draft.day, "LIC-23", anew=True)
    pools.check_rank(draft.book.guard(facts.customer_id).overrides.get(target.item))
    pools.check_open(target, draft.day)
    _check_siblings(draft, sub, target)
    pools.check_guard(draft.book, facts.customer_id, target, leaving=sub)
    _switch(draft, sub, target, terms)
    return draft.decision()


def _check_siblings(draft: Draft, sub: Subscription, target: Pool) -> None:
    """Two tenants of a customer draw on one source: both move or none (LIC-22, SVC-44)."""
    for other in draft.book.of_customer(sub.customer_id):
        holds = other.state in HOLDING and bool(other.lots)
        if other.key != sub.key and other.item == sub.item and holds:
            detail = f"Tenant {other.tenant_id or 'one'} has the same item from {other.source}."
            if other.pool_id != target.pool_id:
                raise AlreadyAssigned(detail, rule="LIC-22", pointer="/source")


def _switch(draft: Draft, sub: Subscription, target: Pool, terms: Terms) -> None:
    quantity = (sub.quantity or sub.released) - gates.burnt(draft.book, sub)
    if quantity < 1:
        detail = "Everything was consumed; nothing is left to move."
        raise InvalidRequest([{"pointer": "/quantity", "detail": detail}], rule="LIC-38")
    pools.check_enough(target, quantity, draft.day)
    mode, chosen = expiration.for_new(target, draft.day, terms.expiration, terms.expires_on)
    taken = from_pool(sub.key, target.pool_id, quantity, draft.day)
    moves = [*gates.returning(draft.book, sub), taken]
    values = {
        "pool_id": target.pool_id,
        "state": "Active",
        "source": target.source,
        "payment_model": target.payment_model,
        "licence_type": pools.licence_type(target),
        "assigned_on": draft.day,
        "expiration": mode if mode is not Expiration.EXPIRE_NOW else Expiration.SAME_AS_POOL,
        "expires_on": chosen,
        "ended_on": None,
        "released": 0,
        "consumed": 0,
        "pending_decrease": None,
        "shortfall": 0,
    }
    rules = ("LIC-23", "LIC-24", "LIC-07")
    draft.record("SourceSwitched", sub.key, rules=rules, moves=moves, sets={sub.key: values})
