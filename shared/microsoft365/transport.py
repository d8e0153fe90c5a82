"""The one place that sends requests to Microsoft 365 and the only one that repeats them (M31).

Every call takes a turn in the lane of its scope, is charged to the slice's budget and counted;
refusals climb the ladder of section 7.3. Above this module nothing retries.
"""

import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import aiohttp
import msgspec
from yarl import URL

from shared.kit.config import Settings
from shared.microsoft365 import faults
from shared.microsoft365.answers import read_answer
from shared.microsoft365.calls import (
    Call,
    DeadUrl,
    Ladder,
    Reply,
    Unsure,
    broken,
    ending,
    verdict_of,
)
from shared.microsoft365.continuation import Continuation
from shared.microsoft365.errors import (
    ConsentLost,
    ItemFailed,
    SliceOver,
)
from shared.microsoft365.faults import Answer, Verdict
from shared.microsoft365.fence import Lane
from shared.microsoft365.model import Budget, GraphUse, Mark
from shared.microsoft365.shared_fence import Fences
from shared.microsoft365.tokens import TokenSource
from shared.microsoft365.wire import Wire, default_wire

log = logging.getLogger(__name__)


# SharePoint prioritises traffic that names its maker (section 2).
PRODUCT = "ISV|Holdfast|Holdfast/0.1"
# A page may take Exchange long to build; a stream only has to keep flowing.
PAGE_TIMEOUT = aiohttp.ClientTimeout(total=180, sock_connect=20)
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=90)
# New bytes after which a broken stream counts as healthy again.
PROGRESS_BYTES = 1024 * 1024
CHUNK_BYTES = 256 * 1024
NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, ConnectionError)


