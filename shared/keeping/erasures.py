"""Erasure of one person's backups: asked for, approved by a second person, certified.

The vault does it step by step (shared/vault/erasure.py); here is who asked, which objects of which
repositories are meant, and the purge of the personal columns of our own tables.
"""

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import Customer
from shared.keeping import purging, repository
from shared.keeping.model import ERASURE, Erasure, ErasureState
from shared.kit import ids
from shared.kit.errors import Conflict, Forbidden, Unprocessable
from shared.protection import changes, repositories
from shared.protection import repository as protection
from shared.protection.browsing import ref_of
from shared.protection.model import ACTIVE, REMOVED, ProtectedObject
from shared.protection.vaults import open_vault
from shared.vault import erasure as vault_erasure

if TYPE_CHECKING:
    from shared.bootstrap import Deps

_OPEN = frozenset({ErasureState.WAITING, ErasureState.DELETED})
_UNDECIDED = _OPEN | {ErasureState.REQUESTED}


class NothingToErase(Unprocessable):
    """The person has no restore points here."""

    code, title = "NOTHING_TO_ERASE", "There is nothing of this person to erase"


class SamePerson(Forbidden):
    """Two different persons have to want it (vault.md 17.3)."""

    code, title = "SECOND_PERSON_NEEDED", "Another person has to approve"


class AlreadyAsked(Conflict):
    """One erasure of a person at a time."""

    code, title = "ERASURE_UNDER_WAY", "An erasure of this person is under way"


class NotOpen(Conflict):
    """The erasure is not in a state for this."""

    code, title = "ERASURE_NOT_OPEN", "The erasure has gone on or ended"


async def request(
    deps: "Deps", scope: Scope, customer_id: str, *, subject: str, reason: str, by: str
) -> Erasure:
    """Step one: nothing happens yet but that it is written down.

    `NothingToErase`; `AlreadyAsked` while another erasure of the same person is not over.
    """
    for one in await list_erasures(deps, scope, customer_id):
        if one.subject == subject and one.state in _UNDECIDED:
            raise AlreadyAsked("Approve or cancel that one.", erasureId=one.erasure_id)
    objects = await _objects(deps, scope, customer_id, subject)
    if not objects:
        raise NothingToErase(
            "Give the directory id of a user with restore points.", pointer="/userId"
        )
    now = deps.clock.now()
    made = Erasure(
        erasure_id=ids.newest_first(customer_id, ERASURE, now),
        partner_id=scope.partner_id,
        customer_id=customer_id,
        subject=subject,
        object_ids=[one.object_id for one in objects],
        reason=reason,
        requested_by=by,
        requested_at=now,
        updated_at=now,
    )
    await repository.add(deps.tables, customer_id, made.erasure_id, made)
    return made


async def approve(deps: "Deps", scope: Scope, erasure_id: str, *, by: str) -> Erasure:
    """Step two, by another person: the objects are blocked at once, their keys' locks run out.

    `SamePerson`, `NotOpen`; `ErasureRefused` under a legal hold. May be repeated.
    """
    asked = await get(deps, scope, erasure_id)
    if asked.requested_by == by:
        raise SamePerson("Somebody else than who asked for it has to approve it.")
    if asked.state is not ErasureState.REQUESTED:
        raise NotOpen(f"It is {asked.state.value}.")
    customer = await customers.get(deps.tables, scope, asked.customer_id)
    places: defaultdict[str, list[str]] = defaultdict(list)
    default = repositories.default_of(customer).repository_id
    for object_id in asked.object_ids:
        found = await protection.get_object(deps.tables, scope, object_id)
        vault = await open_vault(deps, customer, found.repository_id)
        places[found.repository_id or default].append(await vault.oid(ref_of(found)))
    for repository_id, oids in places.items():
        up = await (await open_vault(deps, customer, repository_id)).upkeep()
        wanted = vault_erasure.Request(
            erasure_id=erasure_id,
            oids=tuple(oids),
            reason=asked.reason,
            approvals=(asked.requested_by, by),
            purged=purging.PURGED,
        )
        await vault_erasure.request(up, wanted)
    await _mark(deps, scope, asked, REMOVED)

    def approved(at: Erasure) -> Erasure | None:
        if at.state is not ErasureState.REQUESTED:
            return None
        update = {
            "state": ErasureState.WAITING,
            "approved_by": by,
            "vaults": dict(places),
            "updated_at": deps.clock.now(),
        }
        return at.model_copy(update=update)

    return await _change(deps, scope, erasure_id, approved)


