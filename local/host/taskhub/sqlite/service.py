"""The protocol: durabletask's TaskHubSidecarService, each call checked and answered."""

# ruff: noqa: N802, ARG002 - names and signatures are the protocol's

import functools
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc
from google.protobuf import empty_pb2

from local.host.taskhub.sqlite import (
    entities,
    entity_queries,
    events,
    history,
    instances,
    limits,
    messages,
    purging,
    queries,
    rewinding,
)
from local.host.taskhub.sqlite.store import Transaction
from local.host.taskhub.sqlite.work_service import WorkService, answering

logger = logging.getLogger(__name__)

NAME = "TaskHubSidecarService"
HISTORY_CHUNK = 500


class Service(WorkService):
    """The whole protocol: clients here, workers in the part it is built on."""

    def add_to(self, server: Any) -> None:
        """Serve on a gRPC server. Work items are bytes already: they go out as they are."""
        known = _Handlers()
        rpc.add_TaskHubSidecarServiceServicer_to_server(self, known)
        known.by_name["GetWorkItems"] = grpc.unary_stream_rpc_method_handler(
            self.GetWorkItems,
            request_deserializer=pb.GetWorkItemsRequest.FromString,
            response_serializer=bytes,
        )
        generic = grpc.method_handlers_generic_handler(NAME, known.by_name)
        server.add_generic_rpc_handlers((generic,))

    # --- clients

    async def Hello(self, request: Any, context: Any) -> Any:
        """Alive."""
        return empty_pb2.Empty()

    @answering
    async def StartInstance(self, request: Any, context: Any) -> Any:
        """Start if the id is free, or may be used again by the request's policy."""
        given = limits.check_payload("the input", events.text_of(request, "input"))
        new = instances.New(
            request.instanceId or uuid.uuid4().hex,
            request.name,
            events.text_of(request, "version"),
            given,
            dict(request.tags),
            events.micros(request.scheduledStartTimestamp)
            if request.HasField("scheduledStartTimestamp")
            else None,
            trace=request.parentTraceContext if request.HasField("parentTraceContext") else None,
        )
        replaceable = frozenset(request.orchestrationIdReusePolicy.replaceableStatus)
        await self._do(lambda tx: instances.start(tx, new, replaceable))
        return pb.CreateInstanceResponse(instanceId=new.id)

    @answering
    async def GetInstance(self, request: Any, context: Any) -> Any:
        """The state now."""
        return _instance(self._state(request))

    @answering
    async def WaitForInstanceStart(self, request: Any, context: Any) -> Any:
        """The state once the instance is no longer pending; the caller's deadline ends the wait."""
        return await self._wait(request, lambda s: s != pb.ORCHESTRATION_STATUS_PENDING)

    @answering
    async def WaitForInstanceCompletion(self, request: Any, context: Any) -> Any:
        """The state once the instance has ended; the caller's deadline ends the wait."""
        return await self._wait(request, lambda s: s in events.TERMINAL)

    async def _wait(self, request: Any, is_over: Callable[[int], bool]) -> Any:
        while True:
            state = self._state(request)
            if state is None or is_over(state.orchestrationStatus):
                return _instance(state)
            await self._delivery.waiters.change_of(request.instanceId)

    def _state(self, request: Any) -> Any:
        wanted = request.getInputsAndOutputs
        return self._read(lambda tx: queries.state(tx, request.instanceId, with_payloads=wanted))

    @answering
    async def RaiseEvent(self, request: Any, context: Any) -> Any:
        """Buffer an event for an instance."""
        given = limits.check_payload("the event", events.text_of(request, "input"))
        await self._do(
            lambda tx: instances.raise_event(tx, request.instanceId, request.name, given)
        )
        return pb.RaiseEventResponse()

    @answering
    async def TerminateInstance(self, request: Any, context: Any) -> Any:
        """End an instance, and if asked its children, at once."""
        reason = limits.check_payload("the output", events.text_of(request, "output"))
        await self._do(
            lambda tx: instances.terminate(
                tx, request.instanceId, reason, is_recursive=request.recursive
            )
        )
        return pb.TerminateResponse()

    @answering
    async def SuspendInstance(self, request: Any, context: Any) -> Any:
        """Hold an instance: events are kept, nothing is scheduled."""
        await self._do(lambda tx: _suspend(tx, request))
        return pb.SuspendResponse()

    @answering
    async def ResumeInstance(self, request: Any, context: Any) -> Any:
        """Let an instance go on."""
        await self._do(lambda tx: _resume(tx, request))
        return pb.ResumeResponse()

    @answering
    async def RestartInstance(self, request: Any, context: Any) -> Any:
        """Run a finished instance again with its first input."""
        is_new = request.restartWithNewInstanceId
        restarted = await self._do(
            lambda tx: instances.restart(tx, request.instanceId, is_new_id=is_new)
        )
        return pb.RestartInstanceResponse(instanceId=restarted)

    @answering
    async def RewindInstance(self, request: Any, context: Any) -> Any:
        """Let a failed instance go on from its last good state."""
        reason = events.text_of(request, "reason")
        await self._do(lambda tx: rewinding.rewind(tx, request.instanceId, reason))
        return pb.RewindInstanceResponse()

    @answering
    async def QueryInstances(self, request: Any, context: Any) -> Any:
        """A page of states."""
        return self._read(lambda tx: queries.page(tx, request.query))

    @answering
    async def ListInstanceIds(self, request: Any, context: Any) -> Any:
        """A page of ids of finished instances."""
        return self._read(lambda tx: queries.ended_ids(tx, request))

    @answering
    async def PurgeInstances(self, request: Any, context: Any) -> Any:
        """Remove finished instances, a few hundred per transaction."""
        removed, is_complete = 0, True
        recursive = request.recursive
        names = [request.instanceId] if request.instanceId else request.instanceBatch.instanceIds
        for name in names:
            removed += await self._do(
                functools.partial(purging.purge_one, instance_id=name, is_recursive=recursive)
            )
        if request.HasField("purgeInstanceFilter"):
            limit = purging.deadline(request.purgeInstanceFilter)
            more = True
            while more and (is_complete := not limit.is_over()):
                count, more = await self._do(
                    lambda tx: purging.purge_some(
                        tx, request.purgeInstanceFilter, is_recursive=recursive
                    )
                )
                removed += count
        return pb.PurgeInstancesResponse(
            deletedInstanceCount=removed, isComplete={"value": is_complete}
        )

    async def StreamInstanceHistory(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """The history in chunks."""

        def read(tx: Transaction) -> list[Any] | None:
            instance = messages.by_id(tx, request.instanceId)
            return None if instance is None else history.events_of(tx, instance.key)

        found = self._read(read)
        if found is None:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, limits.not_found(request.instanceId).message
            )
            return
        for at in range(0, len(found), HISTORY_CHUNK):
            yield pb.HistoryChunk(events=found[at : at + HISTORY_CHUNK])

    async def CreateTaskHub(self, request: Any, context: Any) -> Any:
        """There is one hub and it is there; it is never emptied by a call."""
        return pb.CreateTaskHubResponse()

    async def DeleteTaskHub(self, request: Any, context: Any) -> Any:
        """Refused: the file is removed by its owner."""
        await _not_done(context, "deleting the hub")

    async def SkipGracefulOrchestrationTerminations(self, request: Any, context: Any) -> Any:
        """Refused."""
        await _not_done(context, "skipping graceful terminations")

    # --- entities

    @answering
    async def SignalEntity(self, request: Any, context: Any) -> Any:
        """Put a one-way operation into an entity's backlog."""
        signalled = pb.EntityOperationSignaledEvent(
            requestId=request.requestId, operation=request.name
        )
        signalled.targetInstanceId.value = request.instanceId
        for field in ("input", "scheduledTime"):
            if request.HasField(field):
                getattr(signalled, field).CopyFrom(getattr(request, field))
        await self._do(lambda tx: entities.signal(tx, signalled))
        return pb.SignalEntityResponse()

    @answering
    async def GetEntity(self, request: Any, context: Any) -> Any:
        """One entity, with its state if asked for."""
        wanted = request.includeState
        return self._read(lambda tx: entity_queries.one(tx, request.instanceId, with_state=wanted))

    @answering
    async def QueryEntities(self, request: Any, context: Any) -> Any:
        """A page of entities."""
        return self._read(lambda tx: entity_queries.page(tx, request.query))

    @answering
    async def CleanEntityStorage(self, request: Any, context: Any) -> Any:
        """Remove empty entities and end locks that nobody holds any more, part by part."""
        return await self._do(lambda tx: entity_queries.clean(tx, request))


