"""Gives permissions of a drive's items back, about one a second, and mails nobody.

Rules: microsoft365.md section 9.3. People by `invite` without an invitation, links by the beta
`createLink`; what cannot be given back is a note of the item's result, never its failure.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from shared.microsoft365.calls import Call
from shared.microsoft365.errors import ItemFailed, ItemSkipped
from shared.microsoft365.faults import Asked
from shared.microsoft365.quotas import drive_units
from shared.microsoft365.share_rows import Invite, grants_of
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url


class ShareRestore:
    """Grants in one drive; its transport signs as the Restorer. Granting twice changes nothing."""

    def __init__(self, transport: GraphTransport, drive_id: str) -> None:
        self._transport, self._drive = transport, drive_id

    async def grant(self, item_id: str, permissions: Iterable[Mapping[str, Any]]) -> list[str]:
        """Notes of what was lost or changed; empty when all is as it was."""
        grants = grants_of(permissions)
        notes = list(grants.notes)
        for invite in grants.invites:
            notes += await self._invite(item_id, invite)
        for link in grants.links:
            body = {"type": link.type, "scope": link.scope}
            notes += await self._send("drive_link", item_id, body, beta=True)
        return list(dict.fromkeys(notes))

    async def _invite(self, item_id: str, invite: Invite) -> list[str]:
        """All people of a set of roles at once; one by one when one of them is refused."""
        notes = await self._send("drive_invite", item_id, _invitation(invite.roles, invite.people))
        if not notes or len(invite.people) == 1:
            return notes
        notes = []
        for person in invite.people:
            notes += await self._send(
                "drive_invite", item_id, _invitation(invite.roles, [person])
            )  # fmt: skip
        return notes

    async def _send(
        self, shape: str, item_id: str, body: dict[str, Any], *, beta: bool = False
    ) -> list[str]:
        base = self._transport.base
        # v1.0 tells people of the link by mail (section 9.3).
        base = base.removesuffix("/v1.0") + "/beta" if beta else base
        call = Call(
            method="POST",
            url=url(base, shape, drive=self._drive, item=item_id),
            lane=self._transport.sharing(),
            ru=drive_units(self._transport.wire.quotas, "permission"),
            headers={"Content-Type": "application/json"},
            body=orjson.dumps(body),
            asked=Asked(about="write"),
        )
        try:
            await self._transport.send(call)
        except (ItemFailed, ItemSkipped) as refused:
            reason = getattr(refused, "reason", "") or getattr(refused, "cause", "")
            return [f"permission_lost:{reason}"]
        return []


def _invitation(roles: Iterable[str], people: Iterable[str]) -> dict[str, Any]:
    return {
        "recipients": [{"objectId": person} for person in people],
        "roles": list(roles),
        "requireSignIn": True,
        "sendInvitation": False,
    }
