"""The one SQLite file of a folder: what was measured, and what every run made of it.

Numbers per image lie in it once: the record of a claim refers to the measurements of its arms. They share a file, so
that nobody can delete the numbers behind a result and keep the result. A run that measures elsewhere (with
`--claims-no-cache`) leaves copies of the numbers that it was judged on, where they are not the measured ones.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from harness.errors import ClaimsError

FILE_NAME = "history.sqlite"
BEFORE = "measurements.sqlite"  # where measurements lay up to layout 2; taken over once, then no longer read
BUSY_SECONDS = 60.0
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
        self.cursor.execute("COMMIT" if kind is None else "ROLLBACK")


def open_database(folder: Path | None, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """Open the file of a folder in the newest layout, making it at the first need; None opens one in memory.

    Raises ClaimsError where the file is none of ours, or where a newer version wrote it.
    """
    if folder is None:
        database = sqlite3.connect(":memory:", isolation_level=None)
        _migrate(database, migrations, None)
        return database
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        _migrate(database, migrations, path)
    except sqlite3.DatabaseError as error:
        database.close()
        raise ClaimsError(f"cannot use {path}: {error}; move it away for a new one") from error
    except ClaimsError:
        database.close()
        raise
    return database


def _migrate(database: sqlite3.Connection, migrations: Sequence[str], path: Path | None) -> None:
    """Bring the file to the newest layout in one transaction; another process may be doing the same."""
    if database.execute("PRAGMA user_version").fetchone()[0] == len(migrations):
        return
    beside = path is not None and (path.parent / BEFORE).exists()
    if beside and path is not None:
        database.execute("ATTACH ? AS before", (str(path.parent / BEFORE),))
    with closing(database.cursor()) as cursor, Transaction(cursor):
        (version,) = cursor.execute("PRAGMA user_version").fetchone()
        if version > len(migrations):
            raise ClaimsError(
                f"{path} was written with layout {version}; this version reads layouts up to {len(migrations)}. "
                "Move it away or use the version that wrote it."
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
