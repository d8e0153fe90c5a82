"""One thread owns the connection; the work of many callers shares a transaction.

Each piece of work has a savepoint of its own, so one that is refused changes nothing and disturbs
nobody. A caller gets its answer after the commit, never before.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from local.host.taskhub.sqlite.chaos import Chaos, Crash
from local.host.taskhub.sqlite.effects import Effect
from local.host.taskhub.sqlite.schema import connect, lock, release

logger = logging.getLogger(__name__)

MOST_TOGETHER = 500
"""Pieces of work in one transaction: what is asked for while the disk is busy is taken together."""


class Unavailable(RuntimeError):
    """The store could not commit, or is closed; whoever asked may ask again."""


@dataclass(slots=True)
class Transaction:
    """An open transaction: the connection, its time, and what is to happen once it is committed."""

    db: sqlite3.Connection
    now: int
    """Microseconds since 1970."""
    stamp: Callable[[], int]
    """A number that grows with every call, whatever the clock does: the order of arrival."""
    default_version: str | None = None
    """The version of an orchestration that is started without one, children too."""
    effects: list[Effect] = field(default_factory=list)


Work = Callable[[Transaction], Any]


@dataclass(slots=True)
class _Job:
    work: Work
    answer: asyncio.Future[Any] | None


Outcome = tuple[_Job, Any, BaseException | None]
"""What was asked, its value with the effects, or what it raised."""


class Store:
    """The hub's file. `apply` gets the effects of committed work, in order, on the event loop."""

    def __init__(
        self,
        path: Path,
        apply: Callable[[list[Effect]], None],
        *,
        is_durable: bool = True,
        default_version: str | None = None,
        crash: Callable[[], None] | None = None,
    ) -> None:
        self._path, self._apply, self._is_durable = path, apply, is_durable
        self._crash, self._default_version = crash, default_version
        self.chaos: Chaos | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._db: sqlite3.Connection | None = None
        self._held: IO[bytes] | None = None
        self._last_stamp = 0
        self._is_open = False

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Claim and open the file, start the thread. Raises BadDatabase."""
        self._held = lock(self._path)
        try:
            self._db = connect(self._path, is_durable=self._is_durable)
        except Exception:
            release(self._held)
            raise
        newest = self._db.execute("SELECT max(at) FROM messages WHERE due = 0").fetchone()[0]
        self._last_stamp = newest or 0
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name="hub-store", daemon=True)
        self._is_open = True
        self._thread.start()

    async def call[T](self, work: Callable[[Transaction], T]) -> T:
        """Do `work` in a transaction; its value once that is committed.

        Raises what `work` raises, or Unavailable.
        """
        if not self._is_open:
            raise Unavailable("the task hub is closed")
        assert self._loop is not None
        answer: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(work, answer))
        return await answer

    def post(self, work: Work) -> None:
        """Do `work` soon; nobody waits for it."""
        if self._is_open:
            self._jobs.put(_Job(work, None))

    def close(self) -> None:
        """End the thread and the connection; work not begun is given up. May be called twice."""
        self._is_open = False
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None and job.answer is not None and not job.answer.done():
                job.answer.set_exception(Unavailable("the task hub is closed"))
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._held is not None:
            release(self._held)
            self._held = None

    # --- the thread

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs = [job]
            while len(jobs) < MOST_TOGETHER and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    self._jobs.put(None)
                    break
                jobs.append(following)
            try:
                outcomes = self._commit(jobs)
            except Crash:
                self._end_in_crash(jobs)
                return
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._settle, outcomes)

    def _commit(self, jobs: list[_Job]) -> list[Outcome]:
        assert self._db is not None
        db = self._db
        outcomes: list[Outcome] = []
        try:
            db.execute("BEGIN IMMEDIATE")
            outcomes = [self._do(db, job) for job in jobs]
            if self.chaos is not None:
                self.chaos.before_commit()
            db.execute("COMMIT")
        except sqlite3.Error as fault:
            logger.exception("the task hub could not write; nothing of this is kept")
            if db.in_transaction:
                db.execute("ROLLBACK")
            lost = Unavailable(f"the task hub could not write: {fault}")
            return [(job, None, lost) for job in jobs]
        if self.chaos is not None:
            self.chaos.after_commit()
        return outcomes

    def _do(self, db: sqlite3.Connection, job: _Job) -> Outcome:
        transaction = Transaction(db, time.time_ns() // 1000, self._stamp, self._default_version)
        db.execute("SAVEPOINT job")
        try:
            answer = job.work(transaction)
        except sqlite3.OperationalError:
            raise  # the disk: it concerns everybody
        except Exception as fault:  # noqa: BLE001 - handed to the caller
            db.execute("ROLLBACK TO job")
            db.execute("RELEASE job")
            return job, None, fault
        db.execute("RELEASE job")
        return job, (answer, transaction.effects), None

    def _stamp(self) -> int:
        self._last_stamp = max(self._last_stamp + 1, time.time_ns() // 1000)
        return self._last_stamp

    def _end_in_crash(self, jobs: list[_Job]) -> None:
        assert self._loop is not None
        assert self._db is not None
        self._is_open = False
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        lost = Unavailable("the task hub crashed, as it was told to")
        outcomes: list[Outcome] = [(job, None, lost) for job in jobs]
        self._loop.call_soon_threadsafe(self._settle, outcomes)
        if self._crash is not None:
            self._loop.call_soon_threadsafe(self._crash)

    # --- on the event loop

    def _settle(self, outcomes: list[Outcome]) -> None:
        effects: list[Effect] = []
        for job, done, fault in outcomes:
            if fault is None:
                effects += done[1]
            elif job.answer is None:
                logger.error("work of the task hub failed", exc_info=fault)
        self._apply(effects)
        for job, done, fault in outcomes:
            if job.answer is None or job.answer.done():
                continue
            if fault is None:
                job.answer.set_result(done[0])
            else:
                job.answer.set_exception(fault)
