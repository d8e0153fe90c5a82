"""Whether a restore's target is there at all: one clear refusal instead of one for every item.

A start and a preview know what the last discovery saw; the first slice asks Microsoft 365 itself
(asking.py) before it writes anything.
"""

from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.kit.errors import Unprocessable
from shared.protection import repository as protection
from shared.protection.model import DELETED_STATES
from shared.restore.choosing import Choice

if TYPE_CHECKING:
    from shared.bootstrap import Deps

ADVICE = "Name another mailbox, drive, site or team of the same kind in target.objectId."


class TargetGone(Unprocessable):
    """The mailbox, drive, site or team that items would go to does not exist or lets nobody in."""

    code, title = "TARGET_GONE", "The target of the restore is not there"


async def check_known(deps: "Deps", scope: Scope, choice: Choice) -> None:
    """`TargetGone` when the last discovery saw that the target was deleted."""
    found = choice.opened.found
    if choice.target.object_id != found.object_id:
        found = await protection.get_object(deps.tables, scope, choice.target.object_id)
    if found.state in DELETED_STATES:
        raise TargetGone(said(found.display_name, found.state), pointer="/target/objectId")


def said(name: str, state: str) -> str:
    """The refusal in words; the name is empty where it is not known."""
    subject = f"The target {name!r}" if name else "The target"
    return f"{subject} cannot take items: {state.replace('_', ' ')}. Nothing was written. {ADVICE}"
