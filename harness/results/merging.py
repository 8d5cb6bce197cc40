"""Several folders of measurements and results as one: what other machines or other runs have found.

Everything in a folder is named by what it depends on, so merging adds what is not there: in any order, repeated, and
with overlaps the same comes out, for the last result of a claim is the one with the latest time. Nothing that is there
is changed, and each folder is taken over whole or not at all.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.errors import ClaimsError
from harness.files import write_whole
from harness.results.database import FILE_NAME, Transaction, open_database
from harness.results.store_errors import Connection, told

FITS = "fits"  # folder of fitted probes and optimized pictures, each a file named by what it depends on
SAME = ("measurement", "chunk", "context", "outcome")  # rows that are equal where their names are
ROWS_OF_RECORDS = "run, time, claim, model, text, context"


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What was new in a folder."""

    chunks: int = 0
    runs: int = 0
    records: int = 0
    files: int = 0


def merge_folder(into: Path, other: Path) -> Merged:
    """Add what another folder holds; ClaimsError where there is none, or one that this version cannot read."""
    if not (other / FILE_NAME).exists():
        raise ClaimsError(f"no measurements in {str(other)!r}; allowed: folders that a run wrote (--claims-cache)")
    if into.resolve() == other.resolve():
        raise ClaimsError(f"{str(other)!r} is the folder that is merged into; allowed: other folders")
    with TemporaryDirectory() as scratch:
        _copy_database(other, Path(scratch))
        open_database(Path(scratch)).close()  # in the newest layout, or refused
        return _merge(into, Path(scratch), _copy_files(into / FITS, other / FITS))


def _merge(into: Path, copied: Path, files: int) -> Merged:
    with closing(open_database(into)) as database:
        database.execute("ATTACH ? AS other", (str(copied / FILE_NAME),))
        with closing(database.cursor()) as cursor, Transaction(cursor):
            before = _count(database)
            for table in SAME:
                cursor.execute(f"INSERT OR IGNORE INTO main.{table} SELECT * FROM other.{table}")
            cursor.execute(
                "INSERT INTO main.names SELECT * FROM other.names WHERE true ON CONFLICT (images) DO UPDATE SET "
                "count = excluded.count, data = excluded.data WHERE excluded.count > names.count"
            )
            _take_runs(cursor)
            after = _count(database)
        database.execute("DETACH other")
    chunks, runs, records = (new - old for old, new in zip(before, after, strict=True))
    return Merged(chunks=chunks, runs=runs, records=records, files=files)


def _copy_database(folder: Path, into: Path) -> None:
    """Copy the file of a folder as it is now, also while somebody writes; the folder itself is not touched."""
    path = folder / FILE_NAME
    try:
        with (
            closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(into / FILE_NAME)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        raise told(path, error) from error


def _take_runs(cursor) -> None:
    """Add runs and records that are not there, with their arms and timings, which are numbered anew here."""
    columns = "id, time, command, versions, machine"
    cursor.execute(f"INSERT OR IGNORE INTO main.run ({columns}) SELECT {columns} FROM other.run ORDER BY time, number")
    cursor.execute(
        "CREATE TEMP TABLE taken AS SELECT theirs.number AS their, theirs.run, theirs.model, theirs.claim "
        "FROM other.record AS theirs LEFT JOIN main.record AS ours "
        "ON (ours.run, ours.model, ours.claim) = (theirs.run, theirs.model, theirs.claim) WHERE ours.number IS NULL"
    )
    cursor.execute(
        f"INSERT INTO main.record ({ROWS_OF_RECORDS}) SELECT {ROWS_OF_RECORDS} FROM other.record "
        "WHERE number IN (SELECT their FROM taken) ORDER BY time, number"
    )
    cursor.execute(
        "INSERT INTO main.arm SELECT ours.number, arm.name, arm.measurement, arm.count, arm.outcome FROM taken "
        "JOIN other.arm AS arm ON arm.record = taken.their "
        "JOIN main.record AS ours ON (ours.run, ours.model, ours.claim) = (taken.run, taken.model, taken.claim)"
    )
    timing = "run, machine, claim, model, text"
    cursor.execute(
        f"INSERT INTO main.timing ({timing}) SELECT {timing} FROM other.timing EXCEPT SELECT {timing} FROM main.timing"
    )
    cursor.execute("DROP TABLE taken")


def _count(database: Connection) -> Sequence[int]:
    tables = ("chunk", "run", "record")
    return [database.execute(f"SELECT count(*) FROM main.{table}").fetchone()[0] for table in tables]


def _copy_files(into: Path, other: Path) -> int:
    """Copy the files that are not there, each whole or not at all."""
    new = [file for file in sorted(other.glob("*")) if file.is_file() and not (into / file.name).exists()]
    for file in new:
        write_whole(into / file.name, file.read_bytes(), "a fit of another folder")
    return len(new)
