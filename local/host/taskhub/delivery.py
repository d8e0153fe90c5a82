"""Who waits for what in the in-memory hub, and how results find the instance that asked.

Each generation of an instance knows its open activities and children. A result counts once, and
only for the generation that asked; what comes twice or late is dropped (functions-facts.md 7.1).
"""

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import ActivityWorkItem, InMemoryOrchestrationBackend

from local.host.taskhub.alarm import Alarm


@dataclass
class Generation:
    """What one generation of an instance waits for. Continue-as-new begins another."""

    tasks: set[str] = field(default_factory=set)
    children: set[str] = field(default_factory=set)
    is_gathering: bool = False


class DeliveringBackend(InMemoryOrchestrationBackend):  # type: ignore[misc]
    """durabletask's test backend with generations. Every override runs under the backend's lock."""

    def __init__(self) -> None:
        super().__init__(max_history_size=sys.maxsize, port=0)
        self._alarm = Alarm()
        self._activities: dict[str, ActivityWorkItem] = {}
        # child instance -> (parent, the parent's generation, the task in the parent's history)
        self._parents: dict[str, tuple[str, Generation, int]] = {}

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
        if parent is None or generation_of(parent) is not generation:
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
            generation = generation_of(instance)
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
        generation_of(instance).tasks.add(str(work.completion_token))

    def _process_create_timer_action(self, instance: Any, action: pb.OrchestratorAction) -> None:
        fire_at = action.createTimer.fireAt.ToDatetime(tzinfo=UTC)
        instance.history.append(helpers.new_timer_created_event(action.id, fire_at))
        generation = generation_of(instance)

        def fire() -> None:
            with self._lock:
                same = self._instances.get(instance.instance_id) is instance
                if same and generation_of(instance) is generation:
                    self._deliver(instance, helpers.new_timer_fired_event(action.id, fire_at))

        self._alarm.after((fire_at - datetime.now(UTC)).total_seconds(), fire)

    def _watch_sub_orchestration(
        self, parent_instance_id: str, sub_instance_id: str, task_id: int
    ) -> None:
        """Remember who waits; the backend's own watcher gives up after 30 seconds."""
        generation = generation_of(self._instances[parent_instance_id])
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
        instance.generation = Generation()

    def _token(self) -> int:
        token: int = self._next_completion_token
        self._next_completion_token += 1
        return token


def generation_of(instance: Any) -> Generation:
    """The instance's current generation; the backend's record has no place for it but itself."""
    if not hasattr(instance, "generation"):
        instance.generation = Generation()
    generation: Generation = instance.generation
    return generation


def _why(instance: Any) -> Exception:
    name = (
        pb.OrchestrationStatus.Name(instance.status).removeprefix("ORCHESTRATION_STATUS_").lower()
    )
    return RuntimeError(f"the sub-orchestration '{instance.instance_id}' was {name}")
