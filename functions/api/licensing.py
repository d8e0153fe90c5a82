"""How licensing's routes carry out a wish: once per Idempotency-Key, refusals at their place."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from fastapi import Request

from functions.api import exchange
from functions.api.licence_models import PreviewOut, SubscriptionOut
from shared.access.model import Caller, Scope
from shared.bootstrap import deps
from shared.customers import licences
from shared.kit.errors import HoldfastError
from shared.kit.etags import check_if_match
from shared.kit.ids import new_id
from shared.licensing import service
from shared.licensing.book import Book, Decision
from shared.licensing.repository import Command, Outcome
from shared.licensing.requests import AssignIn, Foreseen, located
from shared.licensing.service import Preview
from shared.licensing.wishes import Wish


def command_of(request: Request, caller: Caller) -> Command:
    """The command behind a request: a repeat under one Idempotency-Key is the same command."""
    claim = exchange.of(request.scope).claim
    return Command(actor_of(caller), id=claim.seed if claim else new_id())


def actor_of(caller: Caller) -> str:
    """Who the ledger names."""
    return f"{caller.principal.kind}:{caller.principal.subject}"


@contextmanager
def placed(under: str = "") -> Iterator[None]:
    """Give the fields that a rule refuses as places in the body, below `under`."""
    try:
        yield
    except HoldfastError as refused:
        refused.errors = located(refused.errors, under)
        raise


async def carry_out(
    request: Request, caller: Caller, customer_id: str, change: "Foreseen | AssignIn"
) -> Outcome:
    """Perform a change of one customer."""
    given = deps()
    about = await licences.asked(given, caller.scope, customer_id)
    with placed():
        wish = await licences.wish_of(given, about, change)
        return await perform(caller.scope, command_of(request, caller), wish)


async def perform(scope: Scope, command: Command, wish: Wish) -> Outcome:
    """Perform a wish on this process's ledgers."""
    return await service.perform(deps().ledgers, scope, command, wish)


def told(preview: Preview, under: str = "/change") -> PreviewOut:
    """A preview with the fields that a rule refuses as places in the body, below `under`."""
    if preview.refusal is not None:
        preview.refusal.errors = located(preview.refusal.errors, under)
    return PreviewOut.of(preview)


def only_if(wish: Wish, key: str, if_match: str | None) -> Wish:
    """The wish under the condition that the subscription is still what its reader saw.

    Looked at inside the decision, so that nobody's change can slip in between.
    """

    def decide(book: Book) -> Decision:
        held = book.subs.get(key)
        if held is not None:
            check_if_match(if_match, SubscriptionOut.of(book, held).etag)
        return wish.decide(book)

    return replace(wish, decide=decide)
