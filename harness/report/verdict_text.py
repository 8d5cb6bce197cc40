"""A record in words: the paragraph of a verdict that is no pass, numbers as they are printed, JUnit properties."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.judging.ledger import ClaimSpec
from harness.report.curve_text import curve_text
from harness.report.escaping import plain

if TYPE_CHECKING:  # telling a stored record needs no torch
    pass
from harness.measurement.record import _behind


def paragraph(record: Mapping[str, Any], spec: ClaimSpec) -> str:
    """Tell a verdict that is no pass: effect, interval, bound, paper, control, images, and the curves."""
    effect = record["effect"]
    if effect is None:
        return plain(f"{spec.id} is {record['verdict']} on {record['model']}: {record['reason']}.")
    sentences = [
        f"{spec.id} is {record['verdict']} on {record['model']}: {record['reason']}.",
        f"The claim: {spec.statement}",
        f"Effect: {effect['label']} = {number(effect['estimate'])} {_interval(effect)}, bound {effect['direction']} "
        f"{number(effect['bound'])}.",
        f"Published: {spec.published.text}",
        f"Control: {_control(record, spec)}",
        f"{record.get('what', 'images').capitalize()} used: {record['images']} of at most {spec.budget}"
        f"{_behind(record)}; error of the verdict at most {record['delta']}.",
    ]
    return "\n".join([*map(plain, sentences), *filter(None, [curve_text(record, spec)])])


def number(value: float | None) -> str:
    """Print a number with three significant digits, or a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3f}" if 0.001 <= abs(value) < 100 or value == 0 else f"{value:.3g}"


def properties(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """List what a test report carries of a record into JUnit files."""
    effect = record["effect"] or {}
    names = ("claim", "model", "verdict", "reason", "images", "seconds", "published")
    pairs = [(f"claims.{name}", record[name]) for name in names]
    bound = f"{effect['direction']} {number(effect['bound'])}" if effect else None
    pairs += [("claims.effect", effect.get("estimate")), ("claims.interval", effect.get("interval"))]
    return [*pairs, ("claims.bound", bound)]


def _interval(finding: Mapping[str, Any]) -> str:
    if finding["interval"] is None:
        return "(no interval)"
    return "[" + ", ".join(number(end) for end in finding["interval"]) + "]"


def _control(record: Mapping[str, Any], spec: ClaimSpec) -> str:
    findings = record["findings"]["control"]
    measured = "; ".join(f"{f['label']} = {number(f['estimate'])}" for f in findings[:3])
    return f"{spec.control} Measured: {measured or 'none'}."
