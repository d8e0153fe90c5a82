"""Writes messages back into a mailbox: nothing is mailed, times and flags are kept.

Rules: microsoft365.md section 9.1, M30, M32 (replace never loses), M36 (collision key).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from shared.microsoft365 import mail_json
from shared.microsoft365.calls import Call, Reply
from shared.microsoft365.errors import GraphError, ItemFailed
from shared.microsoft365.faults import Asked
from shared.microsoft365.mail import IMMUTABLE
from shared.microsoft365.mail_rows import epoch_seconds
from shared.microsoft365.mime import Attachment, parse_mail
from shared.microsoft365.model import Collision, Restored
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.uploads import Upload, session_of
from shared.microsoft365.urls import url

TOO_SMALL = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"
FRAGMENT_BYTES = 4 * 1024 * 1024


class _Named(msgspec.Struct, rename="camel"):
    id: str
    display_name: str = ""
    sent_date_time: str | None = None


class _List(msgspec.Struct):
    value: list[_Named]


_list = msgspec.json.Decoder(_List)
_named = msgspec.json.Decoder(_Named)


class MailboxRestore:
    """Restores into one mailbox; its transport signs as the Restorer."""

    def __init__(self, transport: GraphTransport, user_id: str) -> None:
        self._transport = transport
        self._user = user_id
        self._lane = transport.mailbox(user_id)
        self._folders: dict[tuple[str, ...], str] = {}

    async def ensure_folder(self, path: Sequence[str]) -> str:
        """Id of the folder at `path` from the top of the mailbox; missing ones are created."""
        at: tuple[str, ...] = ()
        parent: str | None = None
        for name in path:
            at = (*at, name)
            if at not in self._folders:
                self._folders[at] = await self._ensure_child(parent, name)
            parent = self._folders[at]
        if parent is None:
            raise ValueError("a folder path has at least one name")
        return parent

    async def find_existing(self, folder_id: str, item: Mapping[str, Any]) -> str | None:
        """A message in the folder with the same collision key: message id, else subject + sent."""
        return next(iter(await self._find_all(folder_id, item)), None)

    async def restore_message(
        self,
        item: Mapping[str, Any],
        mime: bytes,
        folder_id: str,
        collision: Collision = "skip",
    ) -> Restored:
        """Create the message of a row again from its MIME.

        Safe to repeat with `skip`. `replace` creates first and deletes the old one after (M32).
        """
        before = await self._find_all(folder_id, item)
        if before and collision == "skip":
            return Restored(before[0], "skipped")
        mail = parse_mail(mime)
        message = mail_json.message_json(mail, item)
        inside, beside, by_session, _ = mail_json.split_attachments(
            mail.attachments, mail_json.room_beside(message)
        )
        notes = mail_json.losses(mail.attachments)
        if inside:
            message["attachments"] = [mail_json.attachment_json(a) for a in inside]
        created = await self._create(folder_id, item, message, before)
        await self._attach(created, beside, by_session)
        if before and collision == "replace":
            for old in before:
                await self._delete(old)
            return Restored(created, "replaced", notes)
        return Restored(created, "created", notes)

    async def _create(
        self,
        folder_id: str,
        item: Mapping[str, Any],
        message: dict[str, Any],
        before: list[str],
    ) -> str:
        async def settle() -> Reply | None:
            new = [m for m in await self._find_all(folder_id, item) if m not in before]
            return Reply(201, {}, orjson.dumps({"id": new[0]})) if new else None

        link = url(self._transport.base, "folder_messages", user=self._user, folder=folder_id)
        call = self._write("POST", link, message)
        return _named.decode((await self._transport.send(call, settle)).body).id

    async def _attach(
        self, message_id: str, beside: list[Attachment], by_session: list[Attachment]
    ) -> None:
        """Add what did not fit into the POST; a message that stays incomplete is taken back."""
        try:
            for attachment in beside:
                await self._attach_one(message_id, attachment)
            for attachment in by_session:
                await self._attach_large(message_id, attachment)
        except GraphError:
            await self._delete(message_id)
            raise

    async def _attach_one(self, message_id: str, attachment: Attachment) -> None:
        link = url(self._transport.base, "message_attachments", user=self._user, message=message_id)
        body = mail_json.attachment_json(attachment)
        await self._transport.send(self._write("POST", link, body))

    async def _attach_large(self, message_id: str, attachment: Attachment) -> None:
        link = url(self._transport.base, "message_upload", user=self._user, message=message_id)
        # An unused session expires by itself, so that opening a second one does no harm.
        call = self._write("POST", link, mail_json.session_json(attachment), replay=True)
        try:
            session = session_of(await self._transport.send(call))
        except ItemFailed as refusal:
            # Where exactly sessions begin (3 million bytes or 3 MiB) is Microsoft's to say.
            if refusal.graph_code != TOO_SMALL:
                raise
            await self._attach_one(message_id, attachment)
            return
        size = len(attachment.content)
        upload = Upload(self._transport, self._lane, session.upload_url, size)
        await upload.send(attachment.content, FRAGMENT_BYTES)

    async def _delete(self, message_id: str) -> None:
        link = url(self._transport.base, "message", user=self._user, message=message_id)
        call = msgspec.structs.replace(
            self._write("DELETE", link, None, replay=True), accept=frozenset({404})
        )
        await self._transport.send(call)

    async def _find_all(self, folder_id: str, item: Mapping[str, Any]) -> list[str]:
        told = item.get("m", {})
        key, value = "internetMessageId", told.get("imid")
        if not value:
            key, value = "subject", item.get("n")
        if not value:
            return []
        query = {
            "$filter": f"{key} eq '{value.replace("'", "''")}'",
            "$select": "id,sentDateTime",
            "$top": "50",
        }
        link = url(
            self._transport.base, "folder_messages", query, user=self._user, folder=folder_id
        )
        found = await self._transport.get(self._read(link), _list)
        if key == "subject":
            sent = epoch_seconds(told.get("sent"))
            return [m.id for m in found.value if epoch_seconds(m.sent_date_time) == sent]
        return [m.id for m in found.value]

    async def _ensure_child(self, parent: str | None, name: str) -> str:
        if parent is None:
            shape, ids = "mail_folders", {"user": self._user}
        else:
            shape, ids = "child_folders", {"user": self._user, "folder": parent}

        async def settle() -> Reply | None:
            query = {"$filter": f"displayName eq '{name.replace("'", "''")}'", "$top": "50"}
            link = url(self._transport.base, shape, query, **ids)
            found = await self._transport.get(self._read(link), _list)
            same = [f for f in found.value if f.display_name.casefold() == name.casefold()]
            return Reply(200, {}, orjson.dumps({"id": same[0].id})) if same else None

        reply = await settle()
        if reply is None:
            call = self._write(
                "POST", url(self._transport.base, shape, **ids), {"displayName": name}
            )
            call = msgspec.structs.replace(call, accept=frozenset({409}))
            reply = await self._transport.send(call, settle)
            # Somebody else created it between the look and the POST.
            reply = await settle() if reply.status == 409 else reply
        if reply is None:
            raise ItemFailed("FolderNotFound", 409)
        return _named.decode(reply.body).id

    def _read(self, link: str) -> Call:
        return Call(
            url=link,
            lane=self._lane,
            headers={"Prefer": IMMUTABLE},
            asked=Asked(about="write"),
        )

    def _write(self, method: str, link: str, body: Any, *, replay: bool = False) -> Call:
        return Call(
            method=method,
            url=link,
            lane=self._lane,
            headers={"Prefer": IMMUTABLE, "Content-Type": "application/json"},
            body=orjson.dumps(body) if body is not None else None,
            asked=Asked(about="write", get=False),
            replay=replay,
        )
