"""The workers' half of the protocol: items out, answers in."""

# ruff: noqa: N802, ARG002 - names and signatures are the protocol's

import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc

from local.host.taskhub.sqlite import activities, batches, events, limits, turns
from local.host.taskhub.sqlite.delivery import Delivery
from local.host.taskhub.sqlite.pending import Turn
from local.host.taskhub.sqlite.store import Store, Transaction, Unavailable
from local.host.taskhub.sqlite.streams import Stream

logger = logging.getLogger(__name__)

Call = Callable[..., Awaitable[Any]]


def answering(call: Call) -> Call:
    """Turn what the work raises into the gRPC status that a client understands."""

    @functools.wraps(call)
    async def answer(self: Any, request: Any, context: Any) -> Any:
        try:
            return await call(self, request, context)
        except limits.Refused as refused:
            await context.abort(refused.code, refused.message)
        except Unavailable as fault:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(fault))
        except OverflowError:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "a token or a number is out of range"
            )

    return answer


class WorkService(rpc.TaskHubSidecarServiceServicer):  # type: ignore[misc]
    """`store` gives the store of the moment: after a crash it is another one."""

    def __init__(self, store: Callable[[], Store], delivery: Delivery) -> None:
        self._store, self._delivery = store, delivery

    async def _do[T](self, work: Callable[[Transaction], T]) -> T:
        return await self._store().call(work)

    def _read[T](self, work: Callable[[Transaction], T]) -> T:
        return self._store().read(work)

    async def GetWorkItems(self, request: Any, context: Any) -> AsyncIterator[bytes]:
        """Work items until the worker goes away; what it then still holds is handed out again."""
        stream = Stream.of(request)
        self._delivery.attach(stream)
        try:
            while (item := await stream.queue.get()) is not None:
                yield item
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the stream was cut")
        finally:
            self._delivery.detach(stream)

    @answering
    async def CompleteOrchestratorTask(self, request: Any, context: Any) -> Any:
        """Commit a turn; an answer to a turn that no longer counts changes nothing."""
        if request.isPartial:
            raise limits.Refused(limits.UNIMPLEMENTED, "partial answers to a turn are not taken")
        turn = self._delivery.turn(request.completionToken)
        if turn is None or turn.begun is None or turn.is_committing:
            return pb.CompleteTaskResponse()
        turn.is_committing = True
        try:
            await self._commit(turn, request)
        finally:
            turn.is_committing = False
            if turn.stream is None:
                self._delivery.lose_turn(turn)  # nothing if it was committed
        return pb.CompleteTaskResponse()

    async def _commit(self, turn: Turn, response: Any) -> None:
        begun = turn.begun
        assert begun is not None
        try:
            await self._do(lambda tx: turns.complete(tx, begun, response))
        except Unavailable:
            raise
        except Exception as fault:
            # Nothing of the turn was kept. The instance ends, visibly: it would fail again.
            logger.exception("a turn of %s cannot be committed", turn.live.id)
            failed = pb.OrchestratorResponse(instanceId=response.instanceId)
            action = failed.actions.add(id=-1).completeOrchestration
            action.orchestrationStatus = pb.ORCHESTRATION_STATUS_FAILED
            action.failureDetails.CopyFrom(events.failure(type(fault).__name__, str(fault)))
            await self._do(lambda tx: turns.complete(tx, begun, failed))

    @answering
    async def CompleteActivityTask(self, request: Any, context: Any) -> Any:
        """Take an activity's result."""
        token = request.completionToken
        if token.isdecimal():  # else it is none of ours
            await self._do(lambda tx: activities.complete(tx, int(token), request))
        return pb.CompleteTaskResponse()

    @answering
    async def CompleteEntityTask(self, request: Any, context: Any) -> Any:
        """Commit a batch of operations; an answer that no longer counts changes nothing."""
        batch = self._delivery.entities.batch(request.completionToken)
        if batch is None or batch.begun is None or batch.is_committing:
            return pb.CompleteTaskResponse()
        begun = batch.begun
        batch.is_committing = True
        try:
            await self._do(lambda tx: batches.complete(tx, begun, request))
        except Unavailable:
            raise
        except Exception:
            logger.exception("a batch of operations cannot be committed: it is handed out again")
            self._delivery.entities.lose(batch)
        finally:
            batch.is_committing = False
            if batch.stream is None:
                self._delivery.entities.lose(batch)  # nothing if it was committed
        return pb.CompleteTaskResponse()

    async def AbandonTaskEntityWorkItem(self, request: Any, context: Any) -> Any:
        """A worker gives a batch of operations back."""
        batch = self._delivery.entities.batch(request.completionToken)
        if batch is not None and not batch.is_committing:
            self._delivery.entities.lose(batch)
        return pb.AbandonEntityTaskResponse()

    async def AbandonTaskOrchestratorWorkItem(
        self,
        request: Any,
        context: Any,
    ) -> Any:
        """A worker gives a turn back."""
        turn = self._delivery.turn(request.completionToken)
        if turn is not None and not turn.is_committing:
            self._delivery.give_back(turn)
        return pb.AbandonOrchestrationTaskResponse()

    async def AbandonTaskActivityWorkItem(self, request: Any, context: Any) -> Any:
        """A worker gives an activity back."""
        item = self._delivery.activity(request.completionToken)
        if item is not None and item.stream is not None:
            self._delivery.lose_activity(item)
        return pb.AbandonActivityTaskResponse()
