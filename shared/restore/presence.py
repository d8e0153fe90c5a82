"""Whether a restore's target is there at all: one clear refusal instead of one for every item.

A start and a preview know what the last discovery saw; the first slice asks Microsoft 365 itself
before it writes anything.
"""

import logging
from typing import TYPE_CHECKING

import msgspec

from shared.access.model import Scope
from shared.kit.errors import Unprocessable
from shared.microsoft365.calls import Call
from shared.microsoft365.errors import ItemFailed, ObjectUnavailable
from shared.microsoft365.faults import Asked
from shared.microsoft365.quotas import drive_units
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url
from shared.protection import repository as protection
from shared.protection.model import DELETED_STATES
from shared.restore.choosing import Choice
from shared.restore.model import Restore

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)

ADVICE = "Name another mailbox, drive, site or team of the same kind in target.objectId."
_SHAPES = {
    "mailbox": ("mail_folders", "user", {"$top": "1", "$select": "id"}),
    "drive": ("drive_root", "drive", {"$select": "id"}),
    "site": ("site", "site", {"$select": "id"}),
    "team": ("channels", "team", {"$select": "id"}),
}
_anything = msgspec.json.Decoder(msgspec.Raw)


class TargetGone(Unprocessable):
    """The mailbox, drive, site or team that items would go to does not exist or lets nobody in."""

    code, title = "TARGET_GONE", "The target of the restore is not there"


async def check_known(deps: "Deps", scope: Scope, choice: Choice) -> None:
    """`TargetGone` when the last discovery saw that the target was deleted."""
    found = choice.opened.found
    if choice.target.object_id != found.object_id:
        found = await protection.get_object(deps.tables, scope, choice.target.object_id)
    if found.state in DELETED_STATES:
        raise TargetGone(_said(found.display_name, found.state), pointer="/target/objectId")


async def ask(transport: GraphTransport, restore: Restore) -> None:
    """`TargetGone` when Microsoft 365 says so now; costs one request.

    Any other refusal says nothing about the target: the items meet it, and their ladder.
    """
    shape, place, query = _SHAPES[restore.workload]
    link = url(transport.base, shape, query, **{place: restore.target.source_id})
    try:
        await transport.get(_call(transport, restore, link), _anything)
    except ObjectUnavailable as gone:
        raise TargetGone(_said("", gone.state)) from gone
    except ItemFailed as failed:
        if failed.graph_status == 404:
            raise TargetGone(_said("", "not found")) from failed
        log.warning("restore %s: the target did not answer: %s", restore.restore_id, failed)


def _call(transport: GraphTransport, restore: Restore, link: str) -> Call:
    asked = Asked(about="object")
    if restore.workload == "mailbox":
        return Call(url=link, lane=transport.mailbox(restore.target.source_id), asked=asked)
    if restore.workload == "team":
        return Call(url=link, lane=transport.team(restore.target.source_id), asked=asked)
    units = drive_units(transport.wire.quotas, "item")
    return Call(url=link, lane=transport.share_point(), ru=units, asked=asked)


def _said(name: str, state: str) -> str:
    subject = f"The target {name!r}" if name else "The target"
    return f"{subject} cannot take items: {state.replace('_', ' ')}. Nothing was written. {ADVICE}"
