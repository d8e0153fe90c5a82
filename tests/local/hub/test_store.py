"""The hub's transactions: shared by many, on the disk before an answer, each piece by itself."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from local.host.taskhub.sqlite.effects import Changed
from local.host.taskhub.sqlite.limits import Refused, invalid
from local.host.taskhub.sqlite.store import MOST_TOGETHER, Store, Transaction, Unavailable


def write(name: str) -> Callable[[Transaction], str]:
    """Work that leaves a row, an effect and something to look at in the end."""

    def work(tx: Transaction) -> str:
        tx.db.execute("INSERT INTO noted VALUES (?)", (name,))
        tx.effects.append(Changed(name))
        tx.at_end[looks, len(name)] = None
        return name

    return work


def looks(tx: Transaction, key: int) -> None:
    tx.effects.append(Changed(f"looked at {key}"))


def refused(tx: Transaction) -> None:
    write("refused, with a longer name")(tx)
    raise invalid("no")


def rows(tx: Transaction) -> list[str]:
    return [name for (name,) in tx.db.execute("SELECT name FROM noted ORDER BY rowid")]


class Watched:
    """A store, the effects that were applied, the statements that were run."""

    def __init__(self, file: Path) -> None:
        self.applied: list[str] = []
        self.on_disk: list[list[str]] = []
        self.statements: list[str] = []
        self.store = Store(file, self._apply)
        self.store.open(asyncio.get_running_loop())
        assert self.store._db is not None
        self.db = self.store._db
        self.db.execute("CREATE TABLE noted (name TEXT)")
        self.db.set_trace_callback(self.statements.append)
        self._other = sqlite3.connect(file)

    def _apply(self, effects: list[Any]) -> None:
        self.applied += [effect.id for effect in effects]
        names = self._other.execute("SELECT name FROM noted ORDER BY rowid").fetchall()
        self.on_disk.append([name for (name,) in names])

    def close(self) -> None:
        self.store.close()
        self._other.close()


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path / "hub.sqlite")
    yield watched
    watched.close()


async def test_who_comes_at_the_same_time_shares_one_commit(watched: Watched) -> None:
    many = MOST_TOGETHER + 10
    answers = await asyncio.gather(*(watched.store.call(write(str(n))) for n in range(many)))
    assert answers == [str(n) for n in range(many)]
    assert watched.statements.count("COMMIT") == 2
    assert watched.store.read(rows) == answers


async def test_an_answer_comes_after_the_commit_and_after_its_effects(watched: Watched) -> None:
    answer = asyncio.ensure_future(watched.store.call(write("one")))
    answer.add_done_callback(lambda _: watched.applied.append("answered"))
    await answer
    await asyncio.sleep(0)
    assert watched.on_disk == [["one"]]
    assert watched.applied == ["one", "looked at 3", "answered"]


async def test_what_is_refused_changes_nothing_and_disturbs_nobody(watched: Watched) -> None:
    work = [write("one"), refused, write("two"), refused, write("three")]
    answers: Any = await asyncio.gather(
        *(watched.store.call(each) for each in work), return_exceptions=True
    )
    assert [type(each) for each in answers] == [str, Refused, str, Refused, str]
    assert watched.store.read(rows) == ["one", "two", "three"]
    assert watched.applied == ["one", "two", "three", "looked at 3", "looked at 5"]
    assert watched.statements.count("COMMIT") == 1


async def test_each_row_is_looked_at_once_however_much_was_done_to_it(watched: Watched) -> None:
    await asyncio.gather(*(watched.store.call(write("same")) for _ in range(20)))
    assert watched.applied.count("looked at 4") == 1


async def test_reads_see_what_is_committed(watched: Watched) -> None:
    await watched.store.call(write("before"))

    def look_aside(tx: Transaction) -> list[str]:
        write("under way")(tx)
        return watched.store.read(rows)

    assert await watched.store.call(look_aside) == ["before"]
    assert watched.store.read(rows) == ["before", "under way"]
    with pytest.raises(Unavailable, match="readonly"):
        watched.store.read(write("by a reader"))


async def test_a_commit_that_fails_is_told_to_all_and_the_next_one_is_done(
    watched: Watched,
) -> None:
    """The constraint is looked at by COMMIT alone, as a disk that fails then would be noticed."""
    watched.db.execute("PRAGMA foreign_keys = ON")
    watched.db.execute("CREATE TABLE first (key INTEGER PRIMARY KEY)")
    watched.db.execute(
        "CREATE TABLE second (key REFERENCES first (key) DEFERRABLE INITIALLY DEFERRED)"
    )

    def breaks(tx: Transaction) -> None:
        tx.db.execute("INSERT INTO second VALUES (7)")

    answers: Any = await asyncio.gather(
        watched.store.call(write("one")), watched.store.call(breaks), return_exceptions=True
    )
    assert [type(each) for each in answers] == [Unavailable, Unavailable]
    assert watched.applied == watched.store.read(rows) == []
    assert await watched.store.call(write("two")) == "two"
    assert watched.store.read(rows) == ["two"]


async def test_a_closed_store_says_so_to_who_waits_and_to_who_comes(watched: Watched) -> None:
    waiting = asyncio.ensure_future(watched.store.call(write("late")))
    await asyncio.sleep(0)
    watched.store.close()
    with pytest.raises(Unavailable, match="closed"):
        await waiting
    with pytest.raises(Unavailable, match="closed"):
        await watched.store.call(write("later"))
    with pytest.raises(Unavailable, match="closed"):
        watched.store.read(rows)
