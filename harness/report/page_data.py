"""The numbers behind a page as one JSON object: the page shows of them what is opened, and hands them on.

Every text is neutralised here and stands once, in `strings`; results refer to it by number.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from harness.judging.ledger import ClaimSpec
from harness.report.claim_view import MORE
from harness.report.columns import ModelColumn
from harness.report.escaping import plain
from harness.report.panels import CurvePanel, Line
from harness.report.quantity import quantity_words
from harness.report.reproduce import command
from harness.report.views import ClaimView, Result
from harness.results.record import PictureRecord, RunRecord

FIELDS = ("verdict", "effect", "interval", "words", "label", *(one.heading for one in MORE))
FIELDS += ("reason", "expected", "evidence", "points", "command", "place")
Shot = Callable[[PictureRecord], str]
DIGITS = 4  # significant, of numbers that are drawn


class Strings:
    """Texts by number, each once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(plain(text), len(self.numbers))


def page_data(
    columns: Sequence[ModelColumn], claims: Sequence[ClaimView], specs: Mapping[str, ClaimSpec], shot: Shot
) -> str:
    """Write the results of a page as JSON that may stand in a script element; `shot` gives the address of a picture."""
    strings = Strings()
    results = [
        [number, *_result(columns[one.column].records[claim.id], one, specs.get(claim.id), strings, shot)]
        for number, claim in enumerate(claims)
        for one in claim.results
    ]
    data = {
        "fields": FIELDS,
        "headings": [one.heading for one in MORE],
        "columns": [{"label": plain(one.label), "place": one.anchor, "depth": one.context.depth} for one in columns],
        "claims": [{"id": plain(claim.id), "place": claim.place, "published": _published(claim)} for claim in claims],
        "results": results,
        "strings": list(strings.numbers),
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")


def _result(record: RunRecord, one: Result, spec: ClaimSpec | None, strings: Strings, shot: Shot) -> list[Any]:
    """Lay one result out: column, texts of FIELDS by number, curves, pictures."""
    texts = {
        "verdict": one.cell.verdict,
        "effect": one.cell.effect,
        "interval": one.cell.interval,
        "words": quantity_words(record, spec),
        "label": one.quantity,
        **dict(zip((column.heading for column in MORE), one.more, strict=True)),
        "reason": one.cell.reason,
        "expected": one.cell.changed_from,
        "evidence": "" if one.evidence is None else one.evidence.text,
        "points": "; ".join(one.points),
        "command": command(record) if record.asked else "",
        "place": one.place,
    }
    curves = [_panel(panel) for panel in one.panels]
    pictures = [[plain(picture.title), plain(picture.caption), shot(picture)] for picture in one.pictures]
    return [one.column, [strings(texts[name]) for name in FIELDS], curves, pictures]


def _panel(panel: CurvePanel) -> dict[str, Any]:
    marks = sorted({(mark.layer, mark.part, mark.direction, _short(mark.bound)) for mark in panel.marks})
    return {
        "name": plain(panel.name),
        "lines": [_line(line) for line in panel.lines if line.role != "published"],
        "marks": marks,
        "rests": plain(panel.rests_on),
    }


def _line(line: Line) -> list[Any]:
    return [plain(line.label), line.layers, *map(_numbers, (line.values, line.low, line.high))]


def _published(claim: ClaimView) -> dict[str, list[list[Any]]]:
    """Give the published curves of a claim by the name of the panel, each model once."""
    found: dict[str, dict[str, list[Any]]] = {}
    for panel in [panel for one in claim.results for panel in one.panels] + list(claim.unmatched):
        for line in panel.lines:
            if line.role == "published":
                drawn = [plain(line.label), line.layers, _numbers(line.values)]
                found.setdefault(plain(panel.name), {})[line.label] = drawn
    return {name: list(lines.values()) for name, lines in found.items()}


def _numbers(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else _short(value) for value in values]


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
