"""Asks Microsoft 365 whether a restore's target is there, before anything is written."""

import logging

import msgspec

from shared.microsoft365.calls import Call
from shared.microsoft365.errors import ItemFailed, ObjectUnavailable
from shared.microsoft365.faults import Asked
from shared.microsoft365.quotas import drive_units
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url
from shared.restore.model import Restore
from shared.restore.presence import TargetGone, said

log = logging.getLogger(__name__)

_SHAPES = {
    "mailbox": ("mail_folders", "user", {"$top": "1", "$select": "id"}),
    "drive": ("drive_root", "drive", {"$select": "id"}),
    "site": ("site", "site", {"$select": "id"}),
    "team": ("channels", "team", {"$select": "id"}),
}
_anything = msgspec.json.Decoder(msgspec.Raw)


async def ask(transport: GraphTransport, restore: Restore) -> None:
    """`TargetGone` when Microsoft 365 says so now; costs one request.

    Any other refusal says nothing about the target: the items meet it, and their ladder.
    """
    shape, place, query = _SHAPES[restore.workload]
    link = url(transport.base, shape, query, **{place: restore.target.source_id})
    try:
        await transport.get(_call(transport, restore, link), _anything)
    except ObjectUnavailable as gone:
        raise TargetGone(said("", gone.state)) from gone
    except ItemFailed as failed:
        if failed.graph_status == 404:
            raise TargetGone(said("", "not found")) from failed
        log.warning("restore %s: the target did not answer: %s", restore.restore_id, failed)


def _call(transport: GraphTransport, restore: Restore, link: str) -> Call:
    asked = Asked(about="object")
    if restore.workload == "mailbox":
        return Call(url=link, lane=transport.mailbox(restore.target.source_id), asked=asked)
    if restore.workload == "team":
        return Call(url=link, lane=transport.team(restore.target.source_id), asked=asked)
    units = drive_units(transport.wire.quotas, "item")
    return Call(url=link, lane=transport.share_point(), ru=units, asked=asked)
