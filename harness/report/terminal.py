"""The summary on a terminal: a table per model within 80 columns, and all models at a glance; no colour is needed."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size

from harness.judging import multiplicity
from harness.report.curve_text import curve_charts
from harness.report.escaping import plain, prose, short
from harness.report.result_table import LETTERS, RESULT_COLUMNS
from harness.results.record import RunRecord

DECIDED = ("supported", "refuted", "vacuous")
LEAST_WIDTH = 80
BESIDE = 100  # columns from which a claim id stands beside its numbers; below, above them
COLUMNS = tuple(column for column in RESULT_COLUMNS if column.terminal is not None)
LEFT = ("claim", "verdict")  # the others are numbers
WIDE = 136  # columns from which the cost is shown in full
LEAST_CLAIM = 20  # columns of a claim id, which is broken at hyphens where it is longer
GAP = "  "
EXPLAINED = ("refuted", "vacuous", "inconclusive", "reported")  # verdicts whose reason stands below them


def summary(records: Sequence[RunRecord], width: int, verbosity: int = 0) -> str:
    """Tell a run: with -q one line per model, else a table per model and all models at a glance; -v draws curves."""
    width = max(LEAST_WIDTH, width)
    models = {record.model: [one for one in records if one.model == record.model] for record in records}
    if verbosity < 0:
        wide = max(cell_len(short(model, 40)) for model in models)
        told = (f"{set_cell_size(short(model, 40), wide)}{GAP}{counts(own)}" for model, own in models.items())
        return "\n".join(part for line in told for part in textwrap.wrap(line, width, subsequent_indent=" " * 4))
    parts = [_model(own, width, curves=verbosity > 0) for own in models.values()]
    return "\n\n".join(parts + ([_glance(models, width)] if len(models) > 1 else []))


def counts(records: Sequence[RunRecord]) -> str:
    """Count verdicts in words, in the order of the legend."""
    found = [record.verdict for record in records]
    return ", ".join(f"{found.count(verdict)} {verdict}" for verdict in LETTERS if verdict in found)


def totals(records: Sequence[RunRecord]) -> str:
    """Count verdicts and cost in one line."""
    blocks = sum(record.block_evaluations for record in records)
    seconds = sum(record.seconds for record in records)
    return f"{counts(records)}; {blocks:,.0f} block evaluations x images in {seconds:.1f} s"


def jointly(records: Sequence[RunRecord]) -> str:
    """Say how many verdicts hold all at once, among all claims asked: by Holm, and with a false discovery rate."""
    asked = [record for record in records if record.verdict in (*DECIDED, "inconclusive")]
    decided = np.array([record.verdict in DECIDED for record in asked], dtype=bool)
    if decided.sum() < 2:
        return ""
    delta = max(record.delta or 0.0 for record in asked)
    levels = [1.0 if record.p is None else min(1.0, record.p) for record in asked]
    together, discoveries = (int(held.sum()) for held in multiplicity.hold_jointly(levels, decided, delta))
    return (
        f"each verdict errs with probability at most {delta:g}; of the {decided.sum()} decided ones among "
        f"{len(asked)} claims asked {together} hold all at once at that level (Holm), {discoveries} with a false "
        f"discovery rate of {delta:g} (e-BH); a smaller --delta decides later and lets more hold jointly"
    )


def _model(records: Sequence[RunRecord], width: int, curves: bool) -> str:
    context, model = records[0].context, plain(records[0].model)
    resolved, images = plain(context.resolved or model), plain(context.images or "?")
    lines = textwrap.wrap(f"{model}: {resolved} on {images}", width, subsequent_indent=GAP)
    asked = [record for record in records if record.asked]
    if asked:
        lines += _table(asked, width, curves)
    return "\n".join(lines + _not_applicable(records, width, named=curves))


def _table(records: Sequence[RunRecord], width: int, curves: bool) -> list[str]:
    """Align rows; what of a claim id does not fit goes on below, beside the reason of the verdict.

    On a narrow terminal the id has a line of its own, and numbers and reason stand below it.
    """
    shown = [column.terminal for column in COLUMNS if column.terminal and (width >= WIDE or not column.spare)]
    heads = tuple(one.heading for one in shown)
    rows = [tuple(one.text(record) for one in shown) for record in records]
    wide = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    if width < BESIDE:
        return _stacked(records, heads, rows, wide, width, curves)
    wide[0] = max(LEAST_CLAIM, min(wide[0], width - sum(wide[1:]) - len(GAP) * (len(wide) - 1)))
    lines = [_line(heads, heads, wide)]
    for record, row in zip(records, rows, strict=True):
        first, *more = textwrap.wrap(row[0], wide[0]) or [""]
        lines.append(_line((first, *row[1:]), heads, wide))
        room = width - wide[0] - len(GAP)
        below = _below(record, room, curves)
        for place in range(max(len(more), len(below))):
            left = more[place] if place < len(more) else ""
            right = below[place] if place < len(below) else ""
            lines.append(f"{set_cell_size(left, wide[0])}{GAP}{right}".rstrip())
    return lines


def _stacked(
    records: Sequence[RunRecord],
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    wide: Sequence[int],
    width: int,
    curves: bool,
) -> list[str]:
    lines = [heads[0], f"{GAP}{_line(heads[1:], heads[1:], wide[1:])}"]
    for record, row in zip(records, rows, strict=True):
        lines += textwrap.wrap(row[0], width)
        lines.append(f"{GAP}{_line(row[1:], heads[1:], wide[1:])}")
        lines += [f"{GAP}{GAP}{one}" for one in _below(record, width - 2 * len(GAP), curves)]
    return lines


def _below(record: RunRecord, room: int, curves: bool) -> list[str]:
    """Give what stands below the numbers of a record: the reason of its verdict, and its curves."""
    below = [textwrap.shorten(prose(record.reason), room)] if record.verdict in EXPLAINED else []
    return below + ([short(chart, room) for chart in curve_charts(record)] if curves else [])


def _line(cells: Sequence[str], heads: Sequence[str], wide: Sequence[int]) -> str:
    shown = []
    for cell, head, size in zip(cells, heads, wide, strict=True):
        fill = " " * (size - cell_len(cell))
        shown.append(cell + fill if head in LEFT else fill + cell)
    return GAP.join(shown).rstrip()


def _not_applicable(records: Sequence[RunRecord], width: int, named: bool) -> list[str]:
    """Count what could not be asked by its reasons, in one paragraph; `named` lists the claims of each."""
    by_reason: dict[str, list[str]] = {}
    for record in records:
        if not record.asked:
            by_reason.setdefault(prose(record.reason), []).append(plain(record.claim))
    if by_reason and not named:
        told = [
            f"{reason} ({len(claims)})" for reason, claims in sorted(by_reason.items(), key=lambda one: -len(one[1]))
        ]
        text = f"not applicable ({sum(map(len, by_reason.values()))}; -v names them): {'; '.join(told)}"
        return textwrap.wrap(text, width, subsequent_indent=GAP)
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


def _glance(models: Mapping[str, Sequence[RunRecord]], width: int) -> str:
    """Show one letter per claim and model, the models numbered: dozens fit."""
    letters = {
        (record.claim, number_of): LETTERS[record.verdict]
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
