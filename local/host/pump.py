"""Takes work items from the task hub, lets the worker run them, sends the answers back."""

import asyncio
import base64
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import grpc.aio
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc

from local.host.counters import Counters
from local.host.indexing import Function
from local.host.values import datum, text
from local.host.worker import InvocationFailed, Worker

logger = logging.getLogger(__name__)

Work = Callable[[Any, str], Awaitable[None]]

NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
RECONNECT_SECONDS = (0.1, 0.5, 2.0)
ANSWER_SECONDS = 60.0
"""How long an answer is offered to a hub that is away: it may be starting again."""
LONGEST_ANSWER_PAUSE_SECONDS = 2.0
LARGE_INPUT_BYTES = 60_000  # the cloud puts larger ones into a blob, which is slow
LONG_HISTORY_EVENTS = 5_000


class Pump:
    """One worker's connection to a task hub. `start`, then `stop`; any number may share a hub."""

    def __init__(
        self,
        address: str,
        functions: list[Function],
        worker: Worker,
        counters: Counters,
        *,
        max_activities: int,
        max_orchestrators: int,
        max_entities: int = 1,
        hub_name: str = "",
        replays_twice: bool = False,
    ) -> None:
        self._address, self._worker, self._counters = address, worker, counters
        self._replays_twice = replays_twice
        # A scheduler serves many hubs and asks for the name; a hub of our own does not look.
        self._metadata = (("taskhub", hub_name), ("workerid", f"local-{os.getpid()}"))
        self._orchestrators = _by_durable_name(functions, "orchestrationTrigger")
        self._activities = _by_durable_name(functions, "activityTrigger")
        self._entities = _by_durable_name(functions, "entityTrigger")
        self._turn_places = asyncio.Semaphore(max_orchestrators)
        self._activity_places = asyncio.Semaphore(max_activities)
        self._entity_places = asyncio.Semaphore(max_entities)
        self._max = (max_orchestrators, max_activities, max_entities)
        self._waiting: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._warned: set[str] = set()
        self._is_stopping = False
        self._fetching: asyncio.Task[None] | None = None
        self._hub: Any = None
        self._channel: Any = None

    def start(self) -> None:
        """Connect and begin to fetch; returns at once."""
        self._channel = grpc.aio.insecure_channel(self._address, options=NO_LIMIT)
        self._hub = rpc.TaskHubSidecarServiceStub(self._channel)
        self._fetching = asyncio.create_task(self._fetch())

    async def stop(self, grace_seconds: float) -> None:
        """Stop fetching, let what runs end within `grace_seconds`, abandon the rest."""
        if self._fetching is None:
            return
        self._is_stopping = True
        for task in self._waiting:
            task.cancel()  # not begun yet: another worker takes it
        if self._running:
            await asyncio.wait(self._running, timeout=grace_seconds)
        for task in self._running:
            task.cancel()
        # The stream ends last: the hub hands out again whatever it is still owed by it.
        self._fetching.cancel()
        everything = [self._fetching, *self._waiting, *self._running]
        await asyncio.gather(*everything, return_exceptions=True)
        await self._channel.close()

    async def _fetch(self) -> None:
        failures = 0
        request = pb.GetWorkItemsRequest(
            maxConcurrentOrchestrationWorkItems=self._max[0],
            maxConcurrentActivityWorkItems=self._max[1],
            maxConcurrentEntityWorkItems=self._max[2],
        )
        while True:
            try:
                async for item in self._hub.GetWorkItems(request, metadata=self._metadata):
                    failures = 0
                    self._take(item)
            except grpc.aio.AioRpcError as fault:
                logger.warning("the task hub's stream broke: %s", fault.details())
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1

    def _take(self, item: Any) -> None:
        if self._is_stopping:
            return  # the hub hands it out again when the stream ends
        token = item.completionToken
        match item.WhichOneof("request"):
            case "orchestratorRequest":
                places, work, request = self._turn_places, self._turn, item.orchestratorRequest
            case "activityRequest":
                places, work, request = self._activity_places, self._activity, item.activityRequest
            case "entityRequestV2":
                places, work, request = self._entity_places, self._entity, item.entityRequestV2
            case "healthPing":
                return
            case other:
                logger.warning("the local host does not run %s", other)
                return
        task = asyncio.create_task(self._in_place(places, work, request, token))
        self._waiting.add(task)
        task.add_done_callback(self._forget)

    async def _in_place(
        self, places: asyncio.Semaphore, work: Work, request: Any, token: str
    ) -> None:
        async with places:
            task = asyncio.current_task()
            assert task is not None
            self._waiting.discard(task)
            self._running.add(task)
            await work(request, token)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        self._running.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            logger.error("a work item could not be completed", exc_info=fault)

    async def _turn(self, request: Any, token: str) -> None:
        """History in, actions out, both as the base64 the orchestration trigger carries."""
        self._counters.turns += 1
        events = [*request.pastEvents, *request.newEvents]
        started = next(e for e in reversed(events) if e.HasField("executionStarted"))
        name = started.executionStarted.name
        self._warn_long(request.instanceId, name, len(events))
        function = self._orchestrators.get(name.lower())
        if function is None:
            response = _failed_turn(request, _missing(name, "an orchestrator"))
        else:
            payload = base64.b64encode(request.SerializeToString()).decode("ascii")
            try:
                response = await self._replay(function, payload)
                if self._replays_twice:
                    _compare(name, response, await self._replay(function, payload))
            except InvocationFailed as fault:
                response = _failed_turn(request, fault)
        response.completionToken = token
        await self._answer(self._hub.CompleteOrchestratorTask, response)

    async def _replay(self, function: Function, payload: str) -> Any:
        returned = await self._worker.invoke(function, text(payload))
        return pb.OrchestratorResponse.FromString(base64.b64decode(returned.value.value))

    async def _activity(self, request: Any, token: str) -> None:
        """JSON text in, JSON text out; a failure as its three fields."""
        self._counters.activities += 1
        name = request.name
        response = pb.ActivityResponse(
            instanceId=request.orchestrationInstance.instanceId,
            taskId=request.taskId,
            completionToken=token,
        )
        given = request.input.value if request.HasField("input") else "null"
        if len(given) > LARGE_INPUT_BYTES and name not in self._warned:
            self._warned.add(name)
            logger.warning("%s got an input of %d bytes: slow in the cloud", name, len(given))
        try:
            function = self._activities.get(name.lower())
            if function is None:
                raise _missing(name, "an activity")
            returned = await self._worker.invoke(function, datum(given or "null", "json"))
            response.result.value = _json_result(returned.value)
        except InvocationFailed as fault:
            response.failureDetails.CopyFrom(_details(fault))
        await self._answer(self._hub.CompleteActivityTask, response)

    async def _entity(self, request: Any, token: str) -> None:
        """State and operations in, state and results out, as the entity trigger carries them."""
        self._counters.entity_batches += 1
        batch, infos = helpers.convert_to_entity_batch_request(request)
        name = request.instanceId[1:].partition("@")[0]
        try:
            function = self._entities.get(name)
            if function is None:
                raise _missing(name, "an entity")
            payload = base64.b64encode(batch.SerializeToString()).decode("ascii")
            returned = await self._worker.invoke(function, text(payload))
            answer = pb.EntityBatchResult.FromString(base64.b64decode(returned.value.value))
        except InvocationFailed as fault:
            # As many failures as operations: the state stays, every caller is told.
            failed = pb.OperationResult()
            failed.failure.failureDetails.CopyFrom(_details(fault))
            state = batch.entityState if batch.HasField("entityState") else None
            answer = pb.EntityBatchResult(results=[failed] * len(infos), entityState=state)
        answer.completionToken = token
        del answer.operationInfos[:]
        answer.operationInfos.extend(infos)
        await self._answer(self._hub.CompleteEntityTask, answer)

    async def _answer(self, call: Any, response: Any) -> None:
        """Send an answer; the hub may be away for a moment."""
        loop = asyncio.get_running_loop()
        end = loop.time() + ANSWER_SECONDS
        pause = 0.1
        while True:
            try:
                await call(response, metadata=self._metadata)
            except grpc.aio.AioRpcError as fault:
                if loop.time() > end or fault.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_ANSWER_PAUSE_SECONDS)
            else:
                return

    def _warn_long(self, instance: str, name: str, events: int) -> None:
        if events > LONG_HISTORY_EVENTS and instance not in self._warned:
            self._warned.add(instance)
            logger.warning("%s (%s) has a history of %d events", name, instance, events)


