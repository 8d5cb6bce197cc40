"""Measurements on disk: append-only arrays.

A row is one chunk of one measurement, written in one transaction with every other measurement of that chunk: a kill
at any moment leaves whole chunks or nothing, and a row that exists is never written again, so two processes that
measure the same thing at once agree on the first one's row.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from harness.errors import ClaimsError
from harness.results.database import Transaction, open_database
from harness.results.store_errors import Connection, parsed, readable


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

    @cached_property
    def id(self) -> str:
        """Hash the key."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def text(self) -> str:
        """Write the key as JSON."""
        return json.dumps({part.name: getattr(self, part.name) for part in fields(self)}, sort_keys=True)


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
    """The measurements of a folder; `folder` None keeps everything in memory for this process."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._database = open_database(folder)

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
                with readable(self._database.place):
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
        with closing(self._database.cursor()) as cursor, Transaction(cursor):
            for key, row in rows.items():
                cursor.execute("INSERT OR IGNORE INTO measurement VALUES (?, ?)", (key.id, key.text))
                receipts = json.dumps([asdict(receipt) for receipt in row.receipts])
                data = np.ascontiguousarray(row.numbers, dtype="<f8").tobytes()
                values = (key.id, chunk.start, chunk.stop, data, receipts)
                cursor.execute("INSERT OR IGNORE INTO chunk VALUES (?, ?, ?, ?, ?)", values)

    def numbers(self, identifier: str, images: int) -> np.ndarray:
        """Load the first numbers of one measurement in measuring order: see `numbers_in`."""
        return numbers_in(self._database, identifier, images)

    def key(self, identifier: str) -> MeasurementKey:
        """Give the key of a stored measurement; ClaimsError where there is none."""
        return key_in(self._database, identifier)


def numbers_in(database: Connection, identifier: str, images: int) -> np.ndarray:
    """Load the first numbers of one measurement in measuring order, without a gap.

    Raises ClaimsError where fewer are stored.
    """
    query = "SELECT start, stop, numbers FROM chunk WHERE id = ? ORDER BY start"
    parts, reached = [], 0
    for start, stop, data in database.execute(query, (identifier,)):
        if start != reached or reached >= images:
            break
        with readable(database.place):
            parts.append(np.frombuffer(data, dtype="<f8"))
            if len(parts[-1]) != stop - start:
                raise ValueError(f"{len(parts[-1])} numbers of {stop - start} images in measurement {identifier[:12]}")
        reached = stop
    if reached < images:
        raise ClaimsError(f"measurement {identifier[:12]} holds {reached} images, {images} are needed; run it again")
    return np.concatenate(parts)[:images]


def key_in(database: Connection, identifier: str) -> MeasurementKey:
    """Give the key of a measurement; ClaimsError where there is none."""
    row = database.execute("SELECT key FROM measurement WHERE id = ?", (identifier,)).fetchone()
    if row is None:
        raise ClaimsError(f"what measurement {identifier[:12]} was is not recorded; run the claim again")
    with readable(database.place):
        return MeasurementKey(**parsed(row[0]))


def _row(identifier: str, chunk: range, stop: int, data: bytes, receipts: str) -> MeasuredBatch:
    if stop != chunk.stop or len(data) != 8 * len(chunk):
        raise ClaimsError(
            f"stored measurement {identifier[:12]} has images {chunk.start}..{stop - 1} in {len(data)} bytes where "
            f"{chunk.start}..{chunk.stop - 1} belong: the file is damaged; bring back a copy, or move it away"
        )
    return MeasuredBatch(
        numbers=np.frombuffer(data, dtype="<f8"), receipts=tuple(Receipt(**receipt) for receipt in json.loads(receipts))
    )
