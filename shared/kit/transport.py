"""The wire of the storage clients: an idle connection is given up before the server closes it.

A server ends connections that are idle (Azurite after 5 s). A busy process hears of that late and
sends on a connection that is gone; the SDK repeats a broken GET or PUT, never a POST, and inserts
and batches of tables are POSTs.
"""

from typing import Any

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport

IDLE_SECONDS = 2.0
"""Three seconds less than Azurite waits: room for a process that hears and counts late."""


class Transport(AioHttpTransport):  # type: ignore[misc]  # it has no type
    """The SDK's own transport on a pool of such connections, without proxies and cookies.

    Looking for a proxy and a .netrc costs two thread hops a call: a third of a table read's time.
    """

    session: aiohttp.ClientSession | None

    def __init__(self, **options: Any) -> None:
        super().__init__(use_env_settings=False, **options)

    async def open(self) -> None:
        """Open the pool; called by the SDK before each request."""
        if self.session is None and not self._has_been_opened:
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        await super().open()
