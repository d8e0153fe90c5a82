"""Seats between a partner and its resellers, repeatable step by step; the clock ends what was cut.

Passing on and taking back are `shared.licensing.passing`. A move from one reseller to another is
both in turn: back from the first, on to the second. It is written down before it begins, so it is
never left half done; when the pool closes between the two halves, the seats stay with their owner.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from shared.access.model import Scope
from shared.kit.errors import HoldfastError
from shared.licensing import passing
from shared.licensing.model import Standing
from shared.licensing.repository import Command, Outcome
from shared.licensing.rules import pools, tier2
from shared.licensing.rules.tier2 import Passing
from shared.resellers import repository, rules
from shared.resellers.model import Move
from shared.resellers.service import may_resell

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)

# What was begun was allowed when it was begun.
_BEGUN = Standing(tier2_enabled=True, is_reseller=True)


async def transfer(
    deps: "Deps",
    scope: Scope,
    command: Command,
    direction: Literal["out", "back"],
    *,
    pool_id: str,
    reseller_id: str,
    quantity: int,
) -> Outcome:
    """Pass seats of a pool on to a reseller, or take back what its customers do not hold."""
    standing = await may_resell(deps, scope)
    below = rules.joined(await repository.get(deps.tables, scope, reseller_id))
    asked = Passing(command.id, pool_id, below, quantity)
    verb = passing.pass_on if direction == "out" else passing.take_back
    return await verb(deps.ledgers, scope, command, standing, asked)


async def move(
    deps: "Deps",
    scope: Scope,
    command: Command,
    *,
    pool_id: str,
    source_id: str,
    target_id: str,
    quantity: int,
) -> Outcome:
    """Seats of a pool from one reseller to another; refused at once, everything is as before."""
    tier2.check_reseller(await may_resell(deps, scope))
    source = rules.joined(await repository.get(deps.tables, scope, source_id))
    target = rules.joined(await repository.get(deps.tables, scope, target_id))
    book = (await deps.ledgers.load(scope)).book
    pools.check_open(book.pool(pool_id), book.day)
    asked = Move(
        move_id=command.id,
        actor=command.actor,
        pool_id=pool_id,
        source=source,
        target=target,
        quantity=quantity,
    )
    return await carry_out(deps, scope, await repository.begin_move(deps.tables, scope, asked))


async def carry_out(deps: "Deps", scope: Scope, asked: Move) -> Outcome:
    """Do what is left of a move; with a refusal it is over as well."""
    command, steps = Command(asked.actor), deps.ledgers
    try:
        back = _part(asked, "from", asked.source)
        await passing.take_back(steps, scope, command, _BEGUN, back)
        on = _part(asked, "to", asked.target)
        done = await passing.pass_on(steps, scope, command, _BEGUN, on)
    except HoldfastError as refusal:
        if refusal.status < 500:
            await repository.end_move(deps.tables, scope, asked)
        raise
    await repository.end_move(deps.tables, scope, asked)
    return done


async def finish_everywhere(deps: "Deps") -> dict[str, int]:
    """Partner -> transfers and moves that were carried on; one's trouble keeps nobody waiting."""
    done: dict[str, int] = {}
    for partner_id in await repository.with_resellers(deps.tables[repository.TABLE]):
        try:
            ended = await finish(deps, Scope(partner_id))
        except Exception:  # the next run finds it undone and does it
            log.exception("transfers of %s wait for the next run", partner_id)
            continue
        if ended:
            done[partner_id] = ended
    return done


async def finish(deps: "Deps", scope: Scope) -> int:
    """Carry on what was cut off at one partner; beside a run that still works it does no harm."""
    ended = 0
    for asked in await repository.moves(deps.tables, scope):
        try:
            await carry_out(deps, scope, asked)
        except HoldfastError as refusal:
            if refusal.status >= 500:
                raise
        ended += 1
    return ended + await passing.finish_all(deps.ledgers, scope)


def _part(asked: Move, step: str, partner_id: str) -> Passing:
    whole = Passing(asked.move_id, asked.pool_id, partner_id, asked.quantity)
    return replace(whole, transfer_id=f"{asked.move_id}-{step}")
