"""The task hub on disk beside durabletask's in-memory backend: same worker, same run, same machine.

Every commit of the hub on disk waits for the disk (synchronous = FULL).
"""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from durabletask import task
from durabletask.client import TaskHubGrpcClient
from durabletask.history import OrchestratorStartedEvent
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
MANY, CHAIN, FINISHED, RUNNING = 200, 50, 100_000, 10_000
PATIENCE_SECONDS = 600
IN_MEMORY_PATIENCE_SECONDS = 30
"""A fan-out of 10,000 can take the in-memory backend many minutes: then the figure is a bound."""
TRIES = 5
"""Taken in turns, the best of each: a busy machine slows both, but not at the same moment."""
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
    return _side_by_side() + _gathering() + _memory() + _restart()


def _side_by_side() -> list[Figure]:
    with ExitStack() as ending:
        disk = HubProcess(Path(ending.enter_context(tempfile.TemporaryDirectory())) / "hub.sqlite")
        ending.callback(disk.stop)
        ours = _Side(_connect(ending, disk.start()), disk)
        theirs = _Side(_connect(ending, ending.enter_context(_in_memory())))
        for side in (ours, theirs):
            _timed(side.client, fan_out, 10)  # warm
            _many(side.client, 20)
        figures = [
            *_pair("orchestrations of one activity", "/s", ours, theirs, _orchestrations, max),
            *_pair("latency of one activity", "ms", ours, theirs, _latency, min),
        ]
        for count in FAN_OUTS[:-1]:
            for _ in range(TRIES):
                ours.fan(count, PATIENCE_SECONDS)
                theirs.fan(count, PATIENCE_SECONDS)
        ours.fan(FAN_OUTS[-1], PATIENCE_SECONDS)
        theirs.fan(FAN_OUTS[-1], IN_MEMORY_PATIENCE_SECONDS)
    for count in FAN_OUTS:
        one, other = ours.found[count], theirs.found[count]
        beside = f"in memory: {'less than ' * other.is_bound}{other.rate:,.4g} /s"
        figures.append(Figure(f"activities, fan-out of {count:,}", one.rate, "/s", beside))
        beside = f"in memory: {'more than ' * other.is_bound}{other.cpu:.3g} ms"
        what = f"processor time of one, fan-out of {count:,}"
        figures.append(Figure(what, one.cpu, "ms", f"{beside}; worker and hub"))
    ratio = theirs.found[1_000].rate / ours.found[1_000].rate
    flat = ours.found[10_000].cpu / ours.found[100].cpu
    return [
        *figures,
        Figure("in-memory backend's rate / ours, 1,000", ratio, "×", "issue 7", 1.0),
        Figure("processor time per activity, 10,000 / 100", flat, "×", "flat: 1"),
    ]


@dataclass(frozen=True)
class _Fan:
    """Activities a second, and milliseconds of processor time of worker and hub for each."""

    rate: float
    cpu: float
    is_bound: bool = False


class _Side:
    """One of the two hubs, with the best that was seen of it."""

    def __init__(self, client: Any, hub: HubProcess | None = None) -> None:
        self.client, self._hub = client, hub
        self.found: dict[int, _Fan] = {}

    def cpu(self) -> float:
        """Seconds of processor time so far, of the worker's process and of the hub's."""
        return time.process_time() + (_cpu_seconds(self._hub.pid) if self._hub else 0.0)

    def fan(self, count: int, patience: float) -> None:
        """One fan-out."""
        began = self.cpu()
        try:
            taken, is_bound = _timed(self.client, fan_out, count, patience), False
        except TimeoutError:
            taken, is_bound = patience, True
        seen = _Fan(count / taken, (self.cpu() - began) / count * 1e3, is_bound)
        known = self.found.get(count, seen)
        rate, cpu = max(known.rate, seen.rate), min(known.cpu, seen.cpu)
        self.found[count] = _Fan(rate, cpu, is_bound)


