"""The one SQLite file of a folder: what was measured, and what every run made of it.

Numbers per image lie in it once: the record of a claim refers to the measurements of its arms. They share a file, so
that nobody can delete the numbers behind a result and keep the result. A run that measures elsewhere (with
`--claims-no-cache`) leaves copies of the numbers that it was judged on, where they are not the measured ones.
"""

import random
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from harness.results.store_errors import ELSEWHERE, Connection, StoreError, told

FILE_NAME = "history.sqlite"
BEFORE = "measurements.sqlite"  # where measurements lay up to layout 2; taken over once, then no longer read
BUSY_SECONDS = 60.0
RETRY_SECONDS = (0.005, 0.05)  # between two tries to open a file that another process is making
# One script per layout of the file; opening an older file runs those that it lacks.
MIGRATIONS = (
    """
CREATE TABLE run (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time TEXT NOT NULL, command TEXT NOT NULL,
    versions TEXT NOT NULL, machine TEXT NOT NULL
);
CREATE TABLE context (hash TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outcome (hash TEXT PRIMARY KEY, count INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE names (images TEXT PRIMARY KEY, count INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE record (
    number INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES run (id), time TEXT NOT NULL, claim TEXT NOT NULL,
    model TEXT NOT NULL, text TEXT NOT NULL, context TEXT NOT NULL REFERENCES context (hash),
    UNIQUE (run, model, claim)
);
CREATE INDEX record_by_claim ON record (claim, model, number);
CREATE TABLE arm (
    record INTEGER NOT NULL REFERENCES record (number), name TEXT NOT NULL, measurement TEXT NOT NULL,
    outcome TEXT NOT NULL REFERENCES outcome (hash), PRIMARY KEY (record, name)
) WITHOUT ROWID;
""",
    """
CREATE TABLE timing (
    number INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES run (id), machine TEXT NOT NULL, claim TEXT NOT NULL,
    model TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX timing_by_claim ON timing (machine, claim, model, number);
""",
    """
CREATE TABLE measurement (id TEXT PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE chunk (
    id TEXT NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    numbers BLOB NOT NULL, receipts TEXT NOT NULL, PRIMARY KEY (id, start)
) WITHOUT ROWID;
ALTER TABLE arm RENAME TO arm_with_copies;
CREATE TABLE arm (
    record INTEGER NOT NULL REFERENCES record (number), name TEXT NOT NULL, measurement TEXT NOT NULL,
    count INTEGER NOT NULL, outcome TEXT REFERENCES outcome (hash), PRIMARY KEY (record, name)
) WITHOUT ROWID;
INSERT INTO arm SELECT record, name, measurement, outcome.count, outcome
    FROM arm_with_copies JOIN outcome ON outcome.hash = arm_with_copies.outcome;
DROP TABLE arm_with_copies;
""",
)
JOINED = 3  # the layout from which measurements lie here too


class Transaction:
    """Commits what was done in a `with` block, or nothing of it."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self.cursor = cursor

    def __enter__(self) -> None:
        self.cursor.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.cursor.execute("COMMIT")
        elif self.cursor.connection.in_transaction:  # a full disk has rolled it back already
            self.cursor.execute("ROLLBACK")


def open_database(folder: Path | None, migrations: Sequence[str] = MIGRATIONS) -> Connection:
    """Open the file of a folder in the newest layout, making it at the first need; None opens one in memory.

    Processes may make it at the same time. Raises StoreError where it cannot be used or a newer version wrote it.
    """
    if folder is None:
        database = sqlite3.connect(":memory:", isolation_level=None, factory=Connection)
        _migrate(database, migrations, None)
        return database
    path = folder / FILE_NAME
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return _opened(folder, path, migrations)
        except StoreError as error:
            # Changing the journal, and being the last to close it, lock the file without any waiting of SQLite's own.
            if not (_held(error) and time.monotonic() < deadline):
                raise
        time.sleep(random.uniform(*RETRY_SECONDS))


def _opened(folder: Path, path: Path, migrations: Sequence[str]) -> Connection:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, factory=Connection)
    except (OSError, ValueError, sqlite3.Error) as error:
        raise told(path, error) from error
    database.place = path
    try:
        if database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        _migrate(database, migrations, path)
    except BaseException:
        database.close()
        raise
    return database


def _held(error: StoreError) -> bool:
    """Tell whether another process was in the way."""
    return getattr(error.__cause__, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _migrate(database: Connection, migrations: Sequence[str], path: Path | None) -> None:
    """Bring the file to the newest layout in one transaction; another process may be doing the same."""
    if database.execute("PRAGMA user_version").fetchone()[0] == len(migrations):
        return
    beside = path is not None and (path.parent / BEFORE).exists()
    if beside and path is not None:
        database.execute("ATTACH ? AS before", (str(path.parent / BEFORE),))
    with closing(database.cursor()) as cursor, Transaction(cursor):
        (version,) = cursor.execute("PRAGMA user_version").fetchone()
        if version > len(migrations):
            raise StoreError(
                f"{str(path)!r} was written with layout {version}; this version reads layouts up to {len(migrations)}. "
                f"Use the version that wrote it, or {ELSEWHERE}."
            )
        for script in migrations[version:]:
            for statement in filter(str.strip, script.split(";")):
                cursor.execute(statement)
        if beside and version < JOINED <= len(migrations):
            _take_over(cursor)
        cursor.execute(f"PRAGMA user_version = {len(migrations)}")
    if beside:
        database.execute("DETACH before")


def _take_over(cursor: sqlite3.Cursor) -> None:
    """Copy measurements from the file of their own that older versions kept; its results are in the history."""
    tables = {name for (name,) in cursor.execute("SELECT name FROM before.sqlite_master WHERE type = 'table'")}
    for table in sorted({"measurement", "chunk"} & tables):
        cursor.execute(f"INSERT OR IGNORE INTO main.{table} SELECT * FROM before.{table}")
