"""What one process shares to reach Microsoft 365: the HTTP session, the lanes, clock and sleep."""

import asyncio
import random
import ssl
from collections.abc import Callable
from weakref import WeakKeyDictionary

import aiohttp

from shared.kit.clock import Clock, SystemClock
from shared.microsoft365.fence import Lanes, Sleep
from shared.microsoft365.quotas import Quotas, default_quotas

# One connector for all hosts (M3): enough for eight mailboxes and their downloads at full speed.
CONNECTIONS = 64


class Wire:
    """One aiohttp session and the lanes of all scopes (M3, M26); close it before its loop ends."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
        quotas: Quotas | None = None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.clock = clock or SystemClock()
        self.sleep = sleep
        self.dice = dice
        self.quotas = quotas or default_quotas()
        self.lanes = Lanes(self.quotas, self.clock, sleep)
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, opened at first use inside the running loop."""
        if self._session is None or self._session.closed:
            # Made here, not by aiohttp at import, so that SSL_CERT_FILE counts when it is read.
            trust = ssl.create_default_context()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, limit_per_host=0, ssl=trust),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "gzip"},
            )
            # aiohttp repeats idempotent calls by itself on a reused connection, unseen by fence and
            # accounting (M28, M31), and offers no public switch for it.
            self._session._retry_connection = False  # noqa: SLF001
        return self._session

    async def close(self) -> None:
        """Close the session; the next use opens a new one."""
        if self._session is not None:
            await self._session.close()
            self._session = None


_wires: WeakKeyDictionary[asyncio.AbstractEventLoop, Wire] = WeakKeyDictionary()


def default_wire() -> Wire:
    """The wire of the running event loop, made at first use."""
    loop = asyncio.get_running_loop()
    wire = _wires.get(loop)
    if wire is None:
        wire = _wires[loop] = Wire()
    return wire
