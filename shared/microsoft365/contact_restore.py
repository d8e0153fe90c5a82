"""Writes contacts back into a contact folder, with their pictures.

Rules: microsoft365.md section 9, M30, M32 (replace never loses), M36 (collision key).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from shared.microsoft365.calls import Reply
from shared.microsoft365.contact_json import contact_json, same_contact
from shared.microsoft365.contact_rows import DEFAULT, default_folder
from shared.microsoft365.errors import GraphError, ItemFailed
from shared.microsoft365.event_attachments import decoded, loads
from shared.microsoft365.model import Collision, Restored
from shared.microsoft365.personal_restore import TAKEN, PersonalRestore, id_of, quoted
from shared.microsoft365.transport import GraphTransport


class ContactRestore(PersonalRestore):
    """Restores into one mailbox's contacts."""

    def __init__(self, transport: GraphTransport, user_id: str) -> None:
        super().__init__(transport, user_id)
        self._folders: dict[tuple[str, ...], str] = {}

    async def ensure_folder(self, path: Sequence[str]) -> str:
        """Id of the contact folder at `path`; the default one is named as its row is."""
        if list(path) in ([], [default_folder().item["n"]]):
            return DEFAULT
        at: tuple[str, ...] = ()
        parent: str | None = None
        for name in path:
            at = (*at, name)
            if at not in self._folders:
                self._folders[at] = await self._ensure(parent, name)
            parent = self._folders[at]
        return str(parent)

    async def find_existing(self, folder_id: str, stored: Mapping[str, Any]) -> str | None:
        """A contact with the same name and addresses, or None."""
        return next(iter(await self._find(folder_id, stored)), None)

    async def restore_contact(
        self, stored: bytes, folder_id: str, collision: Collision = "skip"
    ) -> Restored:
        """Make a stored contact again. Safe to repeat with `skip`; `replace` never loses (M32)."""
        contact = loads(stored)
        before = await self._find(folder_id, contact)
        if before and collision == "skip":
            return Restored(before[0], "skipped")
        created = await self._create(folder_id, contact, before)
        photo = decoded(contact.get("photo") or {})
        if photo:
            try:
                link = self.link("contact_photo", contact=created)
                await self.send("PUT", link, photo, replay=True)
            except GraphError:
                await self._remove(created)
                raise
        if before and collision == "replace":
            for old in before:
                await self._remove(old)
            return Restored(created, "replaced")
        return Restored(created, "created")

    async def _create(self, folder_id: str, contact: Mapping[str, Any], before: list[str]) -> str:
        async def settle() -> Reply | None:
            new = [i for i in await self._find(folder_id, contact) if i not in before]
            return Reply(201, {}, orjson.dumps({"id": new[0]})) if new else None

        call = self.call("POST", self._within(folder_id), contact_json(contact))
        return id_of(await self.transport.send(call, settle))

    def _within(self, folder_id: str, query: dict[str, str] | None = None) -> str:
        if folder_id == DEFAULT:
            return self.link("contacts", query)
        return self.link("folder_contacts", query, folder=folder_id)

    async def _remove(self, contact_id: str) -> None:
        await self.delete(self.link("contact", contact=contact_id))

    async def _find(self, folder_id: str, stored: Mapping[str, Any]) -> list[str]:
        name = stored.get("displayName") or ""
        query = {
            "$filter": f"displayName eq {quoted(name)}",
            "$select": "id,displayName,emailAddresses",
            "$top": "50",
        }
        listed = await self.all(self._within(folder_id, query))
        return [str(one["id"]) for one in listed if same_contact(one, stored)]

    async def _ensure(self, parent: str | None, name: str) -> str:
        if parent is None:
            shape, ids = "contact_folders", {}
        else:
            shape, ids = "contact_child_folders", {"folder": parent}

        async def settle() -> Reply | None:
            query = {"$filter": f"displayName eq {quoted(name)}", "$top": "50"}
            listed = await self.all(self.link(shape, query, **ids))
            same = [one for one in listed if one["displayName"].casefold() == name.casefold()]
            return Reply(200, {}, orjson.dumps({"id": same[0]["id"]})) if same else None

        reply = await settle()
        if reply is None:
            call = self.call("POST", self.link(shape, **ids), {"displayName": name})
            reply = await self.transport.send(msgspec.structs.replace(call, accept=TAKEN), settle)
            reply = await settle() if reply.status in TAKEN else reply
        if reply is None:
            raise ItemFailed("FolderNotFound", 409)
        return id_of(reply)
