"""The hub's file: tables, versions, and one owner at a time."""

import fcntl
import os
import sqlite3
import time
from pathlib import Path
from typing import IO

VERSION = 2
APPLICATION = 0x486F6C64  # "Hold": an SQLite file of somebody else is not touched
CACHE_KIB = 32_768
CHECKPOINT_PAGES = 4_000
"""Committed pages are copied into the file when the log has 16 MB of them: often the same ones."""
LOCK_SECONDS = 3.0
"""A hub whose host was killed needs a moment to notice and to let go."""

# Wide columns are kept apart: an instance's row is read and written at every message.
INSTANCES = """
CREATE TABLE instances (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    version TEXT,
    status INTEGER NOT NULL,
    generation INTEGER NOT NULL DEFAULT 1,
    execution TEXT NOT NULL,
    parent INTEGER,
    parent_generation INTEGER,
    parent_task INTEGER,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    completed INTEGER,
    start_at INTEGER,
    chunks INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX children ON instances (parent, completed) WHERE parent IS NOT NULL;
CREATE INDEX ended ON instances (completed, id) WHERE completed IS NOT NULL;
CREATE TABLE payloads (
    key INTEGER PRIMARY KEY,
    input TEXT,
    output TEXT,
    custom_status TEXT,
    failure BLOB,
    tags TEXT
);
CREATE TABLE history (
    instance INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    events BLOB NOT NULL,
    PRIMARY KEY (instance, chunk)
);
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    instance INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    due INTEGER NOT NULL,
    at INTEGER NOT NULL,
    event BLOB NOT NULL
);
CREATE INDEX inbox ON messages (instance, at, seq);
CREATE INDEX alarms ON messages (due) WHERE due > 0;
CREATE TABLE activities (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    instance INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    task INTEGER NOT NULL,
    name TEXT NOT NULL,
    version TEXT,
    request BLOB NOT NULL
);
CREATE INDEX open_activities ON activities (instance, generation);
"""
# `losses`: how often an item was lost with its worker; it backs off across restarts too.
# An entity's wide state stands last: SQLite does not read it when it is not asked for.
ENTITIES = """
ALTER TABLE instances ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
ALTER TABLE activities ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
CREATE TABLE entities (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    modified INTEGER NOT NULL,
    losses INTEGER NOT NULL DEFAULT 0,
    section TEXT,
    holder INTEGER,
    state TEXT
);
CREATE INDEX held ON entities (holder) WHERE holder IS NOT NULL;
CREATE TABLE operations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    entity INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    due INTEGER NOT NULL,
    at INTEGER NOT NULL,
    caller INTEGER,
    generation INTEGER,
    event BLOB NOT NULL
);
CREATE INDEX backlog ON operations (entity, at, seq);
CREATE INDEX asked ON operations (caller) WHERE caller IS NOT NULL;
CREATE INDEX entity_alarms ON operations (due) WHERE due > 0;
"""
STEPS = (INSTANCES, ENTITIES)
"""What brings a file from each version to the next, from nothing on."""


class BadDatabase(ValueError):
    """The hub's file cannot be used; the message says why and what to do."""


def lock(path: Path) -> IO[bytes]:
    """Claim the file for this process; the kernel lets go when the process ends, however it ends.

    Raises BadDatabase when another process has it: two hubs on one file would hand out twice.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = path.with_name(path.name + ".lock").open("ab")
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                held.close()
                raise BadDatabase(
                    f"the task hub {path} is in use by another process: "
                    "end that one, or use another file"
                ) from None
            time.sleep(0.05)
        else:
            return held


def connect(path: Path, *, is_durable: bool = True) -> sqlite3.Connection:
    """Open the hub's file, new or known; raises BadDatabase and then changes nothing.

    `is_durable`: a commit is on the disk before it is answered, so it survives a power cut too;
    without it a commit survives the end of the process only.
    """
    is_new = not path.exists() or path.stat().st_size == 0
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        if not is_new:
            _check(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA secure_delete = FAST")  # wipe what is written anyway, and no page more
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        _bring_up(db)
    except sqlite3.DatabaseError as fault:
        db.close()
        raise BadDatabase(f"{path} cannot be used as a task hub: {fault}") from fault
    except BadDatabase:
        db.close()
        raise
    return db


def reader(path: Path) -> sqlite3.Connection:
    """A second connection to an open file, which only reads; raises BadDatabase."""
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA query_only = ON")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except sqlite3.DatabaseError as fault:
        raise BadDatabase(f"{path} cannot be read as a task hub: {fault}") from fault
    return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    application, version = _number(db, "application_id"), _number(db, "user_version")
    is_empty = db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None
    if application == 0 and version == 0 and is_empty:
        return  # made, then interrupted before its tables were
    if application != APPLICATION:
        raise BadDatabase(f"{path} is a database of another program")
    if version > VERSION:
        raise BadDatabase(
            f"the task hub {path} was written by a newer version of this program "
            f"(its format is {version}, this program knows {VERSION}): use that version"
        )


def _bring_up(db: sqlite3.Connection) -> None:
    """Make the tables, or bring an older file to this version; all of it or nothing."""
    version = _number(db, "user_version")
    if version == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    for step in STEPS[version:]:
        for statement in filter(str.strip, step.split(";")):
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])


def release(held: IO[bytes]) -> None:
    """Give the file back."""
    os.set_inheritable(held.fileno(), False)
    held.close()
