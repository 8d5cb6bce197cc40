"""What a folder of measurements can do without: old runs, and numbers that no other result refers to.

The last result of every claim on every model stays, whatever its age, and with it the numbers behind it. Accepted
verdicts have their numbers in a file of their own (`accepted_outcomes`) and need nothing here.
"""

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.results.database import FILE_NAME, Transaction, open_database
from harness.results.history import LAST_FIRST
from harness.results.store_errors import Connection

OLD = f"""CREATE TEMP TABLE old AS SELECT id FROM run WHERE time < ? AND id NOT IN (
    SELECT run FROM (SELECT run, row_number() OVER (PARTITION BY claim, model ORDER BY {LAST_FIRST}) AS place
    FROM record) WHERE place = 1)"""
ARMS_OF_OLD = "SELECT {} FROM arm WHERE record IN (SELECT number FROM record WHERE run IN (SELECT id FROM old))"
# In this order: what refers to something goes before what it refers to. Measurements that no result ever referred to
# stay: they are those of a run that goes on, or that was interrupted and will.
DROPPED = (
    f"CREATE TEMP TABLE freed AS {ARMS_OF_OLD.format('measurement')}",
    "DELETE FROM arm WHERE record IN (SELECT number FROM record WHERE run IN (SELECT id FROM old))",
    "DELETE FROM record WHERE run IN (SELECT id FROM old)",
    "DELETE FROM timing WHERE run IN (SELECT id FROM old)",
    "DELETE FROM run WHERE id IN (SELECT id FROM old)",
    "DELETE FROM freed WHERE measurement IN (SELECT measurement FROM arm)",
    "DELETE FROM chunk WHERE id IN (SELECT measurement FROM freed)",
    "DELETE FROM measurement WHERE id IN (SELECT measurement FROM freed)",
    "DELETE FROM outcome WHERE hash NOT IN (SELECT outcome FROM arm WHERE outcome IS NOT NULL)",
    "DELETE FROM context WHERE hash NOT IN (SELECT context FROM record)",
    "DROP TABLE old",
    "DROP TABLE freed",
)


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What went, or would go: runs, results and chunks of measurements; `bytes` is by how much the file is smaller."""

    runs: int
    records: int
    chunks: int
    bytes: int | None


def prune(folder: Path, days: float, write: bool, now: datetime | None = None) -> Pruned:
    """Drop runs older than so many days with what they alone measured; without `write` only count it."""
    before = ((now or datetime.now(UTC)) - timedelta(days=days)).isoformat(timespec="milliseconds")
    path = folder / FILE_NAME
    with closing(open_database(folder)) as database:
        size = path.stat().st_size
        try:
            with closing(database.cursor()) as cursor, Transaction(cursor):
                counts = _counts(database)
                cursor.execute(OLD, (before,))
                for statement in DROPPED:
                    cursor.execute(statement)
                left = _counts(database)
                if not write:
                    raise _OnlyCounted
        except _OnlyCounted:
            freed = None
        else:
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            freed = max(0, size - path.stat().st_size)
    runs, records, chunks = (was - now for was, now in zip(counts, left, strict=True))
    return Pruned(runs=runs, records=records, chunks=chunks, bytes=freed)


class _OnlyCounted(Exception):
    """Takes everything back."""


def _counts(database: Connection) -> list[int]:
    return [database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("run", "record", "chunk")]