def _pair(
    what: str,
    unit: str,
    ours: _Side,
    theirs: _Side,
    once: Callable[[Any], tuple[float, int]],
    best: Callable[[list[float]], float],
) -> list[Figure]:
    """The best of both and the least processor time of one, taken in turns."""
    found: dict[_Side, list[tuple[float, float]]] = {ours: [], theirs: []}
    for _ in range(TRIES):
        for side, seen in found.items():
            began = side.cpu()
            value, count = once(side.client)
            seen.append((value, (side.cpu() - began) / count * 1e3))
    one, other = (best([value for value, _ in seen]) for seen in found.values())
    spent, beside = (min(cpu for _, cpu in seen) for seen in found.values())
    return [
        Figure(what, one, unit, f"in memory: {other:,.4g} {unit}"),
        Figure("its processor time", spent, "ms", f"in memory: {beside:.3g} ms; worker and hub"),
    ]


def _orchestrations(client: Any) -> tuple[float, int]:
    return MANY / _many(client, MANY), MANY


def _many(client: Any, count: int) -> float:
    began = time.perf_counter()
    started = [client.schedule_new_orchestration(chain, input=1) for _ in range(count)]
    for instance in started:
        client.wait_for_orchestration_completion(instance, timeout=PATIENCE_SECONDS)
    return time.perf_counter() - began


def _latency(client: Any) -> tuple[float, int]:
    return _timed(client, chain, CHAIN) / CHAIN * 1e3, CHAIN


def _gathering() -> list[Figure]:
    """What the window is worth: turns and time with it, beside those without, taken in turns."""
    found = []
    with ExitStack() as ending:
        clients = [
            _connect(ending, ending.enter_context(_on_disk(gathers=gathers)))
            for gathers in (True, False)
        ]
        for client in clients:
            _timed(client, fan_out, 10)
        for count in FAN_OUTS:
            tries = 1 if count == FAN_OUTS[-1] else TRIES
            taken = [[_turns_of_one(client, count) for client in clients] for _ in range(tries)]
            (seconds, turns), (others_seconds, others) = (
                min(seen) for seen in zip(*taken, strict=True)
            )
            beside = f"{others:,} turns, {others_seconds:.2f} s without"
            found.append(Figure(f"gathering, {count:,}: turns", turns, "", beside))
            found.append(Figure(f"gathering, {count:,}: time", seconds, "s"))
    return found


def _turns_of_one(client: Any, count: int) -> tuple[float, int]:
    """Seconds and turns of a fan-out."""
    began = time.perf_counter()
    instance = client.schedule_new_orchestration(fan_out, input=count)
    client.wait_for_orchestration_completion(instance, timeout=PATIENCE_SECONDS)
    seconds = time.perf_counter() - began
    events = client.get_orchestration_history(instance)
    return seconds, sum(isinstance(e, OrchestratorStartedEvent) for e in events)


@contextmanager
def _on_disk(*, gathers: bool = True) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp())
    hub = HubProcess(folder / "hub.sqlite", gathers=gathers)
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


def _connect(ending: ExitStack, address: str) -> Any:
    """A worker of the SDK and a client."""
    worker = TaskHubGrpcWorker(host_address=address, logger=_quiet)
    for orchestrator in (fan_out, chain):
        worker.add_orchestrator(orchestrator)
    worker.add_activity(double)
    worker.start()
    ending.callback(worker.stop)
    client = TaskHubGrpcClient(host_address=address, logger=_quiet)
    ending.callback(client.close)
    return client


def _timed(client: Any, orchestrator: Any, count: int, patience: float = PATIENCE_SECONDS) -> float:
    """Seconds from start to end; TimeoutError when it is not over within `patience`."""
    began = time.perf_counter()
    instance = client.schedule_new_orchestration(orchestrator, input=count)
    while True:
        left = began + patience - time.perf_counter()
        state = client.wait_for_orchestration_completion(instance, timeout=max(left, 0.1))
        if state is not None and state.runtime_status.name == "COMPLETED":
            return time.perf_counter() - began
        if left <= 0:
            raise TimeoutError


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


def _cpu_seconds(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
