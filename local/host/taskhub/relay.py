"""A task hub that stands elsewhere, reached through a relay on this machine.

The app's durable clients know neither TLS nor tokens: in the cloud they talk to the host, and the
host talks to the scheduler. So it is here. Messages pass as bytes, unread; the relay adds the
task hub's name and a token, and hands errors back as they came.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import grpc
import grpc.aio
from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.scheduler import Connection, Identity, NoToken, credential_of

logger = logging.getLogger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["TaskHubSidecarService"]
WORK_ITEMS = "GetWorkItems"
SILENCE_SECONDS = 120.0
"""A scheduler sends signs of life; a stream silent for longer is broken, whatever TCP believes."""
NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
PASSED_ON = frozenset({"workerid", "traceparent", "tracestate"})
STOP_SECONDS = 0.5


class SchedulerHub:
    """A TaskHub: a loopback address in front of a Durable Task Scheduler.

    `roots`: certificates (PEM) to trust in place of the machine's.
    """

    def __init__(
        self, connection: Connection, *, credential: Any = None, roots: bytes | None = None
    ) -> None:
        self._connection, self._roots = connection, roots
        self._credential = credential
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def start(self) -> str:
        """Listen on a free port of this machine; whether the scheduler answers, a call shows."""
        began = threading.Event()
        outcome: list[str | BaseException] = []

        def run() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(self._serve(outcome, began))

        self._thread = threading.Thread(target=run, name="hub-relay", daemon=True)
        self._thread.start()
        began.wait()
        if isinstance(outcome[0], BaseException):
            self._thread.join()
            self._thread = None
            raise outcome[0]
        return outcome[0]

    async def _serve(self, outcome: list[str | BaseException], began: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            credential = self._credential or credential_of(self._connection)
            channel = _channel(self._connection, self._roots)
            server = grpc.aio.server(options=NO_LIMIT)
            relay = Relay(channel, self._connection.task_hub, Identity(credential))
            server.add_generic_rpc_handlers((relay.handlers(),))
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            outcome.append(f"127.0.0.1:{port}")
        except BaseException as fault:  # noqa: BLE001 - raised in the thread that asked
            outcome.append(fault)
            return
        finally:
            began.set()
        await self._stopping.wait()
        await server.stop(STOP_SECONDS)
        await channel.close()

    def stop(self) -> None:
        """Stop listening; the scheduler goes on without us."""
        if self._thread is None:
            return
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None


def _channel(connection: Connection, roots: bytes | None) -> Any:
    if connection.is_secure:
        trusted = grpc.ssl_channel_credentials(root_certificates=roots)
        return grpc.aio.secure_channel(connection.target, trusted, options=NO_LIMIT)
    return grpc.aio.insecure_channel(connection.target, options=NO_LIMIT)


class Relay:
    """Hands each call of the service on, with the hub's name and a token."""

    def __init__(self, channel: Any, task_hub: str, identity: Identity) -> None:
        self._channel, self._identity = channel, identity
        self._own = (("taskhub", task_hub), ("x-user-agent", f"durabletask-python/{_version()}"))

    def handlers(self) -> Any:
        """One handler for each method of the service."""
        found = {}
        for method in SERVICE.methods:
            path = f"/{SERVICE.full_name}/{method.name}"
            if method.server_streaming:
                silence = SILENCE_SECONDS if method.name == WORK_ITEMS else None
                found[method.name] = grpc.unary_stream_rpc_method_handler(
                    self._stream(path, silence)
                )
            else:
                found[method.name] = grpc.unary_unary_rpc_method_handler(self._one(path))
        return grpc.method_handlers_generic_handler(SERVICE.full_name, found)

    def _one(self, path: str) -> Any:
        call = self._channel.unary_unary(path)

        async def pass_on(request: bytes, context: Any) -> bytes:
            metadata = await self._metadata(context)
            try:
                answer: bytes = await call(
                    request, metadata=metadata, timeout=context.time_remaining()
                )
            except grpc.aio.AioRpcError as fault:
                await context.abort(fault.code(), fault.details() or "")
                raise
            return answer

        return pass_on

    def _stream(self, path: str, silence: float | None) -> Any:
        call = self._channel.unary_stream(path)

        async def pass_on(request: bytes, context: Any) -> AsyncIterator[bytes]:
            metadata = await self._metadata(context)
            items = call(request, metadata=metadata, timeout=context.time_remaining())
            try:
                while True:
                    item = await asyncio.wait_for(items.read(), silence)
                    if item is grpc.aio.EOF:
                        return
                    yield item
            except grpc.aio.AioRpcError as fault:
                await context.abort(fault.code(), fault.details() or "")
            except TimeoutError:
                await context.abort(
                    grpc.StatusCode.UNAVAILABLE, f"the scheduler was silent for {silence:.0f} s"
                )
            finally:
                items.cancel()

        return pass_on

    async def _metadata(self, context: Any) -> tuple[tuple[str, str], ...]:
        given = context.invocation_metadata() or ()
        kept = tuple((name, value) for name, value in given if name in PASSED_ON)
        try:
            return (*kept, *self._own, *await self._identity.header())
        except NoToken as fault:
            logger.error("%s", fault)  # noqa: TRY400 - the sentence says it
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(fault))
            raise


def _version() -> str:
    return version("durabletask")
