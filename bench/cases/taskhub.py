"""The task hub on disk beside durabletask's in-memory backend: same worker, same run, same machine.

Every commit of the hub on disk waits for the disk (synchronous = FULL).
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
from durabletask import task
from durabletask.client import TaskHubGrpcClient
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc
from durabletask.testing.in_memory_backend import InMemoryOrchestrationBackend
from durabletask.worker import TaskHubGrpcWorker

from bench.figure import Figure
from local.host.taskhub.process import HubProcess
from local.host.taskhub.sqlite import activities, instances, messages
from local.host.taskhub.sqlite.schema import connect
from local.host.taskhub.sqlite.store import Transaction
from local.stack import free_port

FAN_OUTS = (100, 1_000, 10_000)
IN_MEMORY_FAN_OUTS = (100, 1_000)
"""Without gathering, 10,000 take the in-memory backend many minutes."""
MANY, CHAIN, FINISHED, RUNNING = 500, 50, 100_000, 10_000
PATIENCE_SECONDS = 600
_quiet = logging.getLogger("bench.taskhub")
_quiet.setLevel(logging.CRITICAL)


def double(_: Any, number: int) -> int:
    """An activity that does next to nothing."""
    return number * 2


def fan_out(ctx: task.OrchestrationContext, count: int) -> Any:
    """All at once."""
    return sum((yield task.when_all([ctx.call_activity(double, input=n) for n in range(count)])))


def chain(ctx: task.OrchestrationContext, count: int) -> Any:
    """One after the other."""
    for number in range(count):
        yield ctx.call_activity(double, input=number)


def measure() -> list[Figure]:
    """Rates, latencies, memory and restart."""
    figures: list[Figure] = []
    ours, theirs = _rates(_on_disk, FAN_OUTS), _rates(_in_memory, IN_MEMORY_FAN_OUTS)
    for name, (value, unit) in ours.items():
        beside = f"in memory: {theirs[name][0]:,.4g} {unit}" if name in theirs else ""
        figures.append(Figure(name, value, unit, beside))
    of_1000 = f"activities, fan-out of {1_000:,}"
    ratio = theirs[of_1000][0] / ours[of_1000][0]
    figures.append(Figure("in-memory backend's rate / ours, 1,000", ratio, "×", "issue 7", 1.0))
    per = [1 / ours[f"activities, fan-out of {n:,}"][0] for n in (100, 10_000)]
    figures.append(Figure("cost per activity, 10,000 / 100", per[1] / per[0], "×", "flat: 1"))
    return figures + _memory() + _restart()


@contextmanager
def _on_disk() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp())
    hub = HubProcess(folder / "hub.sqlite")
    try:
        yield hub.start()
    finally:
        hub.stop()
        shutil.rmtree(folder)


@contextmanager
def _in_memory() -> Iterator[str]:
    backend = InMemoryOrchestrationBackend(port=free_port())
    try:
        yield backend.start()
    finally:
        backend.stop(grace=1)


def _rates(hub: Callable[[], Any], fan_outs: tuple[int, ...]) -> dict[str, tuple[float, str]]:
    found: dict[str, tuple[float, str]] = {}
    with ExitStack() as ending:
        address = ending.enter_context(hub())
        worker = TaskHubGrpcWorker(host_address=address, logger=_quiet)
        for orchestrator in (fan_out, chain):
            worker.add_orchestrator(orchestrator)
        worker.add_activity(double)
        worker.start()
        ending.callback(worker.stop)
        client = TaskHubGrpcClient(host_address=address, logger=_quiet)
        ending.callback(client.close)
        _timed(client, fan_out, 10)  # warm
        for count in fan_outs:
            taken = min(_timed(client, fan_out, count) for _ in range(1 if count > 1_000 else 3))
            found[f"activities, fan-out of {count:,}"] = count / taken, "/s"
        began = time.perf_counter()
        started = [client.schedule_new_orchestration(chain, input=1) for _ in range(MANY)]
        for instance in started:
            client.wait_for_orchestration_completion(instance, timeout=PATIENCE_SECONDS)
        rate = MANY / (time.perf_counter() - began)
        found["orchestrations of one activity"] = rate, "/s"
        found["latency of one activity"] = _timed(client, chain, CHAIN) / CHAIN * 1e3, "ms"
    return found


def _timed(client: Any, orchestrator: Any, count: int) -> float:
    began = time.perf_counter()
    instance = client.schedule_new_orchestration(orchestrator, input=count)
    client.wait_for_orchestration_completion(instance, timeout=PATIENCE_SECONDS)
    return time.perf_counter() - began


def _memory() -> list[Figure]:
    """Resident memory of the hub's process with many finished instances, each read once."""
    folder = Path(tempfile.mkdtemp())
    try:
        _fill(folder / "hub.sqlite", FINISHED, _finish)
        hub = HubProcess(folder / "hub.sqlite")
        try:
            address = hub.start()
            empty = _resident(hub.pid)
            with TaskHubGrpcClient(host_address=address, logger=_quiet) as client:
                began = time.perf_counter()
                assert len(client.get_all_orchestration_states()) == FINISHED
                taken = time.perf_counter() - began
            full = _resident(hub.pid)
        finally:
            hub.stop()
        size = (folder / "hub.sqlite").stat().st_size / FINISHED
    finally:
        shutil.rmtree(folder)
    return [
        Figure(f"hub's memory, {FINISHED:,} finished", full / 1e6, "MB", f"{empty / 1e6:.0f} idle"),
        Figure("file per finished instance", size, "bytes"),
        Figure(f"listing {FINISHED:,} instances", taken, "s", "pages of 1,000"),
    ]


def _restart() -> list[Figure]:
    """From the start of the process to its first work item, with many instances running."""
    folder = Path(tempfile.mkdtemp())
    try:
        _fill(folder / "hub.sqlite", RUNNING, _run)
        began = time.perf_counter()
        hub = HubProcess(folder / "hub.sqlite")
        try:
            channel = grpc.insecure_channel(hub.start())
            items = rpc.TaskHubSidecarServiceStub(channel).GetWorkItems(pb.GetWorkItemsRequest())
            next(items)
            taken = time.perf_counter() - began
            items.cancel()
            channel.close()
        finally:
            hub.stop()
    finally:
        shutil.rmtree(folder)
    return [Figure(f"restart with {RUNNING:,} running", taken, "s", "to the first work item")]


def _fill(file: Path, count: int, each: Callable[[Transaction, int], None]) -> None:
    db = connect(file)
    stamps = iter(range(1, 10 * count))
    db.execute("BEGIN")
    for number in range(count):
        tx = Transaction(db, time.time_ns() // 1000, lambda: next(stamps))
        each(tx, number)
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def _finish(tx: Transaction, number: int) -> None:
    instances.create(tx, instances.New(f"i{number}", "chain", input="1"))
    instance = messages.by_id(tx, f"i{number}")
    assert instance is not None
    begun = [event for _, _, event in messages.waiting(tx, instance.key)]
    instances.end(tx, instance, pb.ORCHESTRATION_STATUS_COMPLETED, "2", None, begun)


def _run(tx: Transaction, number: int) -> None:
    instances.create(tx, instances.New(f"i{number}", "chain", input="1"))
    instance = messages.by_id(tx, f"i{number}")
    assert instance is not None
    activities.schedule(tx, instance, 1, pb.ScheduleTaskAction(name="double"))


def _resident(pid: int | None) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024.0
