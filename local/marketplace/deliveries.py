"""Webhooks on their way: signed, repeated with back-off, held, doubled or forged when told to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import orjson

from local.marketplace.wire import JSON
from local.microsoft365.clock import Clock
from local.microsoft365.tokens import Signer

CALLER = "20e940b3-4c77-4b0b-9a53-9e16a1b010a7"
RETRIES = 500
RETRY_SPAN = timedelta(hours=8)
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 15.0
TOKEN_SECONDS = 3600
Refusal = Callable[[str, int], None]


@dataclass
class Delivery:
    """One webhook until it was answered with 2xx, refused for good, or given up."""

    body: bytes
    operation_id: str
    due: datetime
    first: datetime
    claims: JSON = field(default_factory=dict)
    authorization: str | None = None
    content_type: str = "application/json"
    tries: int = 0
    statuses: list[int] = field(default_factory=list)
    state: str = "waiting"

    def shown(self) -> JSON:
        """For the admin side."""
        return {
            "operationId": self.operation_id,
            "state": self.state,
            "tries": self.tries,
            "statuses": self.statuses,
        }


class Deliveries:
    """The queue; every attempt is a real HTTP request with a token of its own."""

    def __init__(self, clock: Clock, signer: Signer, publisher_tenant: str, audience: str) -> None:
        self._clock, self._signer = clock, signer
        self.tenant, self.audience = publisher_tenant, audience
        self.issuer = ""
        self.url = ""
        self.version = 2
        self.held = False
        self.copies = 1
        self.all: list[Delivery] = []
        self.refused: Refusal = lambda _operation, _status: None
        self._session: aiohttp.ClientSession | None = None

    def token(self, **changed: Any) -> str:
        """A token as the caller presents it; `version` 1 or 2, other keywords change claims."""
        version = int(changed.pop("version", self.version))
        claims: JSON = {
            "aud": self.audience,
            "tid": self.tenant,
            "sub": CALLER,
            "oid": CALLER,
            "iss": f"https://sts.windows.net/{self.tenant}/"
            if version == 1
            else f"{self.issuer}/{self.tenant}/v2.0",
            "ver": f"{version}.0",
            "appid" if version == 1 else "azp": CALLER,
        }
        given = {k: v for k, v in (claims | changed).items() if v is not None}
        return self._signer.sign(given, TOKEN_SECONDS)

    def add(self, body: object, operation_id: str, **given: Any) -> list[Delivery]:
        """Queue a webhook, as often as `copies` says."""
        now = self._clock.now()
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        made = [Delivery(raw, operation_id, now, now, **given) for _ in range(self.copies)]
        self.all += made
        return made

    async def run(self, tick: Callable[[], None]) -> None:
        """Deliver what is due until cancelled."""
        # From its own connection on: waiting for one of the twenty does not count.
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=PATIENCE_SECONDS, sock_read=PATIENCE_SECONDS
        )
        connector = aiohttp.TCPConnector(limit=20)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            self._session = session
            while True:
                tick()
                await self.deliver_due()
                await asyncio.sleep(LOOK_SECONDS)

    async def deliver_due(self) -> None:
        """One attempt for everything that is due now."""
        if self.held or not self.url:
            return
        now = self._clock.now()
        due = [each for each in self.all if each.state == "waiting" and each.due <= now]
        await asyncio.gather(*(self._attempt(each) for each in due))

    async def _attempt(self, one: Delivery) -> None:
        assert self._session is not None
        one.tries += 1
        headers = {"Content-Type": one.content_type}
        given = one.authorization
        if given is None:
            given = f"Bearer {self.token(**one.claims)}"
        if given:
            headers["Authorization"] = given
        try:
            async with self._session.post(self.url, data=one.body, headers=headers) as got:
                await got.read()
                status = got.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        one.statuses.append(status)
        if 200 <= status < 300:
            one.state = "delivered"
        elif status and (one.authorization is not None or one.claims):
            one.state = "refused"  # a scripted stranger is answered once
        elif 400 <= status < 500 and status not in (401, 403, 408, 429):
            one.state = "refused"
            self.refused(one.operation_id, status)
        elif one.tries > RETRIES:
            one.state = "given up"
        else:
            one.due = self._clock.now() + RETRY_SPAN / RETRIES
            if self._clock.now() - one.first > RETRY_SPAN:
                one.state = "given up"
