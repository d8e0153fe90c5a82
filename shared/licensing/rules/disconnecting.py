"""Letting a customer go: only after every commitment, and then everything ends (LIC-20, AMB-38)."""

from shared.catalogue.model import SubscriptionType
from shared.licensing.book import LIVE, Book, Decision, guard_row
from shared.licensing.model import CustomerFacts, Standing
from shared.licensing.refusals import MinimumTerm
from shared.licensing.rules import dates, gates


def check_disconnect(book: Book, customer_id: str) -> None:
    """`MinimumTerm` (409) naming the assignment that keeps the customer longest (CUS-30).

    A pool that ends before the minimum term ends the commitment with it (table 5.2).
    """
    blocking = []
    for sub in book.of_customer(customer_id):
        pool = book.pool_of(sub)
        alive = sub.state in LIVE and not dates.is_over(sub, pool, book.day)
        if not alive or sub.type is SubscriptionType.TRIAL or not dates.is_committed(sub, book.day):
            continue
        ends = dates.commitment_ends(sub) or book.day
        if pool is not None and pool.end < ends:
            ends = pool.end + dates.ONE_DAY
        blocking.append((ends, sub))
    if blocking:
        until, youngest = max(blocking, key=lambda pair: (pair[0], pair[1].key))
        raise MinimumTerm(
            f"{youngest.slot} was assigned on {youngest.assigned_on}.",
            rule="LIC-20",
            first_allowed=until,
            subscription=youngest.slot,
        )


def disconnect(book: Book, facts: CustomerFacts, standing: Standing) -> Decision:
    """Expire everything of the customer, so that all seats return; add-ons end (AMB-38)."""
    draft = gates.opened(book, facts, standing)
    check_disconnect(draft.book, facts.customer_id)
    for sub in draft.book.of_customer(facts.customer_id):
        if sub.state in LIVE:
            gates.expire(draft, sub, rules=("AMB-38", "LIC-20"))
    guard = draft.book.guard(facts.customer_id)
    if any(state == "Enabled" for state in guard.add_ons.values()):
        gone = {
            code: "Expired" if state == "Enabled" else state
            for code, state in guard.add_ons.items()
        }
        draft.record(
            "AddOnSet",
            guard.key,
            rules=("SVC-04",),
            sets=guard_row(facts.customer_id, add_ons=gone),
        )
    return draft.decision()
