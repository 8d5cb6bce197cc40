"""What a folder of measurements can do without: old runs, and numbers that no result refers to any more.

The last result of every claim on every model stays, whatever its age, and with it the numbers behind it. Accepted
verdicts have their numbers in a file of their own (`accepted_outcomes`) and need nothing here.
"""

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.results.database import FILE_NAME, Transaction, open_database
from harness.results.store_errors import Connection

OLD = """CREATE TEMP TABLE old AS SELECT id FROM run WHERE time < ? AND id NOT IN (
    SELECT run FROM (SELECT run, row_number() OVER (PARTITION BY claim, model ORDER BY time DESC, number DESC) AS place
    FROM record) WHERE place = 1)"""
# In this order: what refers to something goes before what it refers to.
DROPPED = (
    "DELETE FROM arm WHERE record IN (SELECT number FROM record WHERE run IN (SELECT id FROM old))",
    "DELETE FROM record WHERE run IN (SELECT id FROM old)",
    "DELETE FROM timing WHERE run IN (SELECT id FROM old)",
    "DELETE FROM run WHERE id IN (SELECT id FROM old)",
    "DELETE FROM chunk WHERE id NOT IN (SELECT measurement FROM arm)",
    "DELETE FROM measurement WHERE id NOT IN (SELECT measurement FROM arm)",
    "DELETE FROM outcome WHERE hash NOT IN (SELECT outcome FROM arm WHERE outcome IS NOT NULL)",
    "DELETE FROM context WHERE hash NOT IN (SELECT context FROM record)",
)


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What went, or would go: runs, results and chunks of measurements; `bytes` is by how much the file is smaller."""

    runs: int
    records: int
    chunks: int
    bytes: int | None


def prune(folder: Path, days: float, write: bool, now: datetime | None = None) -> Pruned:
    """Drop runs older than so many days, and measurements that no result refers to; without `write` only count them.

    Measurements of a run that was interrupted before its first result are referred to by nothing.
    """
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
                cursor.execute("DROP TABLE old")
                left = _counts(database)
                if not write:
                    raise _OnlyCounted
        except _OnlyCounted:
            freed = None
        else:
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            freed = size - path.stat().st_size
    runs, records, chunks = (was - now for was, now in zip(counts, left, strict=True))
    return Pruned(runs=runs, records=records, chunks=chunks, bytes=freed)


class _OnlyCounted(Exception):
    """Takes everything back."""


def _counts(database: Connection) -> list[int]:
    return [database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("run", "record", "chunk")]
