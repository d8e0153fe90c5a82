"""What a restore would do, before it is started: count, losses, time, collisions, refusals.

Reads the restore point and changes nothing: neither here nor in Microsoft 365.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.microsoft365.quotas import default_quotas
from shared.microsoft365.share_rows import grants_of, shares_of
from shared.protection import browsing
from shared.protection import repository as protection
from shared.protection.browsing import Opened
from shared.restore import presence, rules
from shared.restore.choosing import Choice, Wanted, choose
from shared.restore.estimate import Estimate, Load, estimate
from shared.restore.fidelity import Loss, Prediction, fidelity
from shared.restore.model import Collision
from shared.vault.model import Row

if TYPE_CHECKING:
    from shared.bootstrap import Deps

NAMED_REFUSALS = 100
"""How many refused items are named; all of them are counted."""

EFFECTS: dict[Collision, str] = {
    "skip": "An item that is there already stays as it is, and its twin is not restored.",
    "copy": "An item that is there already stays; the restored one is put beside it.",
    "replace": "The restored item takes the place of the one that is there; the new one is written "
    "first, the old one goes after (files: it stays as an earlier version).",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item that cannot be restored, and why."""

    item_key: str
    name: str
    code: str


@dataclass(slots=True)
class Preview:
    """What would happen."""

    choice: Choice
    load: Load
    losses: list[Loss]
    estimate: Estimate
    collision: Collision
    expected_collisions: int
    """Chosen items that the newest restore point still holds at the place they go to."""
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)


async def preview(deps: "Deps", scope: Scope, wanted: Wanted) -> Preview:
    """Everything a start would check, and what follows; the refusals of a start are raised."""
    choice = await choose(deps, scope, wanted)
    await presence.check_known(deps, scope, choice)
    opened = choice.opened
    prediction = Prediction(fidelity(), opened.found.workload, permissions=wanted.with_permissions)
    newest = await _newest(deps, scope, choice)
    load, refusals, refused, collisions = Load(), list[Refusal](), 0, 0
    async for row, _ in choice.rows():
        is_folder = row.kind in rules.FOLDER_KINDS
        if not is_folder and not row.has_content:
            refused += 1
            if len(refusals) < NAMED_REFUSALS:
                refusals.append(Refusal(opened.key(row), row.name, "CONTENT_NOT_HELD"))
            continue
        grants = grants_of(shares_of(row.item)).calls if wanted.with_permissions else 0
        load = load.plus(row.size, is_folder=is_folder, grants=grants)
        prediction.add(row.item)
        if not is_folder and newest is not None:
            collisions += _stands(row, await newest.snapshot.row(row.source_id))
    seats = await _seats(deps, scope, choice)
    return Preview(
        choice=choice,
        load=load,
        losses=prediction.losses(),
        estimate=estimate(
            opened.found.workload,
            load,
            default_quotas(),
            seats=seats,
            replace=wanted.collision == "replace",
        ),
        collision=wanted.collision,
        expected_collisions=collisions,
        refused=refused,
        refusals=refusals,
    )


def _stands(was: Row, now: Row | None) -> bool:
    """Whether the item is still where it was: then a restore in place meets it there."""
    return now is not None and now.parent == was.parent and now.name == was.name


async def _newest(deps: "Deps", scope: Scope, choice: Choice) -> Opened | None:
    """Where collisions are looked for: in place only, and only as far as a backup knows."""
    found, target = choice.opened.found, choice.target
    if target.place != "original" or target.object_id != found.object_id:
        return None
    if found.last_point is None or found.last_point.n == choice.opened.head.n:
        return choice.opened
    return await browsing.open_point(deps, scope, found.object_id, found.last_point.n)


async def _seats(deps: "Deps", scope: Scope, choice: Choice) -> int:
    """Licences of the target's tenant as its last session saw them; 0 takes the smallest band."""
    target = await protection.get_object(deps.tables, scope, choice.target.object_id)
    if target.last_session_id is None:
        return 0
    session = await protection.get_session(deps.tables, scope, target.last_session_id)
    return session.seats
