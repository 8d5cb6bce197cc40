"""Curves as text: ours and the published ones, layer by layer, in one small table, and as a small chart."""

import math
from collections.abc import Iterable, Mapping, Sequence

from harness.judging.ledger import ClaimSpec
from harness.report.escaping import plain
from harness.results.record import RunRecord

PER_LINE = 13  # layers side by side before the table wraps
BARS = "▁▂▃▄▅▆▇█"
WORDS = {">=": "≥", "<=": "≤"}


def curve_text(record: RunRecord, spec: ClaimSpec) -> str:
    """Draw every curve of a record with the published curves of the same name below it ("" without curves)."""
    return "\n".join(_table(name, record, spec) for name in record.curves)


def curve_charts(record: RunRecord) -> list[str]:
    """Draw every curve of a record over several layers as one line of bars with its first and last value."""
    drawn = []
    for name, rows in record.curves.items():
        known = [(layer, value) for layer, value, *_ in sorted(rows) if value is not None]
        if len(known) > 1:
            bars = sparkline([value for _, value in known])
            behind = f" ({told})" if (told := units_behind(record, [name])) else ""
            drawn.append(f"{bars} {plain(name)} {known[0][1]:.3f} to {known[-1][1]:.3f}{behind}")
    return drawn


def units_behind(record: RunRecord, names: Iterable[str]) -> str:
    """Count the images, pairs or members behind the points of curves; nothing where the record does not tell."""
    units = [count for name in names for count in record.curve_units.get(name, ())]
    if not units:
        return ""
    few, many = min(units), max(units)
    return f"{few if few == many else f'{few} to {many}'} {record.units}"


def sparkline(values: Sequence[float]) -> str:
    """Draw numbers as bars: shares on the scale from 0 to 1, anything else from its least to its largest."""
    if any(not math.isfinite(value) for value in values):
        raise ValueError(f"a chart needs finite numbers, not {list(values)!r}")
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low >= 0.0 and high <= 1.0:
        low, high = 0.0, 1.0
    span = (high - low) or 1.0
    return "".join(BARS[min(int((value - low) / span * len(BARS)), len(BARS) - 1)] for value in values)


def bound_words(direction: str) -> str:
    """Write the direction of a bound as its sign."""
    return WORDS.get(direction, direction)


def _table(name: str, record: RunRecord, spec: ClaimSpec) -> str:
    rows, units = record.curves[name], record.curve_units.get(name, ())
    ours = {layer: estimate for layer, estimate, _, _ in rows}
    series = {f"{plain(name)}, measured": ours}
    for curve in spec.published.curves.get(name, ()):
        series[f"published, {plain(curve.model)}"] = dict(zip(curve.layers, curve.values, strict=True))
    layers = sorted(set().union(*series.values()))
    counts = f"{record.units} behind it"
    behind = dict(zip(ours, units, strict=True)) if len(set(units)) > 1 else {}  # settled points rest on fewer
    wide = max(len(label) for label in (*series, *([counts] if behind else [])))
    lines = []
    for start in range(0, len(layers), PER_LINE):
        part = layers[start : start + PER_LINE]
        lines.append(f"{'layer':<{wide}} " + " ".join(f"{layer:>5}" for layer in part))
        lines += [
            f"{label:<{wide}} " + " ".join(_cell(values, layer) for layer in part) for label, values in series.items()
        ]
        if behind:
            lines.append(f"{counts:<{wide}} " + " ".join(f"{behind.get(layer, '-'):>5}" for layer in part))
    return "\n".join(lines)


def _cell(values: Mapping[int, float | None], layer: int) -> str:
    value = values.get(layer)
    return "    -" if value is None else f"{value:5.3f}"[:5]
