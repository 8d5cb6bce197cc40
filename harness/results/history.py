"""The history of runs in one SQLite file: what every claim came out as on every model, and its outcome on every image.

Outcomes are copies, which survive `--claims-no-cache` and a deleted cache; equal ones of several runs are kept once.
Every record is one transaction: processes may write at the same time, and a kill at any moment leaves whole records.
"""

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import ClaimsError, unknown

FILE_NAME = "history.sqlite"
BUSY_SECONDS = 60.0
SEEDS = """SELECT DISTINCT claim, model, json_extract(context.text, '$.seed') AS seed FROM record JOIN context
ON hash = context WHERE json_extract(record.text, '$.verdict') != 'not applicable' AND seed IS NOT NULL"""
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
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: when, by which command, with which versions and on which machine."""

    id: str
    time: str
    command: str
    versions: Mapping[str, str]
    machine: str


class History:
    """The history file of one cache folder; it is made at the first need."""

    def __init__(self, folder: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE_NAME
        self._database = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            _migrate(self._database, migrations, self.path)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise ClaimsError(f"cannot use the history {self.path}: {error}; move it away for a new one") from error
        except ClaimsError:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file; what was kept stays."""
        self._database.close()

    def keep(self, record: Mapping[str, Any], numbers: Mapping[str, np.ndarray], command: str = "") -> None:
        """Append one record of the run that it names, with the numbers of its arms [image].

        A second record of the same claim, model and run replaces the first: pytest may run a test again.
        """
        run, context = record["run"], record["context"]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rest = {name: value for name, value in record.items() if name != "context"}
        shared = json.dumps(context, sort_keys=True)
        place = (run, record["model"], record["claim"])
        with closing(self._database.cursor()) as cursor, _Transaction(cursor):
            about = (json.dumps(context.get("versions", {})), context.get("machine", ""))
            query = "INSERT OR IGNORE INTO run (id, time, command, versions, machine) VALUES (?, ?, ?, ?, ?)"
            cursor.execute(query, (run, now, command, *about))
            cursor.execute("INSERT OR IGNORE INTO context VALUES (?, ?)", (_hash(shared.encode()), shared))
            query = "DELETE FROM arm WHERE record IN (SELECT number FROM record WHERE run=? AND model=? AND claim=?)"
            cursor.execute(query, place)
            cursor.execute("DELETE FROM record WHERE run = ? AND model = ? AND claim = ?", place)
            query = "INSERT INTO record (run, model, claim, time, text, context) VALUES (?, ?, ?, ?, ?, ?)"
            cursor.execute(query, (*place, now, json.dumps(rest, sort_keys=True), _hash(shared.encode())))
            number = cursor.lastrowid
            for name, values in numbers.items():
                data = np.ascontiguousarray(values, dtype="<f8").tobytes()
                outcome = (_hash(data), len(values), zlib.compress(data))
                cursor.execute("INSERT OR IGNORE INTO outcome VALUES (?, ?, ?)", outcome)
                cursor.execute("INSERT INTO arm VALUES (?, ?, ?, ?)", (number, name, record["arms"][name], outcome[0]))

    def keep_names(self, images: str, names: Sequence[str]) -> None:
        """Keep the names of the pictures of a set in measuring order; a longer list replaces a shorter one."""
        data = zlib.compress(json.dumps(list(names)).encode())
        query = (
            "INSERT INTO names VALUES (?, ?, ?) ON CONFLICT (images) DO UPDATE SET count = excluded.count, "
            "data = excluded.data WHERE excluded.count > names.count"
        )
        self._database.execute(query, (images, len(names), data))

    def keep_timings(self, run: str, machine: str, timings: Iterable[Mapping[str, Any]]) -> None:
        """Append the timings of a run, each with `claim` and `model`."""
        rows = [(run, machine, one["claim"], one["model"], json.dumps(one, sort_keys=True)) for one in timings]
        with closing(self._database.cursor()) as cursor, _Transaction(cursor):
            query = "INSERT INTO timing (run, machine, claim, model, text) VALUES (?, ?, ?, ?, ?)"
            cursor.executemany(query, rows)

    def runs(self) -> list[Run]:
        """List all runs, oldest first."""
        rows = self._database.execute("SELECT id, time, command, versions, machine FROM run ORDER BY number")
        return [
            Run(id=id_, time=time, command=command, versions=json.loads(versions), machine=machine)
            for id_, time, command, versions, machine in rows
        ]

    def records(
        self, *, run: str | None = None, claim: str | None = None, model: str | None = None
    ) -> list[dict[str, Any]]:
        """List records with their `time`, oldest first, of one run, claim or model where one is given."""
        query = (
            "SELECT time, record.text, context.text FROM record JOIN context ON context.hash = record.context "
            "WHERE (?1 IS NULL OR run = ?1) AND (?2 IS NULL OR claim = ?2) AND (?3 IS NULL OR model = ?3) "
            "ORDER BY number"
        )
        rows = self._database.execute(query, (run, claim, model))
        return [{"time": time, **json.loads(text), "context": json.loads(context)} for time, text, context in rows]

    def latest(self, without: str | None = None) -> dict[tuple[str, str], dict[str, Any]]:
        """Give the last record by (claim, model), leaving out the run `without`."""
        query = (
            "SELECT run, claim, model FROM record WHERE number IN (SELECT max(number) FROM record WHERE run IS NOT ?"
        )
        places = self._database.execute(f"{query} GROUP BY claim, model)", (without,)).fetchall()
        return {(c, m): self.records(run=run, claim=c, model=m)[0] for run, c, m in places}

    def claims(self) -> list[tuple[str, str]]:
        """List every (claim, model) with a record."""
        return self._database.execute("SELECT DISTINCT claim, model FROM record ORDER BY claim, model").fetchall()

    def seeds(self) -> dict[tuple[str, str], tuple[int, ...]]:
        """Give the seeds with which every (claim, model) was ever measured, rising; not applicable counts as never."""
        rows = groupby(sorted(self._database.execute(SEEDS)), key=lambda row: row[:2])
        return {place: tuple(seed for _, _, seed in group) for place, group in rows}

    def outcomes(self, run: str, model: str, claim: str) -> dict[str, np.ndarray]:
        """Give the numbers of every arm [image] behind one record; none where the claim was not applicable."""
        query = (
            "SELECT arm.name, outcome.data FROM record JOIN arm ON arm.record = record.number "
            "JOIN outcome ON outcome.hash = arm.outcome WHERE run = ? AND model = ? AND claim = ?"
        )
        rows = self._database.execute(query, (run, model, claim))
        return {name: np.frombuffer(zlib.decompress(data), dtype="<f8") for name, data in rows}

    def names(self, images: str) -> tuple[str, ...]:
        """Give the names of the pictures of a set, or none where they were never kept."""
        row = self._database.execute("SELECT data FROM names WHERE images = ?", (images,)).fetchone()
        return () if row is None else tuple(json.loads(zlib.decompress(row[0])))

    def timings(self, machine: str, before: str | None = None) -> list[dict[str, Any]]:
        """List the timings taken on machines of this kind, oldest first, without those of the run `before`."""
        query = "SELECT text FROM timing WHERE machine = ? AND run IS NOT ? ORDER BY number"
        return [json.loads(text) for (text,) in self._database.execute(query, (machine, before))]


