"""The history of runs: what every claim came out as on every model, and its outcome on every image.

This is the one place of results: everything that shows or compares the last result of a claim reads it here. Outcomes
are the measurements in the same file, or copies of what was measured elsewhere; equal copies of several runs are kept
once. Every record is one transaction: processes may write at the same time, and a kill at any moment leaves whole
records.
"""

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from harness.errors import ClaimsError, unknown
from harness.results.database import FILE_NAME, MIGRATIONS, Transaction, open_database
from harness.results.measurements import MeasurementKey, key_in, numbers_in
from harness.results.record import Context, RunRecord, record_data
from harness.results.store_errors import parsed, readable

SEEDS = """SELECT DISTINCT claim, model, json_extract(context.text, '$.seed') AS seed FROM record JOIN context
ON hash = context WHERE json_extract(record.text, '$.verdict') != 'not applicable' AND seed IS NOT NULL"""

LAST_FIRST = "coalesce(json_extract(text, '$.out_of_time'), 0), time DESC, number DESC"


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
        self.path = folder / FILE_NAME
        self._database = open_database(folder, migrations)

    def close(self) -> None:
        """Close the file; what was kept stays."""
        self._database.close()

    def keep(
        self,
        record: RunRecord,
        numbers: Mapping[str, np.ndarray] | None = None,
        keys: Mapping[str, MeasurementKey] | None = None,
        command: str = "",
    ) -> None:
        """Append one record of the run that it names.

        Its arms refer to the measurements in this file; of what was measured elsewhere `numbers` are given by arm
        [image], with what they are by measurement in `keys`, and copied where they are not those of this file.
        A second record of the same claim, model and run replaces the first: pytest may run a test again.
        Raises ClaimsError, and keeps nothing, where the numbers of an arm are neither here nor given.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        rest = record_data(record)
        rest.pop("time", None)  # that of the row
        shared = json.dumps(rest.pop("context"))
        place = (record.run, record.model, record.claim)
        with closing(self._database.cursor()) as cursor, Transaction(cursor):
            about = (json.dumps(record.context.versions), record.context.machine)
            query = "INSERT OR IGNORE INTO run (id, time, command, versions, machine) VALUES (?, ?, ?, ?, ?)"
            cursor.execute(query, (record.run, now, command, *about))
            cursor.execute("INSERT OR IGNORE INTO context VALUES (?, ?)", (_hash(shared.encode()), shared))
            query = "DELETE FROM arm WHERE record IN (SELECT number FROM record WHERE run=? AND model=? AND claim=?)"
            cursor.execute(query, place)
            cursor.execute("DELETE FROM record WHERE run = ? AND model = ? AND claim = ?", place)
            query = "INSERT INTO record (run, model, claim, time, text, context) VALUES (?, ?, ?, ?, ?, ?)"
            cursor.execute(query, (*place, now, json.dumps(rest), _hash(shared.encode())))
            number = cursor.lastrowid
            for identifier, key in (keys or {}).items():
                cursor.execute("INSERT OR IGNORE INTO measurement VALUES (?, ?)", (identifier, key.text))
            for name, identifier in record.arms.items():
                copied = self._copied(cursor, identifier, record.images_of(name), (numbers or {}).get(name))
                cursor.execute("INSERT INTO arm VALUES (?, ?, ?, ?, ?)", (number, name, identifier, *copied))

    def keep_names(self, images: str, names: Sequence[str]) -> None:
        """Keep the names of the pictures of a set in measuring order; a longer list replaces a shorter one."""
        data = zlib.compress(json.dumps(list(names)).encode())
        query = (
            "INSERT INTO names VALUES (?, ?, ?) ON CONFLICT (images) DO UPDATE SET count = excluded.count, "
            "data = excluded.data WHERE excluded.count > names.count"
        )
        self._database.execute(query, (images, len(names), data))

    def runs(self) -> list[Run]:
        """List all runs, oldest first."""
        rows = self._database.execute("SELECT id, time, command, versions, machine FROM run ORDER BY time, number")
        with readable(self.path):
            return [
                Run(id=str(id_), time=str(time), command=str(command), versions=dict(parsed(versions)), machine=machine)
                for id_, time, command, versions, machine in rows
            ]

    def records(self, *, run: str | None = None, claim: str | None = None, model: str | None = None) -> list[RunRecord]:
        """List records with their `time`, oldest first, of one run, claim or model where one is given."""
        query = (
            "SELECT time, record.text, hash, context.text FROM record JOIN context ON hash = record.context "
            "WHERE (?1 IS NULL OR run = ?1) AND (?2 IS NULL OR claim = ?2) AND (?3 IS NULL OR model = ?3) "
            "ORDER BY time, number"
        )
        rows = self._database.execute(query, (run, claim, model))
        contexts: dict[str, Context] = {}  # those that many records share are read once
        found = []
        with readable(self.path):
            try:
                for time, text, shared, context in rows:
                    if shared not in contexts:
                        contexts[shared] = Context.model_validate(parsed(context))
                    read = {**parsed(text), "time": time, "context": contexts[shared]}
                    found.append(RunRecord.model_validate(read))
            except ValidationError as error:
                first = error.errors()[0]
                raise ClaimsError(
                    f"{self.path} holds a record that this version cannot read: {'.'.join(map(str, first['loc']))}: "
                    f"{first['msg']}; use the version that wrote it"
                ) from error
        return found

    def latest(self, without: str | None = None, claim: str | None = None) -> dict[tuple[str, str], RunRecord]:
        """Give the last record by (claim, model), of one claim where one is given, leaving out the run `without`.

        One that was left open for want of time counts as last only where there is no other.
        """
        query = (
            "SELECT run, claim, model FROM (SELECT run, claim, model, time, number, row_number() OVER "
            f"(PARTITION BY claim, model ORDER BY {LAST_FIRST}) AS place FROM record "
            "WHERE run IS NOT ?1 AND (?2 IS NULL OR claim = ?2)) WHERE place = 1 ORDER BY time, number"
        )
        places = self._database.execute(query, (without, claim)).fetchall()
        with readable(self.path):
            return {(c, m): self.records(run=run, claim=c, model=m)[0] for run, c, m in places}

    def verdicts(self, before: str) -> dict[tuple[str, str], str]:
        """Give the last verdict by (claim, model) before a run began; what was open for want of time is none."""
        query = (
            "SELECT claim, model, json_extract(text, '$.verdict') FROM record WHERE "
            "(NOT EXISTS (SELECT 1 FROM record WHERE run = ?1) OR (time, number) < "
            "(SELECT time, number FROM record WHERE run = ?1 ORDER BY time, number LIMIT 1)) "
            "AND NOT coalesce(json_extract(text, '$.out_of_time'), 0) ORDER BY time, number"
        )
        with readable(self.path):
            return {(claim, model): verdict for claim, model, verdict in self._database.execute(query, (before,))}

    def claims(self) -> list[tuple[str, str]]:
        """List every (claim, model) with a record."""
        return self._database.execute("SELECT DISTINCT claim, model FROM record ORDER BY claim, model").fetchall()

    def seeds(self) -> dict[tuple[str, str], tuple[int, ...]]:
        """Give the seeds with which every (claim, model) was ever measured, rising; not applicable counts as never."""
        with readable(self.path):
            rows = groupby(sorted(self._database.execute(SEEDS)), key=lambda row: row[:2])
            return {place: tuple(seed for _, _, seed in group) for place, group in rows}

    def outcomes(self, run: str, model: str, claim: str) -> dict[str, np.ndarray]:
        """Give the numbers of every arm [image] behind one record; none where the claim was not applicable."""
        query = (
            "SELECT arm.name, arm.measurement, arm.count, outcome.data FROM record "
            "JOIN arm ON arm.record = record.number LEFT JOIN outcome ON outcome.hash = arm.outcome "
            "WHERE run = ? AND model = ? AND claim = ?"
        )
        rows = self._database.execute(query, (run, model, claim)).fetchall()
        with readable(self.path):
            return {
                name: numbers_in(self._database, identifier, count)
                if data is None
                else np.frombuffer(zlib.decompress(data), dtype="<f8")
                for name, identifier, count, data in rows
            }

    def key(self, identifier: str) -> MeasurementKey:
        """Give the key of a measurement behind a record; ClaimsError where an older version left none."""
        return key_in(self._database, identifier)

    def names(self, images: str) -> tuple[str, ...]:
        """Give the names of the pictures of a set, or none where they were never kept."""
        row = self._database.execute("SELECT data FROM names WHERE images = ?", (images,)).fetchone()
        with readable(self.path):
            return () if row is None else tuple(map(str, parsed(zlib.decompress(row[0]))))

    def _copied(
        self, cursor: sqlite3.Cursor, identifier: str, images: int, numbers: np.ndarray | None
    ) -> tuple[int, str | None]:
        """Give the count of an arm's numbers and where their copy is, None where the file holds them measured."""
        if numbers is None:
            return len(numbers_in(self._database, identifier, images)), None
        data = np.ascontiguousarray(numbers, dtype="<f8").tobytes()
        try:
            if numbers_in(self._database, identifier, len(numbers)).tobytes() == data:
                return len(numbers), None
        except ClaimsError:  # measured elsewhere alone
            pass
        cursor.execute(
            "INSERT OR IGNORE INTO outcome VALUES (?, ?, ?)", (_hash(data), len(numbers), zlib.compress(data))
        )
        return len(numbers), _hash(data)


def open_history(folder: Path) -> History:
    """Open a history that holds runs; ClaimsError with the cure where there is none, instead of making an empty one."""
    history = History(folder) if (folder / FILE_NAME).exists() else None
    if history is None or not history.runs():
        if history is not None:
            history.close()
        raise ClaimsError(
            f"no runs are recorded in {str(folder)!r}; run `pytest claims/` first (without --claims-no-history), or "
            "name the folder of other runs: --cache DIR"
        )
    return history


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


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
