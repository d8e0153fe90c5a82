"""Many callers' work in one transaction: written on the event loop, committed by a thread.

While a commit waits for the disk the loop takes requests, and what they ask for goes into the next
transaction: nobody waits when nothing happens, and one flush serves all who came meanwhile. A piece
of work that is refused changes nothing and disturbs nobody. A caller gets its answer after the
commit, never before. Reads have a connection of their own and see what is committed.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from local.host.taskhub.sqlite.chaos import Chaos, Crash
from local.host.taskhub.sqlite.effects import Effect
from local.host.taskhub.sqlite.schema import connect, lock, reader, release

logger = logging.getLogger(__name__)

MOST_TOGETHER = 250
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
    at_end: "dict[tuple[AtEnd, int], None]" = field(default_factory=dict)
    """What is looked at once for each row, when all the work of the transaction is done."""


Work = Callable[[Transaction], Any]
AtEnd = Callable[[Transaction, int], None]


@dataclass(slots=True)
class _Job:
    work: Work
    answer: asyncio.Future[Any] | None
    value: Any = None
    fault: BaseException | None = None


@dataclass(slots=True)
class _Group:
    """Work that is committed together, and what is to happen then."""

    jobs: list[_Job]
    effects: list[Effect]
    fault: BaseException | None = None


class Store:
    """The hub's file. `apply` gets the effects of committed work, in order. One event loop only."""

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
        self._jobs: deque[_Job] = deque()
        self._commits: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._db: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._held: IO[bytes] | None = None
        self._last_stamp = 0
        self._is_open = self._is_busy = False

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Claim and open the file, start the thread. Raises BadDatabase."""
        self._held = lock(self._path)
        try:
            self._db = connect(self._path, is_durable=self._is_durable)
            self._reader = reader(self._path)
        except Exception:
            release(self._held)
            raise
        newest = self._db.execute("SELECT max(at) FROM messages WHERE due = 0").fetchone()[0]
        self._last_stamp = newest or 0
        self._loop = loop
        self._thread = threading.Thread(target=self._commit_all, name="hub-commits", daemon=True)
        self._is_open = True
        self._thread.start()

    async def call[T](self, work: Callable[[Transaction], T]) -> T:
        """Do `work` in a transaction; its value once that is committed.

        It may be done twice, the first time for nothing. Raises what `work` raises, or Unavailable.
        """
        if not self._is_open:
            raise Unavailable("the task hub is closed")
        assert self._loop is not None
        answer: asyncio.Future[T] = self._loop.create_future()
        self._jobs.append(_Job(work, answer))
        self._plan()
        return await answer

    def post(self, work: Work) -> None:
        """Do `work` soon; nobody waits for it."""
        if self._is_open:
            self._jobs.append(_Job(work, None))
            self._plan()

    def read[T](self, work: Callable[[Transaction], T]) -> T:
        """Do `work` that only reads, at once, on what is committed; may raise Unavailable."""
        if not self._is_open or self._reader is None:
            raise Unavailable("the task hub is closed")
        try:
            self._reader.execute("BEGIN")
            try:
                return work(self._transaction(self._reader))
            finally:
                self._reader.execute("COMMIT")
        except sqlite3.Error as fault:
            logger.exception("the task hub could not read")
            raise Unavailable(f"the task hub could not read: {fault}") from fault

    def close(self) -> None:
        """End the thread and the connections; work not begun is given up. May be called twice."""
        self._is_open = False
        if self._thread is not None:
            self._commits.put(None)
            self._thread.join()
            self._thread = None
        self._give_up("the task hub is closed")
        for db in (self._reader, self._db):
            if db is not None:
                db.close()
        self._db = self._reader = None
        if self._held is not None:
            release(self._held)
            self._held = None

    def _give_up(self, why: str) -> None:
        while self._jobs:
            answer = self._jobs.popleft().answer
            if answer is not None and not answer.done():
                answer.set_exception(Unavailable(why))

    # --- a transaction

    def _plan(self) -> None:
        if not self._is_busy and self._jobs and self._is_open:
            self._is_busy = True
            assert self._loop is not None
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        db = self._db
        if not self._is_open or db is None:
            return  # closed meanwhile: the work has been given up
        jobs = [self._jobs.popleft() for _ in range(min(len(self._jobs), MOST_TOGETHER))]
        group, before = _Group(jobs, []), db.total_changes
        try:
            group.effects = self._work(db, jobs)
            if self.chaos is not None:
                self.chaos.before_commit()
        except Crash:
            self._end_in_crash(group)
        except Exception as fault:  # noqa: BLE001 - the disk, mostly: everybody is told
            group.fault = fault
            self._committed(group)
        else:
            if db.total_changes == before:
                db.execute("COMMIT")
                self._committed(group)
            else:
                self._commits.put(group)

    def _transaction(self, db: sqlite3.Connection) -> Transaction:
        return Transaction(db, time.time_ns() // 1000, self._stamp, self._default_version)

    def _work(self, db: sqlite3.Connection, jobs: list[_Job]) -> list[Effect]:
        """Do all the work; if a piece is refused all is done anew, each piece by itself."""
        db.execute("BEGIN IMMEDIATE")
        transaction = self._transaction(db)
        try:
            for job in jobs:
                job.value = job.work(transaction)
        except sqlite3.OperationalError:
            raise  # the disk: it concerns everybody
        except Exception:  # noqa: BLE001 - comes again, where it is known whose it is
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            transaction = self._transaction(db)
            for job in jobs:
                self._alone(transaction, job)
        for look, key in transaction.at_end:
            look(transaction, key)
        return transaction.effects

    def _alone(self, transaction: Transaction, job: _Job) -> None:
        """A piece of work with a savepoint of its own."""
        mark, ends = len(transaction.effects), dict(transaction.at_end)
        transaction.db.execute("SAVEPOINT job")
        try:
            job.value = job.work(transaction)
        except sqlite3.OperationalError:
            raise
        except Exception as fault:  # noqa: BLE001 - handed to the caller
            job.fault = fault
            transaction.db.execute("ROLLBACK TO job")
            del transaction.effects[mark:]
            transaction.at_end = ends
        transaction.db.execute("RELEASE job")

    def _stamp(self) -> int:
        self._last_stamp = max(self._last_stamp + 1, time.time_ns() // 1000)
        return self._last_stamp

    # --- the thread

    def _commit_all(self) -> None:
        assert self._loop is not None
        assert self._db is not None
        while (group := self._commits.get()) is not None:
            try:
                self._db.execute("COMMIT")
            except sqlite3.Error as fault:
                group.fault = fault
            self._loop.call_soon_threadsafe(self._committed, group)

    # --- after it

    def _committed(self, group: _Group) -> None:
        self._is_busy = False
        if group.fault is not None:
            self._lost(group, group.fault)
        elif self.chaos is not None and self._crashes(self.chaos):
            self._end_in_crash(group)
        else:
            self._kept(group)
        self._plan()

    def _crashes(self, chaos: Chaos) -> bool:
        try:
            chaos.after_commit()
        except Crash:
            return True
        return False

    def _lost(self, group: _Group, fault: BaseException) -> None:
        logger.error("the task hub could not write; nothing of this is kept", exc_info=fault)
        if self._db is not None and self._db.in_transaction:
            self._db.execute("ROLLBACK")
        for job in group.jobs:
            if job.answer is not None and not job.answer.done():
                why = f"the task hub could not write: {fault}"
                job.answer.set_exception(Unavailable(why))

    def _kept(self, group: _Group) -> None:
        self._apply(group.effects)
        for job in group.jobs:
            if job.answer is None:
                if job.fault is not None:
                    logger.error("work of the task hub failed", exc_info=job.fault)
            elif not job.answer.done():
                if job.fault is None:
                    job.answer.set_result(job.value)
                else:
                    job.answer.set_exception(job.fault)

    def _end_in_crash(self, group: _Group) -> None:
        assert self._db is not None
        self._is_open = False
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._jobs.extendleft(reversed(group.jobs))
        self._give_up("the task hub crashed, as it was told to")
        if self._crash is not None:
            self._crash()
