"""A reseller's pool passed on to partners, side by side with what arrives there (RES-03 to 10).

Two partitions, so two decisions: what leaves one is decided before what enters the other, and a
`Transfer` stays on the reseller's pool until both are done. There is never more out than in.
Whether seats arrive or leave below is decided in the partner's own ledger, once: a refusal is an
event there, so whoever carries a transfer on, and however often, meets the same answer.
"""

from dataclasses import dataclass
from datetime import date

from shared.licensing.book import Book, Decision, Draft
from shared.licensing.ledger import Move
from shared.licensing.model import Pool, Standing, Transfer, pool_key
from shared.licensing.refusals import (
    ActionForbidden,
    InvalidRequest,
    PoolExhausted,
    PoolNotActive,
    Tier2NotEnabled,
)
from shared.licensing.rules import dates, gates, pools


@dataclass(frozen=True, slots=True)
class Passing:
    """Seats between a reseller's pool and a partner's."""

    transfer_id: str
    pool_id: str
    """The reseller's pool."""
    partner_id: str
    """The partner that receives or gives back."""
    quantity: int


def child_id(pool_id: str) -> str:
    """The id of a partner's pool that is fed from this one: the same for every transfer."""
    return f"{pool_id}-t2"


ARRIVED = frozenset({"Received", "GivenBack"})
"""Events that say that a transfer was done at the partner."""


def check_reseller(standing: Standing) -> None:
    """`check_may_resell`, and nothing while licence management rests (LIC-55)."""
    gates.check_standing(standing)
    check_may_resell(standing)


def check_may_resell(standing: Standing) -> None:
    """`Tier2NotEnabled` until the operator enables it; 403 for who is no reseller (RES-01, 06)."""
    if not standing.tier2_enabled:
        raise Tier2NotEnabled("Ask the operator to enable tier 2.", rule="RES-06")
    if not standing.is_reseller:
        raise ActionForbidden("Only a reseller passes pools on.", rule="RES-04")


def begin_out(book: Book, standing: Standing, passing: Passing, actor: str = "") -> Decision:
    """At the reseller: seats leave the pool for the partner (RES-04)."""
    check_reseller(standing)
    draft = Draft(book)
    pool = book.pool(passing.pool_id)
    if pool.parent_pool is not None:
        raise ActionForbidden("What was passed on is not passed on again.", rule="RES-05")
    _check_quantity(passing.quantity)
    pools.check_open(pool, book.day)
    pools.check_enough(pool, passing.quantity, book.day)
    transfer = Transfer(
        partner_id=passing.partner_id,
        quantity=passing.quantity,
        direction="out",
        since=book.day,
        actor=actor,
    )
    _record_reseller(
        draft,
        "PassedOn",
        pool,
        transfers={**pool.transfers, passing.transfer_id: transfer},
        children={**pool.children, passing.partner_id: child_id(pool.pool_id)},
        moves=[_passed(pool.pool_id, passing.quantity)],
        rules=("RES-04", "LIC-56"),
    )
    return draft.decision()


def receive(book: Book, parent: Pool, parent_partner: str, quantity: int) -> Decision:
    """At the partner: the pool appears or grows; it inherits everything (RES-05, RES-08).

    What comes after the reseller's pool has ended is not taken: a "ReceiptRefused".
    """
    draft = Draft(book)
    pool_id = child_id(parent.pool_id)
    key = pool_key(pool_id)
    if parent.end < book.day:
        draft.record("ReceiptRefused", f"parent~{pool_id}", rules=("RES-08",))
        return draft.decision()
    move = Move(source=f"parent~{pool_id}", target=key, quantity=quantity, pool=pool_id)
    begins = max(parent.start, book.day)
    if pool_id in book.pools:
        sets = {key: {"end": parent.end, "parent_end": parent.end}}
    else:
        child = Pool(
            pool_id=pool_id,
            item=parent.item,
            name=parent.name,
            channel=parent.channel,
            source=parent.source,
            payment_model=parent.payment_model,
            payment_option=parent.payment_option,
            start=begins,
            end=parent.end,
            contract_effective=parent.contract_effective,
            entitlements=parent.entitlements,
            recorded_phase="Active" if begins <= book.day else "Scheduled",
            parent_partner=parent_partner,
            parent_pool=parent.pool_id,
            parent_end=parent.end,
        )
        counters = {"total", "assigned", "passed_on", "burnt"}
        sets = {key: child.model_dump(mode="json", exclude=counters)}
    draft.record("Received", key, rules=("RES-05", "RES-08"), moves=[move], sets=sets)
    return draft.decision()


