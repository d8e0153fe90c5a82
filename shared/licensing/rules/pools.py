"""Which pool an assignment draws on, and whether it can (LIC-04, 05, 09, 22, 24, 35, 36, 58)."""

from datetime import date, timedelta

from shared.catalogue.model import PaymentModel
from shared.licensing.book import HOLDING, LIVE, Book
from shared.licensing.model import LicenceType, Override, Pool, PoolPhase, Subscription
from shared.licensing.refusals import (
    AmbiguousPool,
    InvalidRequest,
    NoPool,
    OverriddenByCmp,
    OverriddenByEnterprise,
    PaymentModelConflict,
    PoolExhausted,
    PoolNotActive,
    PoolOvercommitted,
    SourceAlreadyAssigned,
)
from shared.licensing.rules import dates


def choose(
    book: Book,
    item: str,
    *,
    source: str | None,
    payment_model: PaymentModel | None,
    name: str | None = None,
    pool_id: str | None = None,
) -> Pool:
    """The one pool meant by source, payment type and name (SVC-21, SVC-36, SVC-42, LIC-58)."""
    owned = [pool for pool in book.pools.values() if pool.item == item]
    if not owned:
        label = book.catalogue.item_by_code[item].name
        raise NoPool(f"You own no pool of {label}.", rule="SVC-36", pointer="/slot")
    if pool_id is not None:
        pool = book.pool(pool_id)
        if pool.item != item:
            raise NoPool("This pool holds another item.", rule="LIC-01", pointer="/poolId")
        return pool
    if source is None and len(owned) == 1:
        detail = "source is required for a subscription."
        raise InvalidRequest([{"pointer": "/source", "detail": detail}], rule="SVC-21")
    fitting = [
        pool
        for pool in owned
        if (source is None or source.casefold() in _names(pool))
        and (payment_model is None or pool.payment_model is payment_model)
        and (name is None or pool.name == name)
    ]
    if not fitting:
        raise NoPool("No pool of yours has this source, payment type and name.", rule="LIC-58")
    usable = [p for p in fitting if dates.phase(p, book.day) is not PoolPhase.ENDED] or fitting
    if len(usable) > 1:
        raise _ambiguous(book, usable, source, payment_model)
    return usable[0]


def check_open(pool: Pool, day: date) -> None:
    """`PoolNotActive` or `PoolOvercommitted` unless something can be given today (LIC-05)."""
    stands = dates.phase(pool, day)
    if stands is PoolPhase.SCHEDULED:
        raise PoolNotActive(
            f"The pool begins on {pool.start}.", rule="LIC-05", first_allowed=pool.start
        )
    if stands is PoolPhase.ENDED:
        raise PoolNotActive(f"The pool ended on {pool.end}.", rule="LIC-05")
    if stands is PoolPhase.SUSPENDED:
        raise PoolNotActive("The pool's order is suspended.", rule="24.2 Pool")
    if stands is PoolPhase.OVERCOMMITTED:
        raise PoolOvercommitted(
            f"{-pool.available} more are assigned than the pool holds.", rule="AMB-08"
        )


def check_enough(pool: Pool, quantity: int, day: date) -> None:
    """`PoolExhausted` when less is free (LIC-04)."""
    left = dates.free(pool, day)
    if left is not None and quantity > left:
        raise PoolExhausted(
            f"{quantity} are asked for, {left} are available.",
            rule="LIC-04",
            pointer="/quantity",
            available=left,
        )


def check_guard(book: Book, customer_id: str, pool: Pool, *, leaving: Subscription | None) -> None:
    """One source per item, one payment model per customer (LIC-22, LIC-24).

    `leaving` is the subscription that is about to be replaced and does not count.
    """
    for sub in book.of_customer(customer_id):
        counts = sub.pool_id and sub.state in HOLDING and (sub.lots or sub.state in LIVE)
        if not counts or (leaving is not None and sub.key == leaving.key):
            continue
        held_by = book.pool_of(sub)
        until = dates.expires_on(sub, held_by)
        after = until + timedelta(days=1) if until else None
        if sub.item == pool.item and sub.pool_id != pool.pool_id:
            raise SourceAlreadyAssigned(
                f"The customer has {pool.item} from {sub.source}.",
                rule="LIC-22",
                pointer="/source",
                first_allowed=after,
            )
        if sub.payment_model and sub.payment_model is not pool.payment_model:
            raise PaymentModelConflict(
                f"The customer is on {sub.payment_model} with {sub.slot}.",
                rule="LIC-24",
                pointer="/paymentType",
                first_allowed=after,
            )


def check_rank(override: Override | None) -> None:
    """A pooled licence does not displace one of higher rank (LIC-35, AMB-09)."""
    if override is None:
        return
    if override.licence_type is LicenceType.ENTERPRISE:
        raise OverriddenByEnterprise("An Enterprise licence is active.", rule="LIC-35")
    raise OverriddenByCmp("A marketplace licence of the customer is active.", rule="LIC-35")


def licence_type(pool: Pool) -> LicenceType:
    """The rank class of what comes out of this pool."""
    return LicenceType.DIRECT_POOL if pool.channel == "Direct" else LicenceType.DISTRIBUTOR_POOL


def _names(pool: Pool) -> set[str]:
    return {pool.source.casefold(), pool.channel.casefold()}


def _ambiguous(
    book: Book, pools: list[Pool], source: str | None, payment_model: PaymentModel | None
) -> AmbiguousPool:
    item = book.catalogue.item_by_code[pools[0].item]
    if source is None and len({pool.source for pool in pools}) > 1:
        pointer = "/source"
    elif payment_model is None and len({pool.payment_model for pool in pools}) > 1:
        pointer = "/paymentType"
    else:
        pointer = "/subscriptionName" if item.never_merged else "/poolId"
    rule = "SVC-42" if pointer == "/subscriptionName" else "LIC-58"
    choices = [{"poolId": p.pool_id, "name": p.name, "source": p.source} for p in pools]
    return AmbiguousPool(
        f"{len(pools)} pools of {item.name} fit: say which.",
        rule=rule,
        pointer=pointer,
        pools=choices,
    )
