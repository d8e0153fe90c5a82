"""Puts items of each workload into their target."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from shared.microsoft365.calendar_restore import CalendarRestore
from shared.microsoft365.contact_restore import ContactRestore
from shared.microsoft365.drive_restore import DriveRestore
from shared.microsoft365.exchange import PART_OF
from shared.microsoft365.mail_restore import MailboxRestore
from shared.microsoft365.model import Restored
from shared.microsoft365.share_rows import shares_of
from shared.microsoft365.transport import GraphTransport
from shared.protection.browsing import Opened
from shared.restore.model import Collision, Restore
from shared.restore.shared_writers import Note, SiteWriter, TeamWriter
from shared.vault.model import Row


class Writer(Protocol):
    """Puts items of one workload into a target."""

    async def ensure_folder(self, path: Sequence[str], kind: str) -> str:
        """Id of the folder; missing ones are created. `kind` is its own kind or its item's."""
        ...

    async def restore(
        self, row: Row, content: AsyncIterator[bytes], folder_id: str, collision: Collision
    ) -> Restored:
        """Create the item again."""
        ...

    async def grant(self, row: Row, target_id: str, folder_id: str) -> list[str]:
        """Give the item's own permissions back; notes of what could not be."""
        ...

    async def grant_folder(self, row: Row, folder_id: str, *, again: bool) -> list[str]:
        """The same for a folder that the restore made; one that was there stays as it is.

        `again`: an interrupted execution was at this folder, so it may have made it.
        """
        ...


class _MailboxWriter:
    """Messages, events and contacts into a mailbox."""

    def __init__(self, transport: GraphTransport, user_id: str) -> None:
        self._mail = MailboxRestore(transport, user_id)
        self._calendars = CalendarRestore(transport, user_id)
        self._contacts = ContactRestore(transport, user_id)
        self._one_at_a_time = asyncio.Lock()

    async def ensure_folder(self, path: Sequence[str], kind: str) -> str:
        """Two lanes must not create the same folder twice."""
        async with self._one_at_a_time:
            match PART_OF.get(kind):
                case "calendar":
                    return await self._calendars.ensure_folder(path)
                case "contacts":
                    return await self._contacts.ensure_folder(path)
                case _:
                    return await self._mail.ensure_folder(path)

    async def restore(
        self, row: Row, content: AsyncIterator[bytes], folder_id: str, collision: Collision
    ) -> Restored:
        """An item of a mailbox is parsed whole."""
        whole = b"".join([part async for part in content])
        match row.kind:
            case "event":
                return await self._calendars.restore_event(whole, folder_id, collision)
            case "contact":
                return await self._contacts.restore_contact(whole, folder_id, collision)
            case _:
                return await self._mail.restore_message(row.item, whole, folder_id, collision)

    async def grant(self, _row: Row, _target_id: str, _folder_id: str) -> list[str]:
        """Items of a mailbox have no permissions of their own."""
        return []

    async def grant_folder(self, _row: Row, _folder_id: str, *, again: bool) -> list[str]:  # noqa: ARG002
        """Shares of mail folders and calendars are not kept."""
        return []


class _DriveWriter:
    """Files into a drive."""

    def __init__(self, transport: GraphTransport, drive_id: str) -> None:
        self._drive = DriveRestore(transport, drive_id)
        self._one_at_a_time = asyncio.Lock()

    async def ensure_folder(self, path: Sequence[str], _kind: str) -> str:
        """Two lanes must not create the same folder twice."""
        async with self._one_at_a_time:
            return await self._drive.ensure_folder(path)

    async def restore(
        self, row: Row, content: AsyncIterator[bytes], folder_id: str, collision: Collision
    ) -> Restored:
        """A file is streamed."""
        return await self._drive.restore_file(row.item, content, row.size, folder_id, collision)

    async def grant(self, row: Row, target_id: str, _folder_id: str) -> list[str]:
        """To the restored file."""
        return await self._drive.shares.grant(target_id, shares_of(row.item))

    async def grant_folder(self, row: Row, folder_id: str, *, again: bool) -> list[str]:
        """To a folder that was made."""
        if folder_id not in self._drive.made and not again:
            return []
        return await self._drive.shares.grant(folder_id, shares_of(row.item))


def open_writer(
    transport: GraphTransport, restore: Restore, opened: Opened, opening: Note
) -> Writer:
    """The writer of the restore's target; `opening` is told of channels before their import."""
    if restore.workload == "site":
        return SiteWriter(transport, restore, opened)
    if restore.workload == "team":
        return TeamWriter(transport, restore, opened, opening)
    if restore.workload == "mailbox":
        return _MailboxWriter(transport, restore.target.source_id)
    return _DriveWriter(transport, restore.target.source_id)
