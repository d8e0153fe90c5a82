"""The in-memory task hub: durabletask's own test backend, with what a host needs beyond a test.

Kept from the backend: the protocol, histories, queries, purge, rewind. Changed by overriding:
more server threads; no history limit; completions gather before a turn; work that was handed out
and never completed is handed out again; durable timers and delayed starts share one thread; a child
may take longer than the backend's 30 seconds; terminate may reach children; results of an older
generation or delivered twice are dropped.
"""

import sys
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc
from durabletask.testing.in_memory_backend import ActivityWorkItem, InMemoryOrchestrationBackend

from local.host.taskhub.alarm import Alarm

# A turn costs a replay of the whole history, so completions that arrive close together share one.
GATHER_SECONDS = 0.05
SERVER_THREADS = 64  # each open stream and each waiting client holds one
NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclass
class _Generation:
    """What one generation of an instance waits for. Continue-as-new begins another."""

    tasks: set[str] = field(default_factory=set)
    children: set[str] = field(default_factory=set)
    is_gathering: bool = False


class MemoryHub(InMemoryOrchestrationBackend):  # type: ignore[misc]
    """A TaskHub that forgets everything when its process ends."""

    def __init__(self) -> None:
        super().__init__(max_history_size=sys.maxsize, port=0)
        self._alarm = Alarm()
        self._activities: dict[str, ActivityWorkItem] = {}
        # child instance -> (parent, the parent's generation, the task in the parent's history)
        self._parents: dict[str, tuple[str, _Generation, int]] = {}

    def start(self) -> str:
        """Listen on a free port of this machine only."""
        self._shutdown_event.clear()
        self._alarm.start()
        pool = futures.ThreadPoolExecutor(SERVER_THREADS, thread_name_prefix="hub")
        self._server = grpc.server(pool, options=NO_LIMIT)
        rpc.add_TaskHubSidecarServiceServicer_to_server(self, self._server)
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        return f"127.0.0.1:{self._port}"

    def stop(self, grace: float | None = 0.5) -> None:
        """Stop listening and wake whoever waits for an instance: a waiting thread blocks exit."""
        self._alarm.stop()
        self._shutdown_event.set()
        with self._lock:
            for waiters in self._state_waiters.values():
                for waiter in waiters:
                    waiter.event.set()
        super().stop(grace)

    # --- handing work out

    def GetWorkItems(  # noqa: N802 - the protocol's name
        self, request: pb.GetWorkItemsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WorkItem]:
        """Stream work; what a broken stream leaves uncompleted is handed out again."""
        handed_out: dict[str, tuple[str, str]] = {}  # last turn per instance; tokens of activities
        try:
            for item in super().GetWorkItems(request, context):
                if item.HasField("orchestratorRequest"):
                    instance = item.orchestratorRequest.instanceId
                    handed_out[instance] = ("turn", item.completionToken)
                elif item.HasField("activityRequest"):
                    handed_out[item.completionToken] = ("activity", item.completionToken)
                if len(handed_out) > 5000:  # forget what is done: the stream may live for days
                    handed_out = {
                        key: value for key, value in handed_out.items() if self._is_open(key, value)
                    }
                yield item
        finally:
            self._take_back(handed_out)

    def _take_back(self, handed_out: dict[str, tuple[str, str]]) -> None:
        with self._lock:
            if not self._shutdown_event.is_set():
                for key, (kind, token) in handed_out.items():
                    if kind == "turn":
                        self._take_back_turn(key, token)
                    else:
                        self._take_back_activity(token)

    def _is_open(self, key: str, item: tuple[str, str]) -> bool:
        return key in (self._orchestration_in_flight if item[0] == "turn" else self._activities)

    def _take_back_turn(self, instance_id: str, token: str) -> None:
        instance = self._instances.get(instance_id)
        if instance is None or instance_id not in self._orchestration_in_flight:
            return
        if str(instance.completion_token) != token:
            return
        instance.pending_events = [*instance.dispatched_events, *instance.pending_events]
        instance.dispatched_events.clear()
        instance.completion_token = self._token()  # a late answer to the lost turn is stale
        self._orchestration_in_flight.discard(instance_id)
        self._enqueue_now(instance_id)

    def _take_back_activity(self, token: str) -> None:
        work = self._activities.get(token)
        if work is not None and work not in self._activity_queue:
            self._activity_queue.append(work)
            self._work_available.set()

    def AbandonTaskActivityWorkItem(  # noqa: N802
        self,
        request: pb.AbandonActivityTaskRequest,
        context: grpc.ServicerContext,  # noqa: ARG002 - the protocol's signature
    ) -> pb.AbandonActivityTaskResponse:
        """Put an activity back; the backend would lose it."""
        with self._lock:
            self._take_back_activity(request.completionToken)
        return pb.AbandonActivityTaskResponse()

    def _enqueue_orchestration(self, instance_id: str) -> None:
        """Queue a turn: later while a turn is under way, and gathered while results are awaited."""
        instance = self._instances.get(instance_id)
        if instance is None or self._is_terminal_status(instance.status):
            return
        if instance_id in self._orchestration_in_flight:
            return  # queued again when the turn under way is completed
        generation = _generation(instance)
        if not instance.history:
            self._enqueue_start(instance)
        elif not (generation.tasks or generation.children):
            self._enqueue_now(instance_id)  # nothing to gather for
        elif not generation.is_gathering:
            generation.is_gathering = True

            def gathered() -> None:
                with self._lock:
                    generation.is_gathering = False
                    if instance_id not in self._orchestration_in_flight:
                        self._enqueue_now(instance_id)

            self._alarm.after(GATHER_SECONDS, gathered)

    def _enqueue_start(self, instance: Any) -> None:
        """A new instance starts at once, or at its start time."""
        first = instance.pending_events[0] if instance.pending_events else None
        due = first.timestamp.ToDatetime(tzinfo=UTC) if first is not None else datetime.now(UTC)
        delay = (due - datetime.now(UTC)).total_seconds()
        if delay <= 0:
            self._enqueue_now(instance.instance_id)
            return

        def begin() -> None:
            with self._lock:
                if self._instances.get(instance.instance_id) is instance:
                    self._enqueue_now(instance.instance_id)

        self._alarm.after(delay, begin)

    def _enqueue_now(self, instance_id: str) -> None:
        super()._enqueue_orchestration(instance_id)

    # --- taking results

    def CompleteOrchestratorTask(  # noqa: N802
        self, request: pb.OrchestratorResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        """Commit a turn; an answer to a turn that was taken back changes nothing."""
        with self._lock:
            instance = self._instances.get(request.instanceId)
            if instance is None or str(instance.completion_token) != request.completionToken:
                return pb.CompleteTaskResponse()
            answer: pb.CompleteTaskResponse = super().CompleteOrchestratorTask(request, context)
            if self._is_terminal_status(instance.status):
                self._end(instance)
            return answer

    def _end(self, instance: Any) -> None:
        """Forget what a finished instance waited for and tell its parent."""
        self._forget(instance)
        known = self._parents.pop(instance.instance_id, None)
        if known is None:
            return
        parent_id, generation, task_id = known
        parent = self._instances.get(parent_id)
        if parent is None or _generation(parent) is not generation:
            return
        generation.children.discard(instance.instance_id)
        if instance.status == pb.ORCHESTRATION_STATUS_COMPLETED:
            event = helpers.new_sub_orchestration_completed_event(task_id, instance.output)
        else:
            event = helpers.new_sub_orchestration_failed_event(task_id, _why(instance))
            if instance.failure_details is not None:
                event.subOrchestrationInstanceFailed.failureDetails.CopyFrom(
                    instance.failure_details
                )
        self._deliver(parent, event)

    def CompleteActivityTask(  # noqa: N802
        self,
        request: pb.ActivityResponse,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.CompleteTaskResponse:
        """Take a result once; a second one, or one for an older generation, is dropped."""
        with self._lock:
            work = self._activities.pop(request.completionToken, None)
            instance = self._instances.get(request.instanceId)
            if work is None or instance is None:
                return pb.CompleteTaskResponse()
            generation = _generation(instance)
            if request.completionToken not in generation.tasks:
                return pb.CompleteTaskResponse()
            generation.tasks.discard(request.completionToken)
            event = pb.HistoryEvent(eventId=-1)
            event.timestamp.GetCurrentTime()
            if request.HasField("failureDetails"):
                event.taskFailed.taskScheduledId = work.task_id
                event.taskFailed.failureDetails.CopyFrom(request.failureDetails)
            else:
                event.taskCompleted.taskScheduledId = work.task_id
                event.taskCompleted.result.CopyFrom(request.result)
            self._deliver(instance, event)
        return pb.CompleteTaskResponse()

    def _deliver(self, instance: Any, event: pb.HistoryEvent) -> None:
        if self._is_terminal_status(instance.status):
            return
        instance.pending_events.append(event)
        instance.last_updated_at = datetime.now(UTC)
        self._enqueue_orchestration(instance.instance_id)

    # --- what a turn asks for

    def _terminate_instance_internal(
        self, instance_id: str, output: str | None, recursive: bool = False
    ) -> None:
        """Terminate an instance and, if asked, the children it waits for."""
        super()._terminate_instance_internal(instance_id, output, recursive=False)
        if recursive:
            for child, (parent, _, _) in list(self._parents.items()):
                if parent == instance_id:
                    self._terminate_instance_internal(child, output, recursive=True)

    def _process_schedule_task_action(self, instance: Any, action: pb.OrchestratorAction) -> None:
        super()._process_schedule_task_action(instance, action)
        work = self._activity_queue[-1]
        work.completion_token = self._token()  # one per activity, not one per turn
        self._activities[str(work.completion_token)] = work
        _generation(instance).tasks.add(str(work.completion_token))

    def _process_create_timer_action(self, instance: Any, action: pb.OrchestratorAction) -> None:
        fire_at = action.createTimer.fireAt.ToDatetime(tzinfo=UTC)
        instance.history.append(helpers.new_timer_created_event(action.id, fire_at))
        generation = _generation(instance)

        def fire() -> None:
            with self._lock:
                same = self._instances.get(instance.instance_id) is instance
                if same and _generation(instance) is generation:
                    self._deliver(instance, helpers.new_timer_fired_event(action.id, fire_at))

        self._alarm.after((fire_at - datetime.now(UTC)).total_seconds(), fire)

    def _watch_sub_orchestration(
        self, parent_instance_id: str, sub_instance_id: str, task_id: int
    ) -> None:
        """Remember who waits; the backend's own watcher gives up after 30 seconds."""
        generation = _generation(self._instances[parent_instance_id])
        generation.children.add(sub_instance_id)
        self._parents[sub_instance_id] = (parent_instance_id, generation, task_id)

    def _process_complete_orchestration_action(
        self, instance: Any, complete_action: pb.CompleteOrchestrationAction
    ) -> None:
        if complete_action.orchestrationStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            self._forget(instance)
        super()._process_complete_orchestration_action(instance, complete_action)

    def _forget(self, instance: Any) -> None:
        """Begin a new generation: answers to the old one no longer count.

        Activities not handed out yet still run: they were scheduled, and the cloud runs them too.
        """
        instance.generation = _Generation()

    def _token(self) -> int:
        token: int = self._next_completion_token
        self._next_completion_token += 1
        return token


def _generation(instance: Any) -> _Generation:
    """The instance's current generation; the backend's record has no place for it but itself."""
    if not hasattr(instance, "generation"):
        instance.generation = _Generation()
    generation: _Generation = instance.generation
    return generation


def _why(instance: Any) -> Exception:
    name = (
        pb.OrchestrationStatus.Name(instance.status).removeprefix("ORCHESTRATION_STATUS_").lower()
    )
    return RuntimeError(f"the sub-orchestration '{instance.instance_id}' was {name}")