async def cancel(deps: "Deps", scope: Scope, erasure_id: str) -> Erasure:
    """Until the first key is deleted; then `ErasureRefused` or `NotOpen`."""
    asked = await get(deps, scope, erasure_id)
    if asked.state not in {ErasureState.REQUESTED, ErasureState.WAITING}:
        raise NotOpen(f"It is {asked.state.value}.")
    customer = await customers.get(deps.tables, scope, asked.customer_id)
    for repository_id in asked.vaults:
        up = await (await open_vault(deps, customer, repository_id)).upkeep()
        await vault_erasure.cancel(up, erasure_id)
    await _mark(deps, scope, asked, ACTIVE)

    def cancelled(at: Erasure) -> Erasure | None:
        update = {"state": ErasureState.CANCELLED, "updated_at": deps.clock.now()}
        return at.model_copy(update=update)

    return await _change(deps, scope, erasure_id, cancelled)


async def get(deps: "Deps", scope: Scope, erasure_id: str) -> Erasure:
    """NotFound when unknown or outside the scope."""
    return await repository.get(deps.tables, scope, erasure_id, ERASURE, Erasure)


async def list_erasures(deps: "Deps", scope: Scope, customer_id: str) -> list[Erasure]:
    """Every erasure of a customer, newest first."""
    await customers.get(deps.tables, scope, customer_id)
    return await repository.list_of(deps.tables, scope, customer_id, ERASURE, Erasure)


async def advance_all(deps: "Deps", customer: Customer) -> None:
    """Do what can be done tonight for every open erasure of a customer. May run twice."""
    scope = Scope(customer.partner_id)
    for asked in await list_erasures(deps, scope, customer.customer_id):
        if asked.state in _OPEN:
            await _advance(deps, scope, customer, asked)


async def _advance(deps: "Deps", scope: Scope, customer: Customer, asked: Erasure) -> None:
    documents = []
    for repository_id in asked.vaults:
        up = await (await open_vault(deps, customer, repository_id)).upkeep()
        documents.append(await vault_erasure.advance(up, asked.erasure_id))
    states = {one["state"] for one in documents}
    if states == {"waiting"}:
        return
    is_done = states == {"done"}
    if is_done:
        await purging.purge(deps, scope, asked)
    update = {
        "state": ErasureState.DONE if is_done else ErasureState.DELETED,
        "certificates": [one["certificate"] for one in documents] if is_done else [],
        "updated_at": deps.clock.now(),
    }
    await _change(deps, scope, asked.erasure_id, lambda at: at.model_copy(update=update))


def _blanked(to: dict[str, object], found: ProtectedObject) -> ProtectedObject:
    return found.model_copy(update=to)


async def _objects(
    deps: "Deps", scope: Scope, customer_id: str, subject: str
) -> list[ProtectedObject]:
    found = await protection.list_objects(deps.tables, scope, customer_id)
    return [one for one in found if one.owner_id == subject and one.last_point is not None]


async def _mark(deps: "Deps", scope: Scope, asked: Erasure, state: str) -> None:
    for object_id in asked.object_ids:
        await changes.change_object(
            deps.tables, scope, object_id, partial(_blanked, {"state": state})
        )


async def _change(deps: "Deps", scope: Scope, erasure_id: str, decide) -> Erasure:  # type: ignore[no-untyped-def]
    return await repository.change(deps.tables, scope, erasure_id, ERASURE, Erasure, decide)
