"""The summary table: one row per claim, one block per model, aligned and readable without colour."""

import textwrap
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from harness import multiplicity
from harness.report.record import number

DECIDED = ("supported", "refuted", "vacuous")
NUMBERS = ("effect [interval]", "bound", "published", "images", "seconds", "blocks", "img/s")
WIDE = 136  # columns from which claim ids stand on one line
NARROW_CLAIM = 20  # columns of a claim id below that, broken at hyphens
LETTERS = {
    "supported": ".",
    "refuted": "F",
    "vacuous": "V",
    "inconclusive": "?",
    "reported": "r",
    "not applicable": "s",
}


def summary(records: Sequence[Mapping[str, Any]], width: int) -> str:
    """Draw the table of every model that was judged, at most `width` columns wide."""
    models = list(dict.fromkeys(record["model"] for record in records))
    return "\n".join(_model([r for r in records if r["model"] == model], model, width) for model in models)


def totals(records: Sequence[Mapping[str, Any]]) -> str:
    """Count verdicts and cost in one line."""
    counts: dict[str, int] = {}
    for record in records:
        counts[record["verdict"]] = counts.get(record["verdict"], 0) + 1
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    blocks = sum(record["block_evaluations"] for record in records)
    return f"{verdicts}; {blocks:,.0f} block evaluations x images in {sum(r['seconds'] for r in records):.1f} s"


def jointly(records: Sequence[Mapping[str, Any]]) -> str:
    """Say how many verdicts hold all at once: family-wise by Holm, and with a false discovery rate by e-BH."""
    judged = [record for record in records if record["verdict"] in DECIDED]
    if len(judged) < 2:
        return ""
    delta = max(record["delta"] for record in judged)
    levels = np.array([record["p"] for record in judged])
    together = int((multiplicity.holm(levels) <= delta).sum())
    discoveries = int(multiplicity.e_bh(multiplicity.p_to_e(levels), delta).sum())
    return (
        f"each verdict errs with probability at most {delta:g}; of the {len(judged)} decided ones {together} hold all "
        f"at once at that level (Holm), {discoveries} with a false discovery rate of {delta:g} (e-BH); a smaller "
        "--delta decides later and lets more hold jointly"
    )


def _model(records: Sequence[Mapping[str, Any]], model: str, width: int) -> str:
    table = Table(title=_title(records, model), title_justify="left", box=None, pad_edge=False, expand=False)
    for column in ("claim", "verdict"):
        table.add_column(column, no_wrap=True)
    for column in NUMBERS if width >= WIDE else NUMBERS[:-2]:
        table.add_column(column, justify="right", no_wrap=True)
    asked = [record for record in records if record["verdict"] != "not applicable"]
    for record in asked:
        table.add_row(*_row(record, width)[: len(table.columns)])
    text = _render(table, width) if asked else _title(records, model) + "\n"
    return text + _not_applicable(records, width)


def _title(records: Sequence[Mapping[str, Any]], model: str) -> str:
    context = records[0]["context"]
    return f"{model}: {context.get('resolved', model)} on {context.get('images', '?')}"


def _row(record: Mapping[str, Any], width: int) -> tuple[str, ...]:
    effect = record["effect"]
    shown = number(effect["estimate"])
    if effect["interval"] is not None:
        shown += " [" + ", ".join(_short(end) for end in effect["interval"]) + "]"
    seconds = record["seconds"]
    rate = f"{record['measured_images'] / seconds:.0f}" if record["measured_images"] and seconds else "stored"
    return (
        record["claim"] if width >= WIDE else "\n".join(textwrap.wrap(record["claim"], NARROW_CLAIM)),
        f"{LETTERS[record['verdict']]} {record['verdict']}",
        shown,
        f"{effect['direction']} {_short(effect['bound'])}",
        _short(record["published"]),
        str(record["images"]),
        f"{seconds:.1f}",
        f"{record['block_evaluations']:,.0f}",
        rate,
    )


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) < 0.0005:
        return "0"
    return number(value).rstrip("0").rstrip(".") if "e" not in number(value) and "." in number(value) else number(value)


def _not_applicable(records: Sequence[Mapping[str, Any]], width: int) -> str:
    by_reason: dict[str, list[str]] = {}
    for record in records:
        if record["verdict"] == "not applicable":
            by_reason.setdefault(record["reason"], []).append(record["claim"])
    if not by_reason:
        return ""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(overflow="fold")
    for reason, claims in by_reason.items():
        table.add_row(f"not applicable ({len(claims)}), {reason}: {', '.join(claims)}")
    return _render(table, width)


def _render(table: Table, width: int) -> str:
    target = StringIO()
    Console(file=target, width=width, force_terminal=False, color_system=None, highlight=False, markup=False).print(
        table
    )
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines()) + "\n"
