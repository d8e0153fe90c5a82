"""Puts items of each workload into their target."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from shared.microsoft365.drive_restore import DriveRestore
from shared.microsoft365.mail_restore import MailboxRestore
from shared.microsoft365.model import Restored
from shared.microsoft365.transport import GraphTransport
from shared.restore.model import Collision, Restore
from shared.vault.model import Row


class Writer(Protocol):
    """Puts items of one workload into a target."""

    async def ensure_folder(self, path: Sequence[str]) -> str:
        """Id of the folder; missing ones are created."""
        ...

    async def restore(
        self, row: Row, content: AsyncIterator[bytes], folder_id: str, collision: Collision
    ) -> Restored:
        """Create the item again."""
        ...


class _MailWriter:
    """Messages into a mailbox."""

    def __init__(self, transport: GraphTransport, user_id: str) -> None:
        self._box = MailboxRestore(transport, user_id)
        self._one_at_a_time = asyncio.Lock()

    async def ensure_folder(self, path: Sequence[str]) -> str:
        """Two lanes must not create the same folder twice."""
        async with self._one_at_a_time:
            return await self._box.ensure_folder(path)

    async def restore(
        self, row: Row, content: AsyncIterator[bytes], folder_id: str, collision: Collision
    ) -> Restored:
        """A message is parsed whole."""
        mime = b"".join([part async for part in content])
        return await self._box.restore_message(row.item, mime, folder_id, collision)


class _DriveWriter:
    """Files into a drive."""

    def __init__(self, transport: GraphTransport, drive_id: str) -> None:
        self._drive = DriveRestore(transport, drive_id)
        self._one_at_a_time = asyncio.Lock()

    async def ensure_folder(self, path: Sequence[str]) -> str:
        """Two lanes must not create the same folder twice."""
        async with self._one_at_a_time:
            return await self._drive.ensure_folder(path)

    async def restore(
        self, row: Row, content: AsyncIterator[bytes], folder_id: str, collision: Collision
    ) -> Restored:
        """A file is streamed."""
        return await self._drive.restore_file(row.item, content, row.size, folder_id, collision)


def open_writer(transport: GraphTransport, restore: Restore) -> Writer:
    """The writer of the restore's target."""
    if restore.workload == "mailbox":
        return _MailWriter(transport, restore.target.source_id)
    return _DriveWriter(transport, restore.target.source_id)
