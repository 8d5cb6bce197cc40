"""Curves as text: ours and the published ones, layer by layer, in one small table."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.spec import ClaimSpec

PER_LINE = 13  # layers side by side before the table wraps


def curve_text(record: Mapping[str, Any], spec: ClaimSpec) -> str:
    """Draw every curve of a record with the published curves of the same name below it ("" without curves)."""
    return "\n".join(_table(name, rows, spec) for name, rows in record.get("curves", {}).items())


def _table(name: str, rows: Sequence[Sequence[Any]], spec: ClaimSpec) -> str:
    ours = {layer: estimate for layer, estimate, _, _ in rows}
    series = {f"{name}, measured": ours}
    for curve in spec.published.curves.get(name, ()):
        series[f"published, {curve.model}"] = dict(zip(curve.layers, curve.values, strict=True))
    layers = sorted(set().union(*series.values()))
    wide = max(len(label) for label in series)
    lines = []
    for start in range(0, len(layers), PER_LINE):
        part = layers[start : start + PER_LINE]
        lines.append(f"{'layer':<{wide}} " + " ".join(f"{layer:>5}" for layer in part))
        lines += [
            f"{label:<{wide}} " + " ".join(_cell(values, layer) for layer in part) for label, values in series.items()
        ]
    return "\n".join(lines)


def _cell(values: Mapping[int, float | None], layer: int) -> str:
    value = values.get(layer)
    return "    -" if value is None else f"{value:5.3f}"[:5]
