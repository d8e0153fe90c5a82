"""Who gets which work item, when, and again when it was lost. Memory only; one event loop."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from local.host.taskhub.sqlite import activities, messages, turns
from local.host.taskhub.sqlite.alarms import Alarms
from local.host.taskhub.sqlite.chaos import Chaos
from local.host.taskhub.sqlite.effects import (
    ActivityOver,
    Alarm,
    Changed,
    Effect,
    Gone,
    Scheduled,
    TurnOver,
    Wake,
)
from local.host.taskhub.sqlite.entity_delivery import EntityDelivery
from local.host.taskhub.sqlite.handing import hand_out
from local.host.taskhub.sqlite.pending import Activity, Live, Turn, back_off, gather_seconds
from local.host.taskhub.sqlite.poison import Limit
from local.host.taskhub.sqlite.store import Store, Unavailable
from local.host.taskhub.sqlite.streams import (
    ACTIVITY_TAG,
    HEALTH_PING,
    TURN_TAG,
    Stream,
    fits,
    work_item,
)
from local.host.taskhub.sqlite.waiters import Waiters

logger = logging.getLogger(__name__)

LONGEST_RETURN_SECONDS = 10.0
UNREADABLE_SECONDS = 2.0
"""Until work that the disk did not let out is tried again."""
TURN_LEASE_SECONDS = 300.0
ACTIVITY_LEASE_SECONDS = 3600.0
"""Longer than functionTimeout: who is still silent then has forgotten it."""


class Delivery:
    """Ready work on one side, workers' streams on the other."""

    def __init__(
        self, chaos: Chaos | None = None, *, gathers: bool = True, limit: Limit | None = None
    ) -> None:
        self.store: Store
        self._chaos, self._gathers, self._limit = chaos, gathers, limit or Limit()
        self._live: dict[int, Live] = {}
        self._turns: dict[str, Turn] = {}
        self._ready_turns: deque[Live] = deque()
        self._activities: dict[int, Activity] = {}
        self._ready_activities: deque[Activity] = deque()
        self._streams: list[Stream] = []
        self.waiters = Waiters()
        self._alarms = Alarms(lambda keys: self.store.post(lambda tx: messages.wake_due(tx, keys)))
        self._tasks: set[asyncio.Task[None]] = set()
        self.entities = EntityDelivery(
            lambda: self.store, self._streams, self._put, chaos, self._limit
        )

    def clear(self) -> None:
        """Forget everything and cut all workers: what the end of a process does."""
        for stream in self._streams:
            stream.forget()
        for live in self._live.values():
            live.stop_gathering()
        for task in self._tasks:
            task.cancel()
        self.waiters.release()
        self._alarms.clear()
        self.entities.clear()
        for each in (self._live, self._turns, self._ready_turns, self._activities):
            each.clear()
        self._ready_activities.clear()
        self._streams.clear()

    def count_losses(self) -> None:
        """Before an end: what is out now is lost, and may be what made the host end."""
        for turn in self._turns.values():
            self.store.post(partial(messages.count_loss, key=turn.live.key))
        for item in self._activities.values():
            if item.stream is not None:
                self.store.post(partial(activities.count_loss, seq=item.seq))
        self.entities.count_losses()

    # --- what transactions want

    def apply(self, effects: list[Effect]) -> None:
        """Follow committed work."""
        for effect in effects:
            match effect:
                case Wake():
                    self._wake(effect)
                case Scheduled():
                    self._scheduled(effect)
                case ActivityOver(seq):
                    self._activity_over(seq)
                case TurnOver(key):
                    if (live := self._live.get(key)) is not None:
                        live.turn_over(asyncio.get_running_loop().time())
                        self._forget_turn(live)
                case Gone(key):
                    self._gone(key)
                case Changed(instance_id):
                    self.waiters.changed(instance_id)
                case Alarm(due, key):
                    self._alarms.set(due, key)
                case _:
                    self.entities.apply(effect)
        if effects:
            self._dispatch()

    def _wake(self, wake: Wake) -> None:
        live = self._live.get(wake.key)
        if live is None:
            self._live[wake.key] = live = Live(wake.key, wake.id, wake.name, wake.version)
            live.losses = wake.losses  # lost before the hub's start: not at once again
        live.version = wake.version
        if live.turn is None and not live.is_ready and (pause := back_off(live.losses)):
            self._later(pause, lambda: self._ready_again(live))
        elif live.turn is not None:
            live.is_wanted_again = True
        elif live.is_ready:
            return
        elif wake.at_once or not self._gathers:
            self._make_ready(live)
        elif live.gathering is None:
            seconds = gather_seconds(live.turn_seconds)
            live.gathering = asyncio.get_running_loop().call_later(seconds, self._gathered, live)

    def _scheduled(self, effect: Scheduled) -> None:
        if effect.seq in self._activities:
            return
        item = Activity(effect.seq, effect.name, effect.version, effect.request)
        item.losses = effect.losses
        self._activities[effect.seq] = item
        if pause := back_off(item.losses):
            item.is_ready = False
            self._later(pause, lambda: self._activity_again(item))
        else:
            self._ready_activities.append(item)

    def _gathered(self, live: Live) -> None:
        live.gathering = None
        if live.turn is None and not live.is_ready and self._live.get(live.key) is live:
            self._make_ready(live)
            self._dispatch()

    def _make_ready(self, live: Live) -> None:
        live.stop_gathering()
        live.is_ready = True
        self._ready_turns.append(live)

    def _gone(self, key: int) -> None:
        live = self._live.pop(key, None)
        if live is not None:
            live.stop_gathering()
            live.is_ready = False
            self._forget_turn(live)

    def _forget_turn(self, live: Live) -> None:
        turn, live.turn = live.turn, None
        if turn is not None:
            self._turns.pop(turn.token, None)
            if turn.stream is not None and turn.stream.turns.pop(turn.token, None):
                turn.stream.free_turns += 1

    def _activity_over(self, seq: int) -> None:
        item = self._activities.pop(seq, None)
        if item is not None:
            item.is_ready = False
            self._let_go(item)

    def _let_go(self, item: Activity) -> None:
        if item.stream is not None and item.stream.activities.pop(item.seq, None):
            item.stream.free_activities += 1
        item.stream = None

    # --- workers

    def attach(self, stream: Stream) -> None:
        """A worker asks for work."""
        self._streams.append(stream)
        self._dispatch()

    def detach(self, stream: Stream) -> None:
        """A worker is gone: what it held is handed out again."""
        if stream in self._streams:
            self._streams.remove(stream)
        for turn in list(stream.turns.values()):
            turn.stream = None
            if not turn.is_committing:
                self.lose_turn(turn)
        for item in list(stream.activities.values()):
            self.lose_activity(item)
        stream.turns.clear()
        stream.activities.clear()
        self.entities.detach(stream)

    def turn(self, token: str) -> Turn | None:
        """The turn of that token, if it still counts."""
        return self._turns.get(token)

    def activity(self, token: str) -> Activity | None:
        """The activity of that token, if it is still open."""
        return self._activities.get(int(token)) if token.isdecimal() else None

    def lose_turn(self, turn: Turn) -> None:
        """Hand a turn out again, later each time; its old token no longer counts."""
        live = turn.live
        if live.turn is not turn:
            return
        self._forget_turn(live)
        live.losses += 1
        self.store.post(lambda tx: self._limit.lose_turn(tx, live.key))
        pause = self._limit.pause(live.losses, back_off(live.losses))
        self._later(pause, lambda: self._ready_again(live))

    def give_back(self, turn: Turn) -> None:
        """A living worker does not want a turn, perhaps for its version: offered for ever."""
        live = turn.live
        if live.turn is not turn:
            return
        if turn.stream is not None:
            live.refused_by.add(turn.stream)
        self._forget_turn(live)
        live.returns += 1
        pause = min(back_off(live.returns), LONGEST_RETURN_SECONDS)
        self._later(pause, lambda: self._ready_again(live))

    def _ready_again(self, live: Live) -> None:
        if self._live.get(live.key) is live and live.turn is None and not live.is_ready:
            self._make_ready(live)
            self._dispatch()

    def lose_activity(self, item: Activity) -> None:
        """Hand an activity out again, later each time; a late result of it is still taken."""
        self._let_go(item)
        item.losses += 1
        self.store.post(lambda tx: self._limit.lose_activity(tx, item.seq))
        pause = self._limit.pause(item.losses, back_off(item.losses))
        self._later(pause, lambda: self._activity_again(item))

    def _activity_again(self, item: Activity) -> None:
        is_open = self._activities.get(item.seq) is item
        if is_open and not item.is_ready and item.stream is None:
            item.is_ready = True
            self._ready_activities.append(item)
            self._dispatch()

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, act)

    def sweep(self) -> None:
        """Take back what has been out for too long."""
        now = asyncio.get_running_loop().time()
        for turn in [t for t in self._turns.values() if now - t.since > TURN_LEASE_SECONDS]:
            if not turn.is_committing:
                logger.warning("the lease of a turn of %s ended", turn.live.id)
                self.lose_turn(turn)
        for item in list(self._activities.values()):
            if item.stream is not None and now - item.since > ACTIVITY_LEASE_SECONDS:
                logger.warning("the lease of the activity %s ended", item.name)
                self.lose_activity(item)
        self.entities.sweep(now)

    def ping(self) -> None:
        """Tell every worker that the hub is there."""
        for stream in self._streams:
            stream.queue.put_nowait(HEALTH_PING)

    # --- handing out

    def _dispatch(self) -> None:
        hand_out(
            self._ready_turns,
            self._streams,
            lambda s: s.free_turns,
            self._takes_turn,
            self._give_turn,
            self._chaos,
        )
        hand_out(
            self._ready_activities,
            self._streams,
            lambda s: s.free_activities,
            self._takes_activity,
            self._give_activity,
            self._chaos,
        )
        self.entities.dispatch()

    def _takes_turn(self, stream: Stream, live: Live) -> bool:
        """Whoever gave it back gets it again only when everybody else did, too."""
        if not fits(stream.turn_names, live.name, live.version):
            return False
        if not self._limit.lets(stream, live.losses):
            return False
        return stream not in live.refused_by or live.refused_by.issuperset(self._streams)

    def _takes_activity(self, stream: Stream, item: Activity) -> bool:
        fitting = fits(stream.activity_names, item.name, item.version)
        return fitting and self._limit.lets(stream, item.losses)

    def _give_turn(self, stream: Stream, live: Live) -> None:
        now = asyncio.get_running_loop().time()
        turn = live.begin(stream, now)
        self._turns[turn.token] = stream.turns[turn.token] = turn
        stream.free_turns -= 1
        if self._chaos is not None and (pause := self._chaos.pause()):
            self._run(self._send_turn_later(turn, pause))
        else:
            self._send_turn(turn)

    async def _send_turn_later(self, turn: Turn, pause: float) -> None:
        await asyncio.sleep(pause)
        if turn.live.turn is turn:  # else lost or ended meanwhile
            self._send_turn(turn)
            self._dispatch()

    def _send_turn(self, turn: Turn) -> None:
        live = turn.live
        try:
            begun = self.store.read(lambda tx: turns.begin(tx, live.key, self._chaos))
        except Unavailable:  # the disk's fault, not the turn's
            self._forget_turn(live)
            self._later(UNREADABLE_SECONDS, lambda: self._ready_again(live))
            return
        if begun is None:
            self._forget_turn(live)
            if live.is_wanted_again:
                self._make_ready(live)
            return
        turn.begun = begun
        if turn.stream is not None:
            self._put(turn.stream, work_item(TURN_TAG, begun.request, turn.token))

    def _give_activity(self, stream: Stream, item: Activity) -> None:
        item.stream, item.since = stream, asyncio.get_running_loop().time()
        stream.activities[item.seq] = item
        stream.free_activities -= 1
        pause = self._chaos.pause() if self._chaos is not None else 0.0
        if item.request is None or pause:
            self._run(self._send_activity(stream, item, pause))
        else:
            self._put_activity(stream, item, item.request)

    async def _send_activity(self, stream: Stream, item: Activity, pause: float) -> None:
        await asyncio.sleep(pause)
        request = item.request
        if request is None:
            try:
                found = self.store.read(lambda tx: activities.requests(tx, [item.seq]))
            except Unavailable:
                if item.stream is stream:
                    self._let_go(item)
                    self._later(UNREADABLE_SECONDS, lambda: self._activity_again(item))
                return
            if item.seq not in found:
                self._activity_over(item.seq)
                self._dispatch()
                return
            request = found[item.seq]
        if item.stream is stream:
            self._put_activity(stream, item, request)

    def _put_activity(self, stream: Stream, item: Activity, request: bytes) -> None:
        content = work_item(ACTIVITY_TAG, request, str(item.seq))
        if self._chaos is not None and self._chaos.again():
            self._put(stream, content)
        self._put(stream, content)

    def _put(self, stream: Stream, content: bytes) -> None:
        stream.queue.put_nowait(content)
        if self._chaos is not None and self._chaos.drops_worker():
            stream.queue.put_nowait(None)

    def _run(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
