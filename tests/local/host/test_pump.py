"""The pump: it connects again when the hub's stream breaks and answers what nobody can run."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc

from local.host.counters import Counters
from local.host.pump import Pump
from local.host.worker import Worker


class BreakingHub(rpc.TaskHubSidecarServiceServicer):
    """Breaks the first stream; the second carries one activity that nobody knows."""

    def __init__(self) -> None:
        self.streams = 0
        self.answers: asyncio.Queue[Any] = asyncio.Queue()

    async def GetWorkItems(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.streams += 1
        if self.streams == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away for a moment")
        item = pb.WorkItem(completionToken="7")
        item.activityRequest.name = "nobody"
        item.activityRequest.taskId = 3
        yield item
        await asyncio.Event().wait()

    async def CompleteActivityTask(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self.answers.put(request)
        return pb.CompleteTaskResponse()


async def test_reconnects_and_answers() -> None:
    hub = BreakingHub()
    server = grpc.aio.server()
    rpc.add_TaskHubSidecarServiceServicer_to_server(hub, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    counters = Counters()
    pump = Pump(
        f"127.0.0.1:{port}", [], Worker(counters), counters, max_activities=1, max_orchestrators=1
    )
    pump.start()
    answer = await asyncio.wait_for(hub.answers.get(), 20)
    await pump.stop(1.0)
    await server.stop(0)
    assert hub.streams == 2
    assert (answer.taskId, answer.completionToken) == (3, "7")
    assert answer.failureDetails.errorMessage.startswith("the function 'nobody' doesn't exist")
