"""A folder of a drill's own in a mailbox or drive: items are put there, read back, and it goes.

Everything happens inside one folder whose name nobody else has; it is found again by that name, so
that whoever comes after a crash can remove it. It is removed for good, past every recycle bin.
"""

import hashlib
import re
from base64 import b64decode
from collections.abc import Mapping
from html import unescape
from typing import Any, Protocol

import msgspec

from shared.microsoft365 import mail_json
from shared.microsoft365.calls import Call
from shared.microsoft365.drive import Drive
from shared.microsoft365.drive_restore import DriveRestore
from shared.microsoft365.faults import Asked
from shared.microsoft365.mail_restore import MailboxRestore
from shared.microsoft365.mime import Mail, parse_mail
from shared.microsoft365.model import Change
from shared.microsoft365.personal_restore import PersonalRestore, quoted
from shared.microsoft365.quotas import drive_units
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

KINDS = {"mailbox": "mail", "drive": "file"}
"""Workload -> the kind of item that can be put back alone; others have no folder that can go."""
SHOWN = "subject,internetMessageId,from,body,isDraft"
FILE = "#microsoft.graph.fileAttachment"
_UNSEEN = re.compile(r"<(style|script|title)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_any = msgspec.json.Decoder(dict[str, Any])


class Scratch(Protocol):
    """A scratch folder in one mailbox or drive."""

    async def differs(self, item: Mapping[str, Any], content: bytes, place: str) -> str:
        """Put the item of a row there, read it back: what is not as it was, empty when all is.

        `place` is a folder of its own inside. Safe to repeat: what is there is read only.
        """
        ...

    async def remove(self) -> None:
        """Take the folder away for good; one that is not there is fine."""
        ...


def open_scratch(transport: GraphTransport, workload: str, source_id: str, name: str) -> Scratch:
    """The scratch folder called `name`; nothing is made yet."""
    if workload == "mailbox":
        return _MailScratch(transport, source_id, name)
    return _DriveScratch(transport, source_id, name)


class _MailScratch(PersonalRestore):
    def __init__(self, transport: GraphTransport, user_id: str, name: str) -> None:
        super().__init__(transport, user_id)
        self._name = name
        self._restore = MailboxRestore(transport, user_id)

    async def differs(self, item: Mapping[str, Any], content: bytes, place: str) -> str:
        """Subject, sender, message id, words, draft mark, bytes of every attached file."""
        folder = await self._restore.ensure_folder([self._name, place])
        made = await self._restore.restore_message(item, content, folder, "skip")
        link = self.link("message", {"$select": SHOWN}, message=made.target_id)
        seen = await self.transport.get(self.call("GET", link), _any)
        attached = await self.all(self.link("message_attachments", message=made.target_id))
        mail = parse_mail(content)
        wanted = told_of(mail_json.message_json(mail, item), draft=bool(item.get("x", 0) & 4))
        found = told_of(seen, draft=bool(seen.get("isDraft")))
        wrong = [name for name, value in wanted.items() if found[name] != value]
        files = sorted(
            hashlib.sha256(b64decode(one.get("contentBytes") or "")).hexdigest()
            for one in attached
            if one.get("@odata.type") == FILE
        )
        return ", ".join(wrong + ([] if files == _files(mail) else ["attachments"]))

    async def remove(self) -> None:
        """Every folder with the name at the top of the mailbox."""
        query = {"$filter": f"displayName eq {quoted(self._name)}", "$select": "id,displayName"}
        for found in await self.all(self.link("mail_folders", query)):
            if found.get("displayName") == self._name:
                call = self.call(
                    "POST", self.link("mail_folder_purge", folder=str(found["id"])), replay=True
                )
                await self.transport.send(msgspec.structs.replace(call, accept=frozenset({404})))


class _DriveScratch:
    def __init__(self, transport: GraphTransport, drive_id: str, name: str) -> None:
        self._transport, self._drive, self._name = transport, drive_id, name
        self._restore = DriveRestore(transport, drive_id)

    async def differs(self, item: Mapping[str, Any], content: bytes, place: str) -> str:
        """Every byte."""
        folder = await self._restore.ensure_folder([self._name, place])
        made = await self._restore.restore_file(item, content, len(content), folder, "skip")
        whole = hashlib.sha256()
        seen = Change({"i": made.target_id, "k": "file", "m": {"size": len(content)}},
                      removed=False, container="")  # fmt: skip
        data = await Drive(self._transport, self._drive).fetch(seen)
        if isinstance(data, bytes):
            whole.update(data)
        else:
            async for part in data:
                whole.update(part)
        return "" if whole.digest() == hashlib.sha256(content).digest() else "content"

    async def remove(self) -> None:
        """The folder at the top of the drive."""
        found = await self._restore.find_existing("root", self._name)
        if found is None:
            return
        link = url(self._transport.base, "drive_item_purge", drive=self._drive, item=found)
        units = drive_units(self._transport.wire.quotas, "write")
        await self._transport.send(Call(
            method="POST", url=link, lane=self._transport.share_point(), ru=units, replay=True,
            asked=Asked(about="write", get=False), accept=frozenset({404}),
        ))  # fmt: skip


def told_of(message: Mapping[str, Any], *, draft: bool) -> dict[str, Any]:
    """What has to come back of a message, in a form that Exchange does not change: pure."""
    sender = (message.get("from") or {}).get("emailAddress") or {}
    return {
        "subject": message.get("subject") or "",
        "message id": (message.get("internetMessageId") or "").strip(),
        "sender": str(sender.get("address") or "").casefold(),
        "words": letters(str((message.get("body") or {}).get("content") or "")),
        "draft mark": draft,
    }


def letters(body: str) -> str:
    """The letters of a body without marks, spaces and what is not shown: pure."""
    return "".join(unescape(_TAG.sub("", _UNSEEN.sub("", body))).split())


def _files(mail: Mail) -> list[str]:
    return sorted(
        hashlib.sha256(one.content).hexdigest() for one in mail.attachments if one.message is None
    )
