"""The in-memory task hub: durabletask's own test backend, with what a host needs beyond a test.

Kept from the backend: the protocol, histories, queries, purge, rewind. Changed by overriding:
more server threads; no history limit; completions gather before a turn; work that was handed out
and never completed is handed out again; durable timers and delayed starts share one thread; a child
may take longer than the backend's 30 seconds; terminate may reach children; results of an older
generation or delivered twice are dropped.
"""

from collections.abc import Iterator
from concurrent import futures
from datetime import UTC, datetime
from typing import Any

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc

from local.host.taskhub.delivery import DeliveringBackend, generation_of

# A turn costs a replay of the whole history, so completions that arrive close together share one.
GATHER_SECONDS = 0.05
SERVER_THREADS = 64  # each open stream and each waiting client holds one
NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class MemoryHub(DeliveringBackend):
    """A TaskHub that forgets everything when its process ends."""

    def __init__(self, default_version: str | None = None) -> None:
        super().__init__()
        self._default_version = default_version

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
                elif item.HasField("entityRequestV2"):
                    entity = item.entityRequestV2.instanceId
                    handed_out[entity] = ("entity", item.completionToken)
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
                    elif kind == "activity":
                        self._take_back_activity(token)
                    elif key in self._entity_in_flight:
                        abandoned = pb.AbandonEntityTaskRequest(completionToken=token)
                        self.AbandonTaskEntityWorkItem(abandoned, None)

    def _is_open(self, key: str, item: tuple[str, str]) -> bool:
        open_ones = {
            "turn": self._orchestration_in_flight,
            "activity": self._activities,
            "entity": self._entity_in_flight,
        }
        return key in open_ones[item[0]]

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
        generation = generation_of(instance)
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

    # --- instances

    def StartInstance(  # noqa: N802
        self, request: pb.CreateInstanceRequest, context: grpc.ServicerContext
    ) -> pb.CreateInstanceResponse:
        """Start an instance; without a version it gets the hub's default one."""
        if self._default_version and not request.HasField("version"):
            request.version.value = self._default_version
        answer: pb.CreateInstanceResponse = super().StartInstance(request, context)
        return answer

    def _create_instance_internal(
        self,
        instance_id: str,
        name: str,
        encoded_input: str | None = None,
        version: str | None = None,
    ) -> None:
        version = version or self._default_version
        super()._create_instance_internal(instance_id, name, encoded_input, version)
