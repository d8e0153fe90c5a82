"""Use cases of resellers: invite, accept, edit, remove; what each was passed (RES-01 to 05)."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from shared.access.model import Caller, Scope
from shared.kit.etags import check_if_match, strong_etag
from shared.kit.seeds import made_id
from shared.kit.tables import RowExists
from shared.licensing import standings
from shared.licensing.model import Pool, Standing
from shared.licensing.repository import TABLE
from shared.licensing.rules import tier2
from shared.resellers import repository, rules
from shared.resellers.model import Above, Reseller, ResellerState

if TYPE_CHECKING:
    from shared.bootstrap import Deps

_KIND = "hfr"
"""What a token begins with, so that scanners for lost secrets know it."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a reseller has of one pool: what was passed on, never what its customers hold."""

    pool_id: str
    item: str
    passed_on: int
    end: date


async def may_resell(deps: "Deps", scope: Scope) -> Standing:
    """The partner's standing; 403 for who may not have resellers (RES-01, RES-06)."""
    standing = await standings.of(deps.tables[TABLE], scope)
    tier2.check_may_resell(standing)
    return standing


async def invite(
    deps: "Deps", caller: Caller, *, display_name: str, email: str
) -> tuple[Reseller, str]:
    """A new reseller and its invitation: the only time the token is told (RES-01).

    A repeated request finds what it made and gets a token anew; the lost one is worth nothing.
    """
    await may_resell(deps, caller.scope)
    reseller_id = made_id("reseller")
    token, token_hash = _fresh(caller.scope.partner_id, reseller_id)
    now = deps.clock.now()
    asked = Reseller(
        reseller_id=reseller_id,
        above=caller.scope.partner_id,
        display_name=display_name,
        email=email,
        token_hash=token_hash,
        invited_at=now,
        invited_by=caller.principal.subject,
        expires_at=now + rules.INVITATION_LIFE,
    )
    try:
        return await repository.add(deps.tables, asked), token
    except RowExists:
        return await invite_again(deps, caller, reseller_id)


async def invite_again(deps: "Deps", caller: Caller, reseller_id: str) -> tuple[Reseller, str]:
    """A fresh invitation; the one before is of no use any more. `AlreadyJoined` (409)."""
    await may_resell(deps, caller.scope)
    found = await repository.get(deps.tables, caller.scope, reseller_id)
    if found.state is ResellerState.ACTIVE:
        raise rules.AlreadyJoined("It is your reseller.")
    token, token_hash = _fresh(found.above, reseller_id)
    now = deps.clock.now()
    changed = {
        "token_hash": token_hash,
        "invited_at": now,
        "invited_by": caller.principal.subject,
        "expires_at": now + rules.INVITATION_LIFE,
    }
    return await repository.save(deps.tables, found.model_copy(update=changed)), token


async def accept(deps: "Deps", caller: Caller, token: str) -> Reseller:
    """The caller's partner becomes a reseller of who invited it (RES-01).

    Its own row first: it is what keeps two from having it; a run cut off after it is repeated.
    """
    scope = caller.scope
    found, done = rules.check_invitation(
        await _invited(deps, token), _hash(token), scope.partner_id, deps.clock.now()
    )
    if done:
        return found
    held = await repository.find_above(deps.tables, scope)
    other = held and await repository.find(deps.tables, Scope(held.partner_id), held.reseller_id)
    rules.check_one_above(held, found, still_there=other is not None)
    wanted = Above(partner_id=found.above, reseller_id=found.reseller_id)
    await repository.put_above(deps.tables, scope, held, wanted)
    joined = {
        "state": ResellerState.ACTIVE,
        "partner_id": scope.partner_id,
        "accepted_at": deps.clock.now(),
    }
    return await repository.save(deps.tables, found.model_copy(update=joined))


async def edit(
    deps: "Deps",
    scope: Scope,
    reseller_id: str,
    if_match: str | None,
    *,
    display_name: str,
    email: str,
) -> Reseller:
    """How the partner calls it (RES-02)."""
    await may_resell(deps, scope)
    found = await repository.get(deps.tables, scope, reseller_id)
    check_if_match(if_match, strong_etag(found.etag))
    changed = {"display_name": display_name, "email": email}
    return await repository.save(deps.tables, found.model_copy(update=changed))


async def remove(deps: "Deps", scope: Scope, reseller_id: str, if_match: str | None) -> None:
    """It is no reseller any more (RES-02); `HoldsSeats` (409) until its seats are back."""
    await may_resell(deps, scope)
    found = await repository.get(deps.tables, scope, reseller_id)
    check_if_match(if_match, strong_etag(found.etag))
    rules.check_removable(sum(share.passed_on for share in await shares(deps, scope, found)))
    await repository.remove(deps.tables, found)


async def shares(deps: "Deps", scope: Scope, reseller: Reseller) -> list[Share]:
    """What the reseller was passed of each living pool, seats under way included (RES-03)."""
    below = reseller.partner_id
    if below is None:
        return []
    own = (await deps.ledgers.load(scope)).book
    fed = [pool for pool in own.pools.values() if below in pool.children and pool.end >= own.day]
    if not fed:
        return []
    theirs = (await deps.ledgers.load(Scope(below))).book.pools
    return [
        Share(pool.pool_id, pool.item, _held(pool, theirs, below), pool.end)
        for pool in sorted(fed, key=lambda each: each.pool_id)
    ]


def _held(pool: Pool, theirs: Mapping[str, Pool], below: str) -> int:
    child = theirs.get(pool.children[below])
    under_way = sum(
        transfer.quantity
        for transfer in pool.transfers.values()
        if transfer.partner_id == below and transfer.direction == "out"
    )
    return (child.total if child else 0) + under_way


async def _invited(deps: "Deps", token: str) -> Reseller | None:
    match token.split("."):
        case [kind, above, reseller_id, _] if kind == _KIND and above and reseller_id:
            if not (above.isalnum() and reseller_id.isalnum()):
                return None
            return await repository.find(deps.tables, Scope(above), reseller_id)
    return None


def _fresh(above: str, reseller_id: str) -> tuple[str, str]:
    token = f"{_KIND}.{above}.{reseller_id}.{secrets.token_urlsafe(32)}"
    return token, _hash(token)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
