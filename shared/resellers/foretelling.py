"""A transfer between a partner and its reseller, told in advance on the books of both."""

from typing import TYPE_CHECKING, Literal

from shared.access.model import Scope
from shared.kit.ids import new_id
from shared.licensing import service
from shared.licensing.book import Book, Decision
from shared.licensing.rules import tier2
from shared.licensing.rules.tier2 import Passing
from shared.licensing.service import Preview
from shared.licensing.wishes import Wish
from shared.resellers import repository, rules
from shared.resellers.service import may_resell

if TYPE_CHECKING:
    from shared.bootstrap import Deps


async def transfer(
    deps: "Deps",
    scope: Scope,
    direction: Literal["out", "back"],
    *,
    pool_id: str,
    reseller_id: str,
    quantity: int,
) -> Preview:
    """What passing on or taking back would do at this partner, or why not; nothing is changed.

    Raises `Tier2NotEnabled`, `ResellerUnknown` and `NotJoined`, as the transfer itself would.
    """
    standing = await may_resell(deps, scope)
    below = rules.joined(await repository.get(deps.tables, scope, reseller_id))
    asked = Passing(new_id(), pool_id, below, quantity)
    begin = tier2.begin_out if direction == "out" else tier2.begin_back
    books = (await deps.ledgers.load(Scope(below))).book if direction == "back" else None

    def decide(book: Book) -> Decision:
        begun = begin(book, standing, asked)
        if books is None:
            return begun
        there = books.pools.get(book.pool(pool_id).children[below])
        if there is None or there.available < quantity:
            raise tier2.in_use(there.available if there else 0)
        after = begun.after  # and home again: what a transfer that arrives ends with
        home = tier2.finish(after, pool_id, asked.transfer_id, arrived=True)
        return Decision((*begun.events, *home.events), book, home.after, home.notices)

    words = f"foretell {direction} {asked!r}"
    return await service.preview(deps.ledgers, scope, Wish(direction, (), decide, words))
