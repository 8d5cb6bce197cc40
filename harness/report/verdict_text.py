"""A record in words: the paragraph of a verdict that is no pass, and numbers as they are printed."""

import math
from collections.abc import Sequence

from harness.judging.ledger import ClaimSpec
from harness.report.curve_text import curve_text
from harness.report.escaping import plain
from harness.results.record import IMAGES, FindingRecord, RunRecord

TINY = 0.0005  # a number nearer to 0 is shown as 0


def paragraph(record: RunRecord, spec: ClaimSpec) -> str:
    """Tell a verdict that is no pass: effect, interval, bound, paper, control, images, and the curves."""
    effect = record.effect
    if effect is None:
        return plain(f"{spec.id} is {record.verdict} on {record.model}: {record.reason}.")
    sentences = [
        f"{spec.id} is {record.verdict} on {record.model}: {record.reason}.",
        f"The claim: {spec.statement}",
        f"Effect: {effect.label} = {number(effect.estimate)} {_interval(effect)}, bound {effect.direction} "
        f"{number(effect.bound)}.",
        f"Published: {spec.published.text}",
        f"Control: {_control(record, spec)}",
        f"{record.what.capitalize()} used: {record.images} of at most {spec.budget}{_behind(record)}; error of the "
        f"verdict at most {record.delta}.",
    ]
    return "\n".join([*map(plain, sentences), *filter(None, [curve_text(record, spec)])])


def number(value: float | None) -> str:
    """Print a number with three significant digits, or a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3f}" if 0.001 <= abs(value) < 100 or value == 0 else f"{value:.3g}"


def short_number(value: float | None) -> str:
    """Print a number as `number` does, without zeros at its end."""
    if value is None:
        return "-"
    if abs(value) < TINY:
        return "0"
    text = number(value)
    return text.rstrip("0").rstrip(".") if "e" not in text and "." in text else text


def interval_text(interval: Sequence[float | None] | None) -> str:
    """Write an interval, or nothing where none was drawn."""
    if interval is None:
        return ""
    return "[" + ", ".join("0" if end and abs(end) < TINY else number(end) for end in interval) + "]"


def effect_text(effect: FindingRecord | None) -> str:
    """Print an effect with its interval in few characters."""
    if effect is None:
        return "-"
    ends = "" if effect.interval is None else f" [{', '.join(map(short_number, effect.interval))}]"
    return f"{number(effect.estimate)}{ends}"


def verdict_line(record: RunRecord) -> str:
    """Tell a verdict in one line of a log."""
    found = "" if record.effect is None else f": {effect_text(record.effect)}, bound {bound_text(record.effect)}"
    used = images_used(record)
    return plain(f"{record.model}: {record.claim} is {record.verdict}{found} ({used}{' images' * used.isdigit()})")


def clause(record: RunRecord) -> str:
    """Tell a verdict in the fewest words: what it is, and the number with its bound."""
    changed = f", expected {record.expected}" if record.expected and record.expected != record.verdict else ""
    found = "" if record.effect is None else f": {effect_text(record.effect)}, bound {bound_text(record.effect)}"
    return plain(f"{record.verdict}{changed}{found}")


def bound_text(effect: FindingRecord | None) -> str:
    """Print a bound with its direction in few characters."""
    return "-" if effect is None else f"{effect.direction} {short_number(effect.bound)}"


def images_used(record: RunRecord) -> str:
    """Say how many images a verdict rests on, whatever was counted; "weights" where it is none."""
    counted = record.images if record.pictures_behind is None else record.pictures_behind
    return str(counted) if counted or not record.images else "weights"


def _behind(record: RunRecord) -> str:
    """Add the images where something else was counted."""
    behind = record.pictures_behind
    if record.what == IMAGES or behind is None:
        return ""
    return f", read off {behind} images" if behind else ", read off the weights alone"


def _interval(finding: FindingRecord) -> str:
    if finding.interval is None:
        return "(no interval)"
    return "[" + ", ".join(map(number, finding.interval)) + "]"


def _control(record: RunRecord, spec: ClaimSpec) -> str:
    measured = "; ".join(f"{found.label} = {number(found.estimate)}" for found in record.controls[:3])
    return f"{spec.control} Measured: {measured or 'none'}."
