"""What every change asks first: may the partner, is the subscription in a state to be changed."""

from shared.catalogue.model import SubscriptionType
from shared.licensing.book import LIVE, Book, Draft, to_pool
from shared.licensing.ledger import Move
from shared.licensing.model import CustomerFacts, Standing, State, Subscription
from shared.licensing.refusals import (
    ManagementSuspended,
    SubscriptionEnded,
    SubscriptionSuperseded,
    SubscriptionSuspended,
    TrialNotConfigurable,
)
from shared.licensing.rules import dates


def check_standing(standing: Standing) -> None:
    """`ManagementSuspended` (403) while usage reports are overdue (LIC-55); backups go on."""
    if standing.licence_management_suspended:
        raise ManagementSuspended("Confirm the outstanding usage reports first.", rule="LIC-55")


def opened(book: Book, facts: CustomerFacts, standing: Standing) -> Draft:
    """A draft for a change to one customer; what is over by date is ended in it first.

    So a night that was missed, or the minutes before the sweep of 00:15, change no decision.
    """
    check_standing(standing)
    draft = Draft(book, facts)
    for sub in book.of_customer(facts.customer_id):
        if sub.state in LIVE and dates.is_over(sub, book.pool_of(sub), book.day):
            expire(draft, sub, rules=("LIC-51", "LIC-40"))
    return draft


def changeable(draft: Draft, key: str) -> Subscription:
    """The running subscription under the key; a refusal that says why it cannot be changed."""
    sub = draft.book.sub(key)
    if sub.state is State.TRIAL:
        raise TrialNotConfigurable("Convert the trial first.", rule="SVC-25")
    stands = dates.state_on(sub, draft.book.pool_of(sub), draft.day)
    if stands is State.SUSPENDED:
        raise SubscriptionSuspended("Its pool is suspended.", rule="24.2 Subscription")
    if stands is State.SUPERSEDED:
        raise SubscriptionSuperseded(f"{sub.superseded_by} is in force.", rule="LIC-34")
    if stands is not State.ACTIVE:
        raise SubscriptionEnded("It has expired; assign it anew.", rule="5.2 Pool expired")
    return sub


def expire(
    draft: Draft,
    sub: Subscription,
    *,
    rules: tuple[str, ...],
    kind: str = "Expired",
    note: str = "",
) -> None:
    """End it: seats return, what Fly consumed does not (LIC-38, LIC-40, AMB-11).

    An end by date takes effect on the first day that is not usable, however late it is recorded.
    """
    pool = draft.book.pool_of(sub)
    last = dates.expires_on(sub, pool)
    by_date = last is not None and last < draft.day
    moves = returning(draft.book, sub)
    ended_on = last if by_date else draft.day
    draft.record(
        kind,
        sub.key,
        rules=(*rules, "LIC-38") if burnt(draft.book, sub) else rules,
        moves=moves,
        sets={
            sub.key: {
                "state": State.EXPIRED,
                "ended_on": ended_on,
                "released": sub.quantity or sub.released,
                "pending_decrease": None,
                "shortfall": 0,
            }
        },
        effective=(
            dates.told_late(last + dates.ONE_DAY, sub.moved_on, draft.day)
            if by_date and last
            else None
        ),
        note=note or ("a trial" if sub.type is SubscriptionType.TRIAL else ""),
    )


def burnt(book: Book, sub: Subscription) -> int:
    """What never returns because it was consumed: Fly only (LIC-38)."""
    item = book.catalogue.item_by_code.get(sub.item or "")
    return min(sub.consumed, sub.quantity) if item and item.consumed_stay else 0


def returning(book: Book, sub: Subscription) -> list[Move]:
    """Every lot back to the pool, but what was consumed (LIC-38, LIC-40, AMB-11)."""
    burns = burnt(book, sub)
    moves = []
    for lot in sorted(sub.lots):
        gone = min(burns, sub.lots[lot])
        burns -= gone
        moves.append(to_pool(sub, gone, lot=lot, burn=True))
        moves.append(to_pool(sub, sub.lots[lot] - gone, lot=lot))
    return moves