class GraphTransport:
    """Requests of one slice in one tenant as one of our applications.

    `use` accounts for everything sent. Raises the errors of README.md; SliceOver before a call
    that the budget no longer allows.
    """

    def __init__(
        self,
        settings: Settings,
        tokens: TokenSource,
        tenant_id: str,
        budget: Budget,
        *,
        client_id: str | None = None,
        wire: Wire | None = None,
        seats: int = 0,
        fences: Fences | None = None,
    ) -> None:
        self.base = settings.graph.rstrip("/") + "/v1.0"
        self.use = GraphUse()
        self.wire = wire or default_wire()
        self.tenant_id = tenant_id
        self._tokens = tokens
        self._client_id = client_id or settings.reader_client_id
        self._budget = budget
        self._seats = seats
        self._fences = fences

    def mailbox(self, user_id: str) -> Lane:
        """The lane of one mailbox."""
        return self.wire.lanes.mailbox(self._client_id, self.tenant_id, user_id)

    def team(self, team_id: str) -> Lane:
        """The lane of one team."""
        return self.wire.lanes.team(self._client_id, self.tenant_id, team_id)

    async def roles(self) -> frozenset[str]:
        """The application permissions that our token of this tenant holds."""
        return (await self._tokens.get(self.tenant_id, self._client_id)).roles

    def share_point(self) -> Lane:
        """The lane of the tenant's SharePoint and OneDrive."""
        return self.wire.lanes.share_point(self._client_id, self.tenant_id, self._seats)

    def sharing(self) -> Lane:
        """The lane of invitations and sharing links of the tenant."""
        return self.wire.lanes.sharing(self._client_id, self.tenant_id, self._seats)

    def identity(self) -> Lane:
        """The lane of the tenant's directory."""
        return self.wire.lanes.identity(self._client_id, self.tenant_id, self._seats)

    def hold(self, lane: Lane, seconds: float | None) -> None:
        """Raise a fence for a refusal that came inside a batch answer."""
        self._raise_fence(lane, seconds)

    async def get[T](self, call: Call, decoder: msgspec.json.Decoder[T]) -> T:
        """A JSON answer as a typed struct; a body that is cut short counts as transient."""
        ladder = Ladder()
        while True:
            reply = await self._reply(call, ladder)
            try:
                return decoder.decode(reply.body)
            except msgspec.ValidationError as error:
                raise ItemFailed("UnexpectedAnswer", reply.status) from error
            except msgspec.DecodeError:
                await self._climb(call, ladder, Verdict("transient"), broken("TruncatedBody"))

    async def send(
        self, call: Call, settle: Callable[[], Awaitable[Reply | None]] | None = None
    ) -> Reply:
        """Any call whose body is small.

        A write that must not happen twice (`replay` False) is repeated only through `settle`: it
        looks whether the write has happened after all and returns its result, or None (M30).
        """
        return await self._reply(call, Ladder(), settle)

    async def stream(
        self,
        call: Call,
        *,
        renew: Callable[[], Awaitable[str]] | None = None,
        size: int | None = None,
        mark: Mark | None = None,
    ) -> AsyncIterator[bytes]:
        """The bytes of an answer, from `mark` on; goes on where a broken connection stopped.

        `renew` gives a new pre-authorised URL when the old one died (M8). `size` is what was
        listed: it unmasks a short body when the answer declares no length.
        """
        body = Continuation(size, mark)
        ladder, healthy_at = Ladder(), body.got
        while True:
            part = msgspec.structs.replace(
                call, streamed=True, headers={**call.headers, **body.headers()}
            )
            try:
                async with self._answered(part, ladder) as response:
                    body.starts(response)
                    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                        fresh = body.takes(chunk)
                        if fresh:
                            yield fresh
                    body.ends()
                    return
            except DeadUrl:
                if renew is None:
                    raise ItemFailed("DeadDownloadUrl", 403) from None
                call = msgspec.structs.replace(call, url=await renew())
            except NETWORK_ERRORS as error:
                log.info("stream broke after %d bytes: %s", body.got, type(error).__name__)
                if body.got - healthy_at >= PROGRESS_BYTES:
                    ladder.transient, healthy_at = 0, body.got
                await self._climb(call, ladder, Verdict("transient"), broken("TruncatedBody"))

    async def _reply(
        self,
        call: Call,
        ladder: Ladder,
        settle: Callable[[], Awaitable[Reply | None]] | None = None,
    ) -> Reply:
        while True:
            try:
                async with self._answered(call, ladder) as response:
                    try:
                        body = await response.read()
                    except NETWORK_ERRORS:
                        log.info("an answer was cut short")
                    else:
                        return Reply(response.status, response.headers, body)
                await self._climb(call, ladder, Verdict("transient"), broken("TruncatedBody"))
            except Unsure as unsure:
                if settle is None:
                    raise unsure.failure from None
                done = await settle()
                if done is not None:
                    return done
            except DeadUrl:
                raise ItemFailed("DeadUrl", 404) from None

    @asynccontextmanager
    async def _answered(self, call: Call, ladder: Ladder) -> AsyncIterator[aiohttp.ClientResponse]:
        """A good answer, after as many repetitions as the ladder allows."""
        while True:
            async with AsyncExitStack() as stack:
                headers = await self._headers(call, ladder)
                await self._heed(call.lane)
                waited = await stack.enter_async_context(
                    call.lane.turn(max(1, call.ru), self._budget.deadline)
                )
                self._charge(call, waited.seconds)
                try:
                    response = await stack.enter_async_context(self._request(call, headers))
                    answer = await self._refusal(call, response)
                except NETWORK_ERRORS as error:
                    answer = broken(type(error).__name__)
                if answer is None:
                    call.lane.blind_refusals = 0
                    yield response
                    return
            await self._climb(call, ladder, verdict_of(call, answer), answer)

    def _request(
        self, call: Call, headers: dict[str, str]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        # encoded=True: links are opaque and followed byte for byte (section 1).
        return self.wire.session.request(
            call.method,
            URL(call.url, encoded=True),
            headers=headers,
            data=call.body,
            timeout=STREAM_TIMEOUT if call.streamed else PAGE_TIMEOUT,
        )

    async def _refusal(self, call: Call, response: aiohttp.ClientResponse) -> Answer | None:
        # SharePoint may mark infected content while serving it (section 5).
        infected = response.headers.get("X-Virus-Infected", "").lower() == "true"
        if (response.ok or response.status in call.accept) and not infected:
            return None
        answer = await read_answer(response, self.wire.clock.now())
        log.info(
            "%s about %s: %d %s, request %s",
            call.method, call.asked.about, answer.status, answer.code, answer.request_id,
        )  # fmt: skip
        return answer

    def _charge(self, call: Call, waited_s: float) -> None:
        use, budget = self.use, self._budget
        use.waited_s += waited_s
        spent_requests = budget.requests is not None and use.requests >= budget.requests
        spent_units = budget.ru is not None and use.ru + call.ru > budget.ru
        if spent_requests or spent_units:
            # The budget was for all the time up to the deadline.
            raise SliceOver(budget.deadline or self.wire.clock.now())
        use.requests += 1
        use.ru += call.ru

    async def _headers(self, call: Call, ladder: Ladder) -> dict[str, str]:
        headers = {
            "User-Agent": PRODUCT,
            "client-request-id": str(uuid.uuid4()),
            "return-client-request-id": "true",
            **call.headers,
        }
        if call.signed:
            ladder.token = await self._tokens.get(self.tenant_id, self._client_id)
            headers["Authorization"] = f"Bearer {ladder.token.token}"
        return headers

    async def _climb(self, call: Call, ladder: Ladder, verdict: Verdict, answer: Answer) -> None:
        """Wait, prepare the next try, or raise what ends the call."""
        failure = ItemFailed(answer.code or "UnknownError", answer.status, answer.request_id)
        match verdict.kind:
            case "throttled":
                whole_app = verdict.cause == "app"
                lane = self.wire.lanes.app(self._client_id) if whole_app else call.lane
                self._raise_fence(lane, verdict.wait_s)
                await self._tell(lane)
            case "transient":
                ladder.transient += 1
                if ladder.transient > faults.TRANSIENT_RETRIES:
                    raise failure
                await self._pause(ladder.transient)
                if not call.replay:
                    raise Unsure(failure)
            case "quirk":
                ladder.quirk += 1
                if ladder.quirk > faults.QUIRK_RETRIES:
                    raise failure
                await self._pause(ladder.quirk)
            case "expired_token":
                if ladder.refreshed or ladder.token is None:
                    raise ConsentLost("revoked")
                ladder.refreshed = True
                await self._tokens.renew(self.tenant_id, self._client_id, ladder.token)
            case "consent":
                await self._still_granted(ladder, verdict)
            case "dead_url":
                ladder.dead_url += 1
                raise DeadUrl if ladder.dead_url <= faults.DEAD_URL_RETRIES else failure
            case _:
                raise ending(verdict, answer, failure)

    async def _still_granted(self, ladder: Ladder, verdict: Verdict) -> None:
        """Ask sign-in what a tenant-wide refusal means; one more try if the roles have changed."""
        held = ladder.token
        if held is None or ladder.refreshed:
            raise ConsentLost(verdict.cause)
        ladder.refreshed = True
        # Raises the exact state when the consent is gone altogether.
        renewed = await self._tokens.renew(self.tenant_id, self._client_id, held)
        if renewed.roles == held.roles:
            raise ConsentLost(verdict.cause)

    def _raise_fence(self, lane: Lane, seconds: float | None) -> None:
        self.use.throttled += 1
        if seconds is None:
            seconds = faults.blind_fence_s(lane.blind_refusals)
            lane.blind_refusals += 1
        # Up to 10 % more, so that the waiters of several workers do not come back as one (M28).
        lane.raise_fence(seconds * (1 + 0.1 * self.wire.dice()))

    async def _heed(self, lane: Lane) -> None:
        """Keep the fences that other workers of the tenant were told to keep (M28)."""
        if self._fences is None:
            return
        for each in lane.shared_lanes():
            until = await self._fences.until(each.shared) if each.shared else None
            if until is not None:
                each.close_until(until)

    async def _tell(self, lane: Lane) -> None:
        closed, until = lane.fenced()
        if self._fences is not None and closed.shared is not None and until is not None:
            await self._fences.close_until(closed.shared, until)

    async def _pause(self, tries: int) -> None:
        seconds = faults.transient_wait_s(tries, self.wire.dice())
        self.use.waited_s += seconds
        await self.wire.sleep(seconds)
