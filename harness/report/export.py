"""All results as plain tables for one's own plots: one row per claim and model, and one per point of a curve."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO, StringIO
from typing import Any

from harness.errors import ClaimsError
from harness.report.escaping import plain, spreadsheet
from harness.report.result_table import RESULT_COLUMNS
from harness.results.record import RunRecord

Row = Mapping[str, Any]
CURVES = "curves"  # NAME.curves.csv stands beside NAME.csv
# Columns by the kind of their values, so that an empty column keeps its kind.
RESULT_KINDS: Mapping[str, str] = {column.name: column.kind for column in RESULT_COLUMNS}
CURVE_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("claim", "model", "pictures", "image_fingerprint", "curve"), "text"),
    "layer": "whole",
    **dict.fromkeys(("estimate", "low", "high"), "number"),
    "units": "whole",
}
NEEDS_PYARROW = "Parquet needs pyarrow: pip install 'executable-claims[parquet]'; CSV (.csv) holds the same"


def result_rows(records: Iterable[RunRecord]) -> list[Row]:
    """Flatten records: one row per claim and model."""
    return [{column.name: column.value(record) for column in RESULT_COLUMNS} for record in records]


def curve_rows(records: Iterable[RunRecord]) -> list[Row]:
    """Flatten curves: one row per claim, model, curve and layer."""
    return [
        {
            "claim": record.claim,
            "model": record.model,
            "pictures": record.context.images,
            "image_fingerprint": record.context.image_fingerprint,
            "curve": name,
            **dict(zip(("layer", "estimate", "low", "high"), point, strict=True)),
            "units": units,
        }
        for record in records
        for name, points in record.curves.items()
        for point, units in zip(points, record.curve_units.get(name) or [None] * len(points), strict=True)
    ]


def csv_text(rows: Sequence[Row], kinds: Mapping[str, str]) -> str:
    """Write rows as CSV (RFC 4180); text that a spreadsheet would run as a formula is marked as text."""
    target = StringIO()
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow(kinds)
    for row in rows:
        writer.writerow([_cell(row.get(name), spreadsheet) for name in kinds])
    return target.getvalue()


def parquet_bytes(rows: Sequence[Row], kinds: Mapping[str, str]) -> bytes:
    """Write rows as Parquet; ClaimsError with the cure where pyarrow is missing."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ClaimsError(NEEDS_PYARROW) from error
    types = {"text": pyarrow.string(), "whole": pyarrow.int64(), "number": pyarrow.float64()}
    layout = pyarrow.schema([(name, types[kind]) for name, kind in kinds.items()])
    columns = {name: [_typed(row.get(name), kind) for row in rows] for name, kind in kinds.items()}
    target = BytesIO()
    parquet.write_table(pyarrow.table(columns, schema=layout), target)
    return target.getvalue()


def _cell(value: Any, written: Any) -> Any:
    return written(value) if isinstance(value, str) else "" if value is None else value


def _typed(value: Any, kind: str) -> Any:
    if value is None:
        return None
    return plain(str(value)) if kind == "text" else int(value) if kind == "whole" else float(value)