class _Handlers:
    """Stands in for a server to learn the handlers that the generated code makes."""

    def __init__(self) -> None:
        self.by_name: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """The same handlers in another form."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """One handler for each method."""
        self.by_name = dict(handlers)


async def _not_done(context: Any, what: str) -> NoReturn:
    await context.abort(limits.UNIMPLEMENTED, f"the local task hub does not do this: {what}")
    raise AssertionError("abort raises")


def _instance(state: Any) -> Any:
    if state is None:
        return pb.GetInstanceResponse(exists=False)
    return pb.GetInstanceResponse(exists=True, orchestrationState=state)


def _suspend(tx: Transaction, request: Any) -> None:
    limits.check_payload("the reason", events.text_of(request, "reason"))
    event = events.event(tx.now)
    event.executionSuspended.SetInParent()
    if request.HasField("reason"):
        event.executionSuspended.input.CopyFrom(request.reason)
    instances.control(tx, request.instanceId, event)


def _resume(tx: Transaction, request: Any) -> None:
    limits.check_payload("the reason", events.text_of(request, "reason"))
    event = events.event(tx.now)
    event.executionResumed.SetInParent()
    if request.HasField("reason"):
        event.executionResumed.input.CopyFrom(request.reason)
    instances.control(tx, request.instanceId, event)
