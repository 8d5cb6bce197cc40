"""The summary on a terminal: a table per model within 100 columns, and all models at a glance; no colour is needed."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.cells import cell_len, set_cell_size

from harness.judging import multiplicity
from harness.measurement.record import images_used
from harness.report.curve_text import curve_charts
from harness.report.escaping import plain, prose, short
from harness.report.verdict_text import number

DECIDED = ("supported", "refuted", "vacuous")
LEAST_WIDTH = 100
COLUMNS = ("claim", "verdict", "effect [interval]", "bound", "paper", "images", "sec")
COST = ("blocks", "img/s")  # where there is room
RIGHT = frozenset(COLUMNS[2:] + COST)
WIDE = 136  # columns from which the cost is shown in full
LEAST_CLAIM = 20  # columns of a claim id, which is broken at hyphens where it is longer
GAP = "  "
LETTERS = {
    "supported": ".",
    "refuted": "F",
    "vacuous": "V",
    "inconclusive": "?",
    "reported": "r",
    "not applicable": "s",
}
EXPLAINED = ("refuted", "vacuous", "inconclusive")  # verdicts whose reason stands below them


def summary(records: Sequence[Mapping[str, Any]], width: int, verbosity: int = 0) -> str:
    """Tell a run: with -q one line per model, else a table per model and all models at a glance; -v draws curves."""
    width = max(LEAST_WIDTH, width)
    models = {record["model"]: [r for r in records if r["model"] == record["model"]] for record in records}
    if verbosity < 0:
        wide = max(cell_len(short(model, 40)) for model in models)
        return "\n".join(f"{set_cell_size(short(model, 40), wide)}{GAP}{counts(own)}" for model, own in models.items())
    parts = [_model(own, width, curves=verbosity > 0) for own in models.values()]
    return "\n\n".join(parts + ([_glance(models, width)] if len(models) > 1 else []))


def counts(records: Sequence[Mapping[str, Any]]) -> str:
    """Count verdicts in words, in the order of the legend."""
    found = [record["verdict"] for record in records]
    return ", ".join(f"{found.count(verdict)} {verdict}" for verdict in LETTERS if verdict in found)


def totals(records: Sequence[Mapping[str, Any]]) -> str:
    """Count verdicts and cost in one line."""
    blocks = sum(record["block_evaluations"] for record in records)
    seconds = sum(record["seconds"] for record in records)
    return f"{counts(records)}; {blocks:,.0f} block evaluations x images in {seconds:.1f} s"


def jointly(records: Sequence[Mapping[str, Any]]) -> str:
    """Say how many verdicts hold all at once, among all claims asked: by Holm, and with a false discovery rate."""
    asked = [record for record in records if record["verdict"] in (*DECIDED, "inconclusive")]
    decided = np.array([record["verdict"] in DECIDED for record in asked], dtype=bool)
    if decided.sum() < 2:
        return ""
    delta = max(record["delta"] for record in asked)
    levels = [min(1.0, record["p"]) for record in asked]
    together, discoveries = (int(held.sum()) for held in multiplicity.hold_jointly(levels, decided, delta))
    return (
        f"each verdict errs with probability at most {delta:g}; of the {decided.sum()} decided ones among "
        f"{len(asked)} claims asked {together} hold all at once at that level (Holm), {discoveries} with a false "
        f"discovery rate of {delta:g} (e-BH); a smaller --delta decides later and lets more hold jointly"
    )


def _model(records: Sequence[Mapping[str, Any]], width: int, curves: bool) -> str:
    context = records[0]["context"]
    model = plain(records[0]["model"])
    resolved, images = plain(str(context.get("resolved", model))), plain(str(context.get("images", "?")))
    lines = textwrap.wrap(f"{model}: {resolved} on {images}", width, subsequent_indent=GAP)
    asked = [record for record in records if record["verdict"] != "not applicable"]
    if asked:
        lines += _table(asked, width, curves)
    return "\n".join(lines + _not_applicable(records, width))


def _table(records: Sequence[Mapping[str, Any]], width: int, curves: bool) -> list[str]:
    """Align rows; what of a claim id does not fit goes on below, beside the reason of the verdict."""
    heads = COLUMNS + (COST if width >= WIDE else ())
    rows = [_row(record)[: len(heads)] for record in records]
    wide = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    wide[0] = max(LEAST_CLAIM, min(wide[0], width - sum(wide[1:]) - len(GAP) * (len(wide) - 1)))
    lines = [_line(heads, heads, wide)]
    for record, row in zip(records, rows, strict=True):
        first, *more = textwrap.wrap(row[0], wide[0]) or [""]
        lines.append(_line((first, *row[1:]), heads, wide))
        room = width - wide[0] - len(GAP)
        below = [textwrap.shorten(prose(record["reason"]), room)] if record["verdict"] in EXPLAINED else []
        below += [short(chart, room) for chart in curve_charts(record)] if curves else []
        for place in range(max(len(more), len(below))):
            left = more[place] if place < len(more) else ""
            right = below[place] if place < len(below) else ""
            lines.append(f"{set_cell_size(left, wide[0])}{GAP}{right}".rstrip())
    return lines


def _line(cells: Sequence[str], heads: Sequence[str], wide: Sequence[int]) -> str:
    shown = []
    for cell, head, size in zip(cells, heads, wide, strict=True):
        fill = " " * (size - cell_len(cell))
        shown.append(fill + cell if head in RIGHT else cell + fill)
    return GAP.join(shown).rstrip()


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    effect = record["effect"]
    shown = number(effect["estimate"])
    if effect["interval"] is not None:
        shown += " [" + ", ".join(_short(end) for end in effect["interval"]) + "]"
    seconds = record["seconds"]
    rate = f"{record['measured_images'] / seconds:.0f}" if record["measured_images"] and seconds else "stored"
    return (
        plain(record["claim"]),
        f"{LETTERS[record['verdict']]} {record['verdict']}",
        shown,
        f"{effect['direction']} {_short(effect['bound'])}",
        _short(record["published"]),
        images_used(record),
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


def _not_applicable(records: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for record in records:
        if record["verdict"] == "not applicable":
            by_reason.setdefault(prose(record["reason"]), []).append(plain(record["claim"]))
    return [
        line
        for reason, claims in by_reason.items()
        for line in textwrap.wrap(
            f"not applicable ({len(claims)}), {reason}: {', '.join(claims)}",
            *(width,),
            subsequent_indent=GAP,
            break_on_hyphens=False,
        )
    ]


def _glance(models: Mapping[str, Sequence[Mapping[str, Any]]], width: int) -> str:
    """Show one letter per claim and model, the models numbered: dozens fit."""
    letters = {
        (record["claim"], number_of): LETTERS[record["verdict"]]
        for number_of, records in enumerate(models.values(), start=1)
        for record in records
    }
    claims = list(dict.fromkeys(claim for claim, _ in letters))
    cell = len(str(len(models))) + len(GAP)
    room = max(LEAST_CLAIM, width - cell * len(models))
    wide = min(room, max(cell_len(plain(claim)) for claim in claims))
    lines = ["all models at a glance"]
    lines.append(" " * wide + "".join(f"{at:>{cell}}" for at in range(1, len(models) + 1)))
    for claim in claims:
        row = "".join(f"{letters.get((claim, at), ' '):>{cell}}" for at in range(1, len(models) + 1))
        lines.append((set_cell_size(short(claim, wide), wide) + row).rstrip())
    names = ", ".join(f"{at} {short(model)}" for at, model in enumerate(models, start=1))
    lines += textwrap.wrap(names, width, break_on_hyphens=False)
    lines.append(", ".join(f"{letter} {verdict}" for verdict, letter in LETTERS.items()))
    return "\n".join(lines)