def _by_durable_name(functions: list[Function], kind: str) -> Mapping[str, Function]:
    """Names to functions, without regard to case; a disabled function does not exist."""
    return {f.durable_name.lower(): f for f in functions if f.kind == kind and not f.disabled}


def _json_result(value: Any) -> str:
    if value is None or value.value is None:
        return "null"
    return value.value if isinstance(value.value, str) else value.value.decode("utf-8")


def _missing(name: str, what: str) -> InvocationFailed:
    return InvocationFailed(
        "FunctionNotFound",
        f"the function '{name}' doesn't exist, is disabled, or is not {what} function",
        "",
    )


def _details(fault: InvocationFailed) -> Any:
    details = pb.TaskFailureDetails(
        errorType=fault.error_type, errorMessage=fault.error_message or fault.error_type
    )
    details.stackTrace.value = fault.stack_trace
    return details


def _compare(name: str, first: Any, second: Any) -> None:
    """Refuse an orchestrator that does not do the same on the same history."""
    if first.actions == second.actions and first.customStatus == second.customStatus:
        return
    for one, other in itertools.zip_longest(first.actions, second.actions):
        if one != other:
            raise InvocationFailed(
                "NonDeterminismError",
                f"'{name}' did not do the same twice on the same history: first {_brief(one)}, "
                f"then {_brief(other)}",
                "",
            )
    raise InvocationFailed("NonDeterminismError", f"'{name}' set another custom status", "")


def _brief(action: Any) -> str:
    return "nothing" if action is None else " ".join(str(action).split())[:200]


def _failed_turn(request: Any, fault: InvocationFailed) -> Any:
    """The answer that ends an instance as Failed."""
    action = pb.OrchestratorAction(id=-1)
    action.completeOrchestration.orchestrationStatus = pb.ORCHESTRATION_STATUS_FAILED
    action.completeOrchestration.failureDetails.CopyFrom(_details(fault))
    return pb.OrchestratorResponse(instanceId=request.instanceId, actions=[action])