def open_history(folder: Path) -> History:
    """Open a history that exists; ClaimsError with the cure where there is none, instead of making an empty one."""
    if not (folder / FILE_NAME).exists():
        raise ClaimsError(
            f"no runs are recorded in {str(folder)!r}; run `pytest claims/` first, or name the folder of other runs: "
            "--cache DIR"
        )
    return History(folder)


def find_run(runs: Sequence[Run], text: str, where: str) -> Run:
    """Find a run by its id or the beginning of one, or as "last", "last~1" (the one before), and so on.

    Raises ClaimsError where none or several fit.
    """
    back = text.removeprefix("last").removeprefix("~") or "0"
    if text.startswith("last") and back.isdecimal():
        if int(back) < len(runs):
            return runs[-1 - int(back)]
        raise ClaimsError(f"{text!r} in {where}: only {len(runs)} run(s) are recorded")
    found = [run for run in runs if run.id.startswith(text)]
    if len(found) > 1:
        raise ClaimsError(f"{text!r} in {where} fits {len(found)} runs: {', '.join(run.id for run in found[:5])}")
    if not found:
        raise unknown("run", text, [*(run.id for run in runs), "last"], where)
    return found[0]


class _Transaction:
    """Commits what was done in a `with` block, or nothing of it."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self.cursor = cursor

    def __enter__(self) -> None:
        self.cursor.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.cursor.execute("COMMIT" if kind is None else "ROLLBACK")


def _migrate(database: sqlite3.Connection, migrations: Sequence[str], path: Path) -> None:
    """Bring the file to the newest layout in one transaction; another process may be doing the same."""
    if database.execute("PRAGMA user_version").fetchone()[0] == len(migrations):
        return
    with closing(database.cursor()) as cursor, _Transaction(cursor):
        (version,) = cursor.execute("PRAGMA user_version").fetchone()
        if version > len(migrations):
            raise ClaimsError(
                f"{path} was written with layout {version}; this version reads layouts up to {len(migrations)}. "
                "Move it away or use the version that wrote it."
            )
        for script in migrations[version:]:
            for statement in filter(str.strip, script.split(";")):
                cursor.execute(statement)
        cursor.execute(f"PRAGMA user_version = {len(migrations)}")


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
