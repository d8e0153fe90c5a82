"""Writes whose connection breaks: done once, whether the server had heard of them or not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from local.azurite import Azurite
from shared.kit import transport
from shared.kit.config import Settings
from shared.kit.ids import new_id
from shared.kit.storage import Storage
from shared.kit.tables import LostRace, Row, RowExists, Table


class Breaking:
    """A wire to the table service; the next posts break before or after they are carried out."""

    def __init__(self, port: int) -> None:
        self._port, self.before, self.after = port, 0, 0
        self.opened = 0
        self._server: asyncio.Server | None = None

    async def listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._one(reader, writer, there, back):
                    pass
        finally:
            for each in (writer, back):
                each.transport.abort()

    async def _one(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> bool:
        request = await _message(reader)
        posted = request.startswith(b"POST")
        if posted and self.before:
            self.before -= 1
            return False
        back.write(request)
        answer = await _message(there)
        if posted and self.after:
            self.after -= 1
            return False
        writer.write(answer)
        await writer.drain()
        return True


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One request or answer, as HTTP/1.1 bounds them."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = head.lower()
    if b"transfer-encoding: chunked" in fields:
        return head + await _chunks(reader)
    length = 0
    for line in fields.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + (await reader.readexactly(length) if length else b"")


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body, size = b"", 1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line, 16)
        body += line + await reader.readexactly(size + 2)
    return body


@pytest.fixture
async def wire(azurite: Azurite) -> AsyncIterator[Breaking]:
    port = urlsplit(azurite.tables).port
    assert port is not None
    made = Breaking(port)
    yield made
    await made.close()


@pytest.fixture
async def table(azurite: Azurite, wire: Breaking) -> AsyncIterator[Table]:
    """An empty table behind the wire, on the clients that the product makes."""
    away = azurite.connection.replace(str(urlsplit(azurite.tables).port), str(await wire.listen()))
    storage = Storage(Settings(storage_connection=away))
    yield Table(await storage.table_service.create_table(f"t{new_id()}"))
    await storage.close()


async def rows(table: Table) -> dict[str, object]:
    return {row.key: row.values["a"] async for row in table.query("p")}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_insert_whose_connection_breaks_is_done_once(
    table: Table, wire: Breaking, when: str
) -> None:
    setattr(wire, when, 2)
    made = await table.insert(Row("p", "k", {"a": 1, "none": None, "large": 2**40, "list": [1]}))
    assert getattr(wire, when) == 0
    assert await rows(table) == {"k": 1}
    await table.replace(Row("p", "k", {"a": 2}, made.etag))  # its ETag is the true one


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_batch_whose_connection_breaks_is_done_once(
    table: Table, wire: Breaking, when: str
) -> None:
    old = await table.insert(Row("p", "old", {"a": 0}))
    gone = await table.insert(Row("p", "gone", {"a": 0}))
    setattr(wire, when, 1)
    old.values["a"] = 1
    await table.batch([("replace", old), ("insert", Row("p", "new", {"a": 1})), ("delete", gone)])
    assert await rows(table) == {"old": 1, "new": 1}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_broken_connection_makes_nobody_the_winner_of_a_race(
    table: Table, wire: Breaking, when: str
) -> None:
    await table.insert(Row("p", "k", {"a": "theirs"}))
    setattr(wire, when, 1)
    with pytest.raises(RowExists):
        await table.insert(Row("p", "k", {"a": "mine"}))
    setattr(wire, when, 1)
    with pytest.raises(LostRace):
        await table.batch(
            [("insert", Row("p", "x", {"a": 1})), ("insert", Row("p", "k", {"a": 1}))]
        )
    assert await rows(table) == {"k": "theirs"}


async def test_one_connection_serves_while_there_is_work_and_none_that_was_idle(
    azurite: Azurite, wire: Breaking, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transport.IDLE_SECONDS < 5  # Node's, which Azurite keeps
    away = azurite.connection.replace(str(urlsplit(azurite.tables).port), str(await wire.listen()))
    for idle, opened in ((3600, 1), (0, 3)):
        monkeypatch.setattr(transport, "IDLE_SECONDS", idle)
        storage, wire.opened = Storage(Settings(storage_connection=away)), 0
        table = Table(await storage.table_service.create_table(f"t{new_id()}"))
        for number in range(2):
            await asyncio.sleep(0.01)
            await table.insert(Row("p", str(number), {"a": 1}))
        await storage.close()
        assert wire.opened == opened
