"""Reads the permissions of a drive's items, and only of those that may have changed.

Each reading costs five resource units (microsoft365.md section 3.1), so that a file is asked about
when its sharing is marked as changed, when nothing is held of it, or when a full enumeration shows
another version; a folder whenever it is listed as shared, for folders are not marked reliably.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from shared.microsoft365 import share_rows
from shared.microsoft365.calls import Call
from shared.microsoft365.enumeration import Feed
from shared.microsoft365.errors import ItemFailed, ItemSkipped
from shared.microsoft365.faults import Asked
from shared.microsoft365.model import Change
from shared.microsoft365.quotas import drive_units
from shared.microsoft365.share_rows import MEMBER, UNREAD
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

ROLE = "Sites.FullControl.All"
"""Only with it a delta marks changed permissions, and shows all of them (section 3.1)."""
PREFER_SHARES = (
    "deltashowremovedasdeleted, deltatraversepermissiongaps, deltashowsharingchanges, "
    "hierarchicalsharing"
)
PREFER_PLAIN = "hierarchicalsharing"
ASK = "shares"
"""Member of a change's `fetch`: when its permissions are to be read, see `When`."""

When = Literal["always", "otherVersion", "unlessHeld"]

_many = msgspec.json.Decoder(Feed[dict[str, Any]])


def must_read(when: When, held: Mapping[str, Any] | None, item: Mapping[str, Any]) -> bool:
    """Pure: whether the permissions of a shared item have to be asked for."""
    if held is None or MEMBER not in held.get("m", {}) or UNREAD in held["m"]:
        return True
    return when == "always" or (when == "otherVersion" and held.get("v") != item.get("v"))


class Shares:
    """The permissions of the items of one drive."""

    def __init__(self, transport: GraphTransport, drive_id: str) -> None:
        self._transport, self._drive = transport, drive_id

    async def complete(
        self, change: Change, held: Mapping[str, Any] | None, item_id: str
    ) -> Change:
        """The change with the item's permissions, read or as held.

        A refusal keeps what is held and says so in the row: a file is never left out because
        somebody may not read its permissions. It is tried again when the item is listed again.
        """
        when = change.fetch.get(ASK)
        if when is None or change.removed:
            return change
        found: dict[str, Any] = {}
        if must_read(when, held, change.item):
            try:
                found[MEMBER] = share_rows.kept(await self._read(item_id))
            except (ItemFailed, ItemSkipped) as refused:
                found[UNREAD] = getattr(refused, "reason", "") or getattr(refused, "cause", "")
        if MEMBER not in found and held is not None and MEMBER in held.get("m", {}):
            found[MEMBER] = held["m"][MEMBER]
        item = {**change.item, "m": {**change.item.get("m", {}), **found}}
        return msgspec.structs.replace(change, item=item)

    async def _read(self, item_id: str) -> list[dict[str, Any]]:
        link = url(
            self._transport.base, "drive_permissions", drive=self._drive, item=item_id
        )  # fmt: skip
        found: list[dict[str, Any]] = []
        while link:
            call = Call(
                url=link,
                lane=self._transport.share_point(),
                ru=drive_units(self._transport.wire.quotas, "permission"),
                asked=Asked(about="item"),
            )
            feed = await self._transport.get(call, _many)
            found += feed.value
            link = feed.next_link
        return found
