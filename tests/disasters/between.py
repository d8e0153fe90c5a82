"""The wire to the storage, which a test may cut: open connections break, new ones are refused."""

import asyncio
import contextlib
import threading
from urllib.parse import urlsplit, urlunsplit

CHUNK = 65536


class Wire:
    """Forwards one port. All of it happens on the loop of its `Wires`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def listen(self) -> None:
        """On the port of the first time, once there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Nobody hears anything more, as when the machine behind it is gone."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, back}
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            self._open -= {writer, back}
            for each in (writer, back):
                each.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


class Wires:
    """Wires by name, on a thread of their own. `close` in the end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._wires: dict[str, Wire] = {}

    def lead(self, name: str, url: str) -> str:
        """The address that leads to `url`; the same one again when the target has moved."""
        parts = urlsplit(url)
        assert parts.port is not None
        if (wire := self._wires.get(name)) is None:
            wire = self._wires[name] = Wire(parts.port)
            self._do(wire.listen())
        wire.target = parts.port
        return urlunsplit(parts._replace(netloc=f"{parts.hostname}:{wire.port}"))

    def cut(self) -> None:
        """All at once."""
        for wire in self._wires.values():
            self._do(wire.cut())

    def mend(self) -> None:
        """They lead again."""
        for wire in self._wires.values():
            self._do(wire.listen())

    def close(self) -> None:
        """Cut, and end the thread."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)  # type: ignore[arg-type]
