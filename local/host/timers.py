"""The timer clock: runs each timer function when it is due, by functions-facts.md 3.2."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from local.host.clock import HostClock
from local.host.indexing import Function
from local.host.ncrontab import BadSchedule, Schedule, parse
from local.host.schedule import next_due
from local.host.settings import HostSettings
from local.host.status import StatusStore, TimerStatus

logger = logging.getLogger(__name__)

MINUTE = timedelta(minutes=1)
STORE_ATTEMPTS = 5  # storage may start a moment later than the host
LONGEST_RETRY_PAUSE_SECONDS = 30.0

Fire = Callable[[Function, TimerStatus | None, bool], Awaitable[None]]
"""Runs the function: status and whether it is past due. Raises nothing."""


@dataclass(frozen=True)
class Timer:
    """One timer function with its schedule."""

    function: Function
    schedule: Schedule
    zone: tzinfo
    is_monitored: bool
    runs_on_startup: bool

    def next(self, after: datetime) -> datetime:
        """The next due instant strictly after `after`, in the timer's zone."""
        return next_due(self.schedule, after, self.zone).astimezone(self.zone)


def read_timer(
    function: Function, settings: HostSettings, now: datetime, zone: tzinfo = UTC
) -> Timer:
    """Read a timer binding; raises BadSchedule or BadSettings for what the platform refuses."""
    trigger = function.trigger
    try:
        schedule = parse(settings.resolve(str(trigger["schedule"])))
        moments = [now]
        for _ in range(5):
            moments.append(next_due(schedule, moments[-1], zone))
    except ValueError as fault:
        raise BadSchedule(f"{function.name}: {fault}") from fault
    # The platform forces monitoring off for schedules that run more than once a minute.
    often = any(b - a < MINUTE for a, b in itertools.pairwise(moments[1:]))
    return Timer(
        function,
        schedule,
        zone,
        is_monitored=bool(trigger.get("useMonitor", True)) and not often,
        runs_on_startup=bool(trigger.get("runOnStartup", False)),
    )


class TimerClock:
    """Runs all timers of an app, each in its own task; a timer never overlaps itself."""

    def __init__(
        self, timers: list[Timer], store: StatusStore, clock: HostClock, fire: Fire
    ) -> None:
        self._timers, self._store, self._clock, self._fire = timers, store, clock, fire
        self._tasks: list[asyncio.Task[None]] = []
        self._firing: set[str] = set()
        self._is_stopping = False

    def start(self) -> None:
        """Begin; returns at once."""
        self._tasks = [
            asyncio.create_task(self._keep(timer), name=timer.function.name)
            for timer in self._timers
        ]

    async def stop(self, grace_seconds: float) -> None:
        """Schedule nothing more; a run under way gets `grace_seconds`, then is abandoned."""
        self._is_stopping = True
        running = [task for task in self._tasks if task.get_name() in self._firing]
        for task in self._tasks:
            if task not in running:
                task.cancel()
        if running:
            await asyncio.wait(running, timeout=grace_seconds)
        for task in running:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.close()

    async def _keep(self, timer: Timer) -> None:
        try:
            await self._run(timer)
        except BadSchedule:
            logger.exception("%s is not scheduled again", timer.function.name)

    async def _run(self, timer: Timer) -> None:
        due = await self._begin(timer)
        while not self._is_stopping:
            await self._clock.wait_until(due)
            due = await self._once(timer, due, is_past_due=False)

    async def _begin(self, timer: Timer) -> datetime:
        """What the stored status says at the start; may run at once. Gives the next due instant."""
        now = self._clock.now()
        if timer.is_monitored:
            status, is_past_due = await self._check(timer, now)
            if is_past_due:
                return await self._once(timer, now, is_past_due=True, status=status)
        if timer.runs_on_startup:
            return await self._once(timer, now, is_past_due=False)
        return timer.next(now)

    async def _check(self, timer: Timer, now: datetime) -> tuple[TimerStatus | None, bool]:
        """Load or write the status; whether its next run lies in the past."""
        name = timer.function.name
        status = await self._load(name)
        if status is None:
            await self._save(name, TimerStatus(None, timer.next(now), now))
            return None, False
        base = status.last or status.updated
        expected = timer.next(base)
        if expected != status.next:  # the schedule changed: no run for the old one
            following = timer.next(now) if expected < now else expected
            await self._save(name, TimerStatus(None, following, now))
            return None, False
        return status, status.next < now

    async def _once(
        self, timer: Timer, due: datetime, *, is_past_due: bool, status: TimerStatus | None = None
    ) -> datetime:
        """Run the function once and give the next due instant (it may already be past)."""
        name = timer.function.name
        if status is None and timer.is_monitored:
            status = await self._load(name)
        started = max(self._clock.now(), due)  # fired early: count from the scheduled time
        self._firing.add(name)
        try:
            await self._fire(timer.function, status, is_past_due)
            following = timer.next(started)
            if timer.is_monitored:
                await self._save(name, TimerStatus(started, following, self._clock.now()))
        finally:
            self._firing.discard(name)
        return following

    async def _load(self, name: str) -> TimerStatus | None:
        return await self._stored(name, lambda: self._store.load(name))

    async def _save(self, name: str, status: TimerStatus) -> None:
        await self._stored(name, lambda: self._store.save(name, status))

    async def _stored[T](self, name: str, act: Callable[[], Awaitable[T]]) -> T | None:
        """Storage that fails must not stop a schedule: try again, then go on without it."""
        for attempt in range(1, STORE_ATTEMPTS + 1):
            try:
                return await act()
            except Exception as fault:  # noqa: BLE001 - whatever the storage client raises
                logger.warning("timer status of %s: %s (attempt %d)", name, fault, attempt)
                await asyncio.sleep(min(2.0 ** (attempt - 2), LONGEST_RETRY_PAUSE_SECONDS))
        return None
