"""A report into a file, in the format that the suffix of its path names."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from harness.errors import ClaimsError
from harness.files import write_together, write_whole
from harness.judging.ledger import ClaimSpec
from harness.report import export
from harness.report.columns import columns_of
from harness.report.surprises import Known
from harness.results.record import RunRecord

TITLE = "Which findings carry over to which models"


def write_report(
    path: Path,
    records: Sequence[RunRecord],
    specs: Mapping[str, ClaimSpec],
    *,
    now: datetime,
    title: str = TITLE,
    notes: Sequence[str] = (),
    before: Known | None = None,
) -> list[Path]:
    """Write a report (.html, .md) or the tables behind it (.csv, .parquet); returns the files that were written.

    `before` are the verdicts of earlier runs by claim and model: what changed is surprising.
    The suffix was checked when options were read. Raises ClaimsError where nothing can be written there.
    """
    if not records:
        raise ClaimsError(f"there are no records to report in {str(path)!r}")
    suffix = path.suffix.lower()
    if suffix in (".csv", ".parquet"):
        files = _tables(path, records)
        write_together(files, "the report")
        return list(files)
    if suffix == ".html":
        from harness.report.html import html_report  # templates are loaded for this format alone

        text = html_report(records, specs, title=title, now=now, notes=notes, before=before)
    else:
        from harness.report.markdown import markdown_report

        text = markdown_report(records, specs, title=title, now=now, notes=notes, before=before)
    write_whole(path, text.encode("utf-8"), "the report")
    return [path]


def _tables(path: Path, records: Sequence[RunRecord]) -> dict[Path, bytes]:
    """Make the table of results, and beside it the one of curves."""
    kept = [record for column in columns_of(records) for record in column.records.values()]
    parts = (
        (path, export.result_rows(kept), export.RESULT_KINDS),
        (path.with_suffix(f".{export.CURVES}{path.suffix}"), export.curve_rows(kept), export.CURVE_KINDS),
    )
    parquet = path.suffix.lower() == ".parquet"
    return {
        place: export.parquet_bytes(rows, kinds) if parquet else export.csv_text(rows, kinds).encode("utf-8")
        for place, rows, kinds in parts
    }
