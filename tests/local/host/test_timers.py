"""Timers: the clock's rules with a recorded function, then timers of an app in the real host."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.storage.blob import ContainerClient

from local.azurite import Azurite
from local.host.clock import HostClock
from local.host.indexing import Function
from local.host.retry import retry_policy
from local.host.settings import read_settings
from local.host.status import CONTAINER, MemoryStatus, TimerStatus, read_status
from local.host.timers import Timer, TimerClock, read_timer
from tests.local.host.running import RunningHost, eventually

START = datetime(2026, 11, 22, 10, 2, tzinfo=UTC)
FIVE = timedelta(minutes=5)


class Bench:
    """A timer clock whose function is recorded, and a clock that only we move."""

    def __init__(self, **binding: Any) -> None:
        self.clock = HostClock()
        self.clock.move(START)
        self.store = MemoryStatus()
        self.runs: list[tuple[datetime, bool]] = []
        self.takes = timedelta(0)
        trigger = {"type": "timerTrigger", "name": "t", "schedule": "0 */5 * * * *", **binding}
        function = Function("tick", "tick", trigger, (trigger,), {}, disabled=False)
        self.timer: Timer = read_timer(function, read_settings(Path("/nowhere"), {}), START)

    async def fire(self, _: Function, status: TimerStatus | None, is_past_due: bool) -> None:
        self.runs.append((self.clock.now(), is_past_due))
        self.clock.move(self.clock.now() + self.takes)

    async def run(self, *moves: datetime) -> list[bool]:
        """Start, move the clock on step by step, stop; whether each run was past due."""
        clock = TimerClock([self.timer], self.store, self.clock, self.fire)
        clock.start()
        for moment in (None, *moves):
            if moment is not None:
                self.clock.move(moment)
            for _ in range(20):
                await asyncio.sleep(0)
        await clock.stop(1.0)
        return [is_past_due for _, is_past_due in self.runs]


async def test_first_start_writes_a_status_and_does_not_run() -> None:
    bench = Bench()
    assert await bench.run() == []
    status = bench.store.known["tick"]
    assert status.last is None
    assert status.next == START + timedelta(minutes=3)


async def test_a_due_timer_runs_and_its_status_is_kept() -> None:
    bench = Bench()
    assert await bench.run(START + timedelta(minutes=3, seconds=1)) == [False]
    status = bench.store.known["tick"]
    assert status.last is not None
    assert abs(status.last - START - timedelta(minutes=3, seconds=1)) < timedelta(seconds=1)
    assert status.next == START + timedelta(minutes=8)


async def test_past_due_runs_once_at_the_start_however_many_were_missed() -> None:
    bench = Bench()
    last = START - timedelta(hours=1, minutes=2)
    bench.store.known["tick"] = TimerStatus(last, last + FIVE, last)
    assert await bench.run() == [True]
    assert bench.store.known["tick"].next == START + timedelta(minutes=3)


async def test_a_changed_schedule_is_computed_anew_without_a_run() -> None:
    bench = Bench()
    last = START - timedelta(hours=1)
    bench.store.known["tick"] = TimerStatus(last, last + timedelta(minutes=1), last)
    assert await bench.run() == []
    assert bench.store.known["tick"].next == START + timedelta(minutes=3)


async def test_run_on_startup_runs_at_once_and_is_not_past_due() -> None:
    assert await Bench(runOnStartup=True).run() == [False]


async def test_missed_ticks_collapse_into_one_run() -> None:
    bench = Bench()
    assert await bench.run(START + timedelta(minutes=58)) == [False]


async def test_a_run_longer_than_the_interval_is_followed_by_one_at_once() -> None:
    bench = Bench()
    bench.takes = timedelta(minutes=7)
    runs = await bench.run(START + timedelta(minutes=3))
    assert runs[:2] == [False, False]
    first, second = bench.runs[0][0], bench.runs[1][0]
    assert abs(second - first - timedelta(minutes=7)) < timedelta(seconds=1)


async def test_more_than_once_a_minute_is_not_monitored() -> None:
    bench = Bench(schedule="*/10 * * * * *")
    assert not bench.timer.is_monitored
    assert await bench.run(START + timedelta(seconds=10)) == [False]
    assert bench.store.known == {}


async def test_storage_that_fails_does_not_stop_a_schedule() -> None:
    class Broken(MemoryStatus):
        saved, refusals = asyncio.Event(), 2

        async def save(self, timer: str, status: TimerStatus) -> None:
            if self.refusals:
                self.refusals -= 1
                raise OSError("storage is away")
            await super().save(timer, status)
            self.saved.set()

    bench = Bench()
    bench.store = Broken()
    clock = TimerClock([bench.timer], bench.store, bench.clock, bench.fire)
    clock.start()
    await Broken.saved.wait()
    Broken.saved.clear()
    bench.clock.move(START + timedelta(minutes=3, seconds=1))
    await Broken.saved.wait()
    await clock.stop(1.0)
    assert len(bench.runs) == 1


def test_status_is_the_platforms_json() -> None:
    status = TimerStatus(None, START + FIVE, START)
    assert status.document()["Last"].startswith("0001-01-01T00:00:00")
    assert read_status(json.dumps(status.document())) == status
    assert read_status("not json") is None
    assert read_status("[]") is None


def test_retry_policies() -> None:
    trigger = {"type": "timerTrigger", "name": "t", "schedule": "0 * * * * *"}

    def pauses(**retry: str) -> list[float | None]:
        policy = retry_policy(Function("f", "f", trigger, (trigger,), retry, disabled=False))
        return [policy.pause_seconds(n) for n in (1, 2, 3, 4)]

    assert pauses() == [None, None, None, None]
    assert pauses(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:05") == [
        5.0, 5.0, None, None,
    ]  # fmt: skip
    assert pauses(
        strategy="exponential_backoff", max_retry_count="-1",
        minimum_interval="00:00:01", maximum_interval="00:00:03",
    ) == [1.0, 2.0, 3.0, 3.0]  # fmt: skip


APP = """
log = pathlib.Path(__file__).with_name("ticks.log")

