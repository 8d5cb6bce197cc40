"""Measurements on disk: append-only arrays in one SQLite file, and the record of every judgement.

A row is one chunk of one measurement, written in one transaction with every other measurement of that chunk: a kill
at any moment leaves whole chunks or nothing, and a row that exists is never written again, so two processes that
measure the same thing at once agree on the first one's row.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from harness.errors import ClaimsError

FILE_NAME = "measurements.sqlite"
BUSY_SECONDS = 60.0
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS measurement (id TEXT PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunk (
    id TEXT NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    numbers BLOB NOT NULL, receipts TEXT NOT NULL, PRIMARY KEY (id, start)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS result (
    number INTEGER PRIMARY KEY, time TEXT NOT NULL, claim TEXT NOT NULL, model TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS result_by_claim ON result (claim, model, number);
"""


@dataclass(frozen=True, kw_only=True)
class MeasurementKey:
    """Everything that a measured number depends on; equal keys mean equal numbers."""

    weights: str
    subject_code: str
    preprocessing: str
    images: str
    batch_size: int
    seed: int
    dtype: str
    device: str
    intervention: str
    intervention_code: str
    readout: str
    readout_code: str
    fits: str = ""
    libraries: str = ""

    @property
    def id(self) -> str:
        """Hash the key."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Receipt:
    """How often an edit or mask fired at one place, and on how many of the images it looked at it changed anything."""

    place: str
    calls: int
    changed: int


@dataclass(frozen=True, kw_only=True)
class MeasuredBatch:
    """One chunk of one measurement: numbers [image] and the receipts of its intervention."""

    numbers: np.ndarray
    receipts: tuple[Receipt, ...] = ()


def refuse_outside(numbers: np.ndarray, bounds: tuple[float, float], what: str, member: str, names: Sequence) -> None:
    """Refuse numbers [member] that are not finite or not within `bounds`.

    Raises ClaimsError with `what` read the first of them, of which `member` by its name, and what is allowed.
    """
    wrong = ~np.isfinite(numbers) | (numbers < bounds[0] - 1e-6) | (numbers > bounds[1] + 1e-6)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise ClaimsError(
            f"{what} read {float(numbers[place])!r} of {member} {names[place]}; "
            f"allowed: finite numbers from {bounds[0]} to {bounds[1]}"
        )


class Store:
    """A folder with one measurements file; `folder` None keeps everything in memory for this process."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.path = ":memory:" if folder is None else str(folder / FILE_NAME)
        self._database = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        if folder is not None:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
        self._check_version()
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file; what was appended stays."""
        self._database.close()

    def load(self, identifiers: Iterable[str], chunk: range) -> dict[str, MeasuredBatch]:
        """Load what is stored of these measurements for one chunk."""
        found = {}
        for identifier in identifiers:
            query = "SELECT stop, numbers, receipts FROM chunk WHERE id = ? AND start = ?"
            row = self._database.execute(query, (identifier, chunk.start)).fetchone()
            if row is not None:
                found[identifier] = _row(identifier, chunk, *row)
        return found

    def append(self, chunk: range, rows: Mapping[MeasurementKey, MeasuredBatch]) -> None:
        """Write one chunk of several measurements in one transaction; rows that exist stay as they are."""
        for key, row in rows.items():
            if len(row.numbers) != len(chunk) or not np.isfinite(row.numbers).all():
                raise ClaimsError(
                    f"refused to store {len(row.numbers)} numbers for images {chunk.start}..{chunk.stop - 1} "
                    f"of {key.readout} under {key.intervention}: one finite number per image is needed"
                )
        with closing(self._database.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                for key, row in rows.items():
                    text = json.dumps(asdict(key), sort_keys=True)
                    cursor.execute("INSERT OR IGNORE INTO measurement VALUES (?, ?)", (key.id, text))
                    receipts = json.dumps([asdict(receipt) for receipt in row.receipts])
                    data = np.ascontiguousarray(row.numbers, dtype="<f8").tobytes()
                    values = (key.id, chunk.start, chunk.stop, data, receipts)
                    cursor.execute("INSERT OR IGNORE INTO chunk VALUES (?, ?, ?, ?, ?)", values)
                cursor.execute("COMMIT")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise

    def numbers(self, identifier: str, images: int) -> np.ndarray:
        """Load the first numbers of one measurement in measuring order, without a gap.

        Raises ClaimsError where fewer are stored.
        """
        query = "SELECT start, stop, numbers FROM chunk WHERE id = ? ORDER BY start"
        parts, reached = [], 0
        for start, stop, data in self._database.execute(query, (identifier,)):
            if start != reached or reached >= images:
                break
            parts.append(np.frombuffer(data, dtype="<f8"))
            reached = stop
        if reached < images:
            raise ClaimsError(
                f"measurement {identifier[:12]} holds {reached} images, {images} are needed; run it again"
            )
        return np.concatenate(parts)[:images]

    def key(self, identifier: str) -> MeasurementKey:
        """Give the key of a stored measurement; ClaimsError where there is none."""
        row = self._database.execute("SELECT key FROM measurement WHERE id = ?", (identifier,)).fetchone()
        if row is None:
            raise ClaimsError(f"measurement {identifier[:12]} is not in {self.path}; run the claim again")
        return MeasurementKey(**json.loads(row[0]))

    def record(self, claim: str, model: str, record: Mapping) -> None:
        """Append one judged result."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps(record, sort_keys=True)
        query = "INSERT INTO result (time, claim, model, record) VALUES (?, ?, ?, ?)"
        self._database.execute(query, (now, claim, model, text))

    def results(self, claim: str | None = None, model: str | None = None) -> list[dict]:
        """List recorded results, oldest first, each with its `time`."""
        query = "SELECT time, record FROM result WHERE (?1 IS NULL OR claim = ?1) AND (?2 IS NULL OR model = ?2)"
        rows = self._database.execute(query + " ORDER BY number", (claim, model))
        return [{"time": time, **json.loads(text)} for time, text in rows]

    def _check_version(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise ClaimsError(
                f"{self.path} was written with layout {version}; this version reads layout {SCHEMA_VERSION}. "
                "Move it away or use the version that wrote it."
            )
        self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _row(identifier: str, chunk: range, stop: int, data: bytes, receipts: str) -> MeasuredBatch:
    if stop != chunk.stop or len(data) != 8 * len(chunk):
        raise ClaimsError(
            f"stored measurement {identifier[:12]} has images {chunk.start}..{stop - 1} in {len(data)} bytes where "
            f"{chunk.start}..{chunk.stop - 1} belong: the file is damaged; move it away"
        )
    return MeasuredBatch(
        numbers=np.frombuffer(data, dtype="<f8"), receipts=tuple(Receipt(**receipt) for receipt in json.loads(receipts))
    )