def check_return(standing: Standing, passing: Passing) -> None:
    """Whether a reseller may ask for seats back at all."""
    check_reseller(standing)
    _check_quantity(passing.quantity)


def begin_back(book: Book, standing: Standing, passing: Passing, actor: str = "") -> Decision:
    """At the reseller: note that seats are wanted back; nothing moves yet."""
    check_return(standing, passing)
    draft = Draft(book)
    pool = book.pool(passing.pool_id)
    if passing.partner_id not in pool.children:
        raise ActionForbidden("Nothing was passed on to this partner.", rule="RES-09")
    transfer = Transfer(
        partner_id=passing.partner_id,
        quantity=passing.quantity,
        direction="back",
        since=book.day,
        actor=actor,
    )
    transfers = {**pool.transfers, passing.transfer_id: transfer}
    _record_reseller(draft, "ReturnAsked", pool, transfers=transfers, rules=("RES-09",))
    return draft.decision()


def give_back(book: Book, pool_id: str, quantity: int) -> Decision:
    """At the partner: free seats leave; what customers hold stays (RES-09).

    More than are free do not leave: a "ReturnRefused".
    """
    draft = Draft(book)
    pool = book.pools.get(pool_id)
    if pool is None or quantity > pool.available:
        draft.record("ReturnRefused", f"parent~{pool_id}", rules=("RES-09",))
        return draft.decision()
    move = Move(
        source=pool_key(pool_id), target=f"parent~{pool_id}", quantity=quantity, pool=pool_id
    )
    draft.record("GivenBack", pool_key(pool_id), rules=("RES-09",), moves=[move])
    return draft.decision()


def in_use(available: int) -> PoolExhausted:
    """The refusal for who asked for more back than is free (RES-09)."""
    return PoolExhausted(
        f"{max(0, available)} are free, the others are in use.",
        rule="RES-09",
        pointer="/quantity",
        available=max(0, available),
    )


def ended_meanwhile() -> PoolNotActive:
    """The refusal for seats whose pool ended before they arrived (RES-08)."""
    return PoolNotActive("The pool has ended; the seats stayed.", rule="RES-08")


def finish(book: Book, pool_id: str, transfer_id: str, *, arrived: bool) -> Decision:
    """At the reseller: close the transfer; seats come home when that is where they end.

    An outward transfer that did not arrive and an inward one that did: seats return to the pool.
    """
    draft = Draft(book)
    pool = book.pool(pool_id)
    transfer = pool.transfers.get(transfer_id)
    if transfer is None:
        return draft.decision()
    left = {key: value for key, value in pool.transfers.items() if key != transfer_id}
    comes_home = arrived == (transfer.direction == "back")
    moves = [_passed(pool_id, transfer.quantity).model_copy(update=_turned(pool_id))]
    _record_reseller(
        draft,
        "TransferDone" if arrived else "TransferUndone",
        pool,
        transfers=left,
        moves=moves if comes_home else [],
        rules=("RES-04",) if transfer.direction == "out" else ("RES-09",),
    )
    return draft.decision()


def follow_parent(book: Book, pool_id: str, parent_end: date) -> Decision:
    """At the partner: the end moves with the reseller's pool (RES-08, 24.1 e)."""
    draft = Draft(book)
    pool = book.pools.get(pool_id)
    if pool is None or pool.end == parent_end or pool.recorded_phase == "Ended":
        return draft.decision()
    key = pool_key(pool_id)
    sets = {key: {"end": parent_end, "parent_end": parent_end}}
    effective = dates.told_late(parent_end, pool.moved_on, book.day)
    draft.record("PoolFollowed", key, rules=("RES-08", "LIC-11"), sets=sets, effective=effective)
    return draft.decision()


def _check_quantity(quantity: int) -> None:
    if quantity < 1:
        raise InvalidRequest([{"pointer": "/quantity", "detail": "At least 1."}], rule="RES-04")


def _passed(pool_id: str, quantity: int) -> Move:
    return Move(
        source=pool_key(pool_id), target=f"passed~{pool_id}", quantity=quantity, pool=pool_id
    )


def _turned(pool_id: str) -> dict[str, str]:
    return {"source": f"passed~{pool_id}", "target": pool_key(pool_id)}


def _record_reseller(
    draft: Draft,
    kind: str,
    pool: Pool,
    *,
    transfers: dict[str, Transfer],
    rules: tuple[str, ...],
    children: dict[str, str] | None = None,
    moves: list[Move] | None = None,
) -> None:
    key = pool_key(pool.pool_id)
    values: dict[str, object] = {"transfers": transfers}
    if children is not None:
        values["children"] = children
    draft.record(kind, key, rules=rules, moves=moves or [], sets={key: values})