def note(text):
    with log.open("a") as file:
        file.write(text + "\\n")

@app.timer_trigger(arg_name="t", schedule="%NIGHTLY%")
def nightly(t: func.TimerRequest) -> None:
    note(f"nightly {t.past_due}")

@app.timer_trigger(arg_name="t", schedule="0 0 0 1 1 *")
async def fails(t: func.TimerRequest) -> None:
    note("fails")
    raise RuntimeError("every time")

bp = func.Blueprint()

@bp.timer_trigger(arg_name="t", schedule="0 0 0 1 1 *")
@bp.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00")
async def retried(t: func.TimerRequest, context: func.Context) -> None:
    note(f"retried {context.retry_context.retry_count}")
    raise RuntimeError("again")

app.register_functions(bp)

@app.timer_trigger(arg_name="t", schedule="0 0 0 1 1 *")
@app.durable_client_input(client_name="client")
async def starts(t: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    await client.schedule_new_orchestration("process", instance_id="one")

@app.orchestration_trigger(context_name="ctx")
def process(ctx: task.OrchestrationContext, _):
    yield ctx.call_activity("act")

@app.activity_trigger(input_name="given")
def act(given: str) -> None:
    note("act")
"""
Serve = Callable[..., RunningHost]


def ticks(host: RunningHost) -> list[str]:
    file = host.folder / "ticks.log"
    return file.read_text().splitlines() if file.exists() else []


def test_timers_of_an_app(serve: Serve) -> None:
    host = serve(APP, NIGHTLY="0 30 3 * * *")
    assert "nightly: timerTrigger 0 30 3 * * *" in host.lines
    assert ticks(host) == []

    now = host.get("/admin/host/clock").json()["now"]
    tomorrow = datetime.fromisoformat(now).replace(hour=3, minute=30, second=0) + timedelta(days=1)
    moved = host.post("/admin/host/clock", {"now": tomorrow.isoformat()})
    assert moved.status == 200
    eventually(lambda: ticks(host) == ["nightly False"])


def test_a_timer_fired_by_hand(serve: Serve) -> None:
    host = serve(APP, NIGHTLY="0 30 3 * * *")
    assert host.post("/admin/functions/NIGHTLY", {"input": ""}).status == 202
    eventually(lambda: ticks(host) == ["nightly False"])
    assert host.request("POST", "/admin/functions/nightly").status == 202
    eventually(lambda: ticks(host) == ["nightly False"] * 2)
    assert host.request("POST", "/admin/functions/nightly", b"{").status == 400
    assert host.post("/admin/functions/act", {"input": ""}).status == 400


def test_a_timer_starts_an_orchestration(serve: Serve) -> None:
    host = serve(APP, NIGHTLY="0 30 3 * * *")
    host.post("/admin/functions/starts")
    eventually(lambda: ticks(host) == ["act"])


def test_errors_are_logged_and_retried_by_policy(serve: Serve) -> None:
    host = serve(APP, NIGHTLY="0 30 3 * * *")
    host.post("/admin/functions/fails")
    eventually(lambda: "RuntimeError: every time" in host.log())
    host.post("/admin/functions/retried")
    eventually(lambda: ticks(host)[-1:] == ["retried 2"])
    assert ticks(host) == ["fails", "retried 0", "retried 1", "retried 2"]
    assert host.get("/admin/host/status").json()["state"] == "Running"


def test_errors_never_stop_a_schedule(serve: Serve) -> None:
    source = """
@app.timer_trigger(arg_name="t", schedule="* * * * * *")
def every_second(t: func.TimerRequest) -> None:
    with pathlib.Path(__file__).with_name("ticks.log").open("a") as file:
        file.write("tick\\n")
    raise RuntimeError("always")
"""
    host = serve(source)
    eventually(lambda: len(ticks(host)) >= 2)


def test_a_schedule_setting_that_is_missing_is_an_error(serve: Serve) -> None:
    host = serve(APP)
    assert host.process.returncode == 1
    assert "nightly: '%NIGHTLY%' does not resolve" in host.log()


def test_past_due_after_a_restart_with_the_status_in_storage(serve: Serve, tmp_path: Path) -> None:
    azurite = Azurite(log=tmp_path / "azurite.log")
    try:
        setting = {"NIGHTLY": "0 30 3 * * *", "AzureWebJobsStorage": azurite.connection}
        container = ContainerClient.from_connection_string(azurite.connection, CONTAINER)
        blob = container.get_blob_client("timers/local/Host.Functions.nightly/status")
        first = serve(APP, **setting)
        eventually(blob.exists)
        assert first.stop() == 0
        assert ticks(first) == []

        status = read_status(blob.download_blob().readall())
        assert status is not None
        missed = status.next - timedelta(days=3)
        away = TimerStatus(missed, missed + timedelta(days=1), missed)
        blob.upload_blob(json.dumps(away.document()), overwrite=True)
        second = serve(APP, **setting)
        eventually(lambda: ticks(second) == ["nightly True"])
        eventually(lambda: read_status(blob.download_blob().readall()) != away)
        assert second.stop() == 0

        third = serve(APP, **setting)
        assert third.get("/admin/host/ping").status == 200
        assert third.stop() == 0
        assert ticks(third) == []
        container.close()
        blob.close()
    finally:
        azurite.stop()


def test_clock_refuses_nonsense(serve: Serve) -> None:
    host = serve("")
    for document in ({}, {"now": "yesterday"}, {"now": "2026-11-22T10:00:00"}, [], {"now": 5}):
        assert host.post("/admin/host/clock", document).status == 400
    before = datetime.fromisoformat(host.get("/admin/host/clock").json()["now"])
    after = host.post("/admin/host/clock", {"advanceSeconds": 3600}).json()["now"]
    assert datetime.fromisoformat(after) - before >= timedelta(hours=1)
