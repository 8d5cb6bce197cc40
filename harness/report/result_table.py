"""The columns of every table of results: what each holds, and how it is shown on a terminal, in the page and in JUnit.

Here a new column is added: the tables for one's own plots take all of them, the other places those that say how.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from harness.report.curve_text import bound_words
from harness.report.escaping import plain
from harness.report.verdict_text import bound_text, effect_text, images_used, interval_text, number, short_number
from harness.results.record import IMAGES, FindingRecord, RunRecord

Kind = Literal["text", "whole", "number"]
LETTERS = {
    "supported": ".",
    "refuted": "F",
    "vacuous": "V",
    "inconclusive": "?",
    "reported": "r",
    "not applicable": "s",
}
CONTROLS_SHOWN = 3


@dataclass(frozen=True)
class Shown:
    """How a column is shown in one place: its heading there, the text of a record, and whether that may wrap."""

    heading: str
    text: Callable[[RunRecord], Any]
    wraps: bool = False


@dataclass(frozen=True, kw_only=True)
class ResultColumn:
    """One column: its name and kind in tables for plots, its value, and how it is shown in other places, None: not.

    On a terminal a column that is `spare` stands only where there is room.
    """

    name: str
    kind: Kind
    value: Callable[[RunRecord], str | int | float | None]
    terminal: Shown | None = None
    spare: bool = False
    page: Shown | None = None
    junit: Shown | None = None


def junit_properties(record: RunRecord) -> list[tuple[str, Any]]:
    """List what a test report carries of a record into JUnit files."""
    shown = [column.junit for column in RESULT_COLUMNS if column.junit is not None]
    return [(f"claims.{one.heading}", one.text(record)) for one in shown]


def _of(name: str, record: RunRecord) -> Any:
    return getattr(record, name)


def _of_effect(name: str, record: RunRecord) -> Any:
    return getattr(record.effect, name, None)


def _of_context(name: str, record: RunRecord) -> Any:
    return getattr(record.context, name)


def _end(place: int, record: RunRecord) -> float | None:
    return None if (interval := _interval(record)) is None else interval[place]


def _control(record: RunRecord) -> FindingRecord | None:
    """Take the finding about the control that has an interval, or else the first."""
    return next((found for found in record.controls if found.interval), next(iter(record.controls), None))


def _control_estimate(record: RunRecord) -> float | None:
    return None if (control := _control(record)) is None else control.estimate


def _control_end(place: int, record: RunRecord) -> float | None:
    control = _control(record)
    return None if control is None or control.interval is None else control.interval[place]


def _controls(record: RunRecord) -> str:
    return "; ".join(
        f"{found.label} = {number(found.estimate)} {interval_text(found.interval)}".strip()
        for found in record.controls[:CONTROLS_SHOWN]
    )


def _bound_words(record: RunRecord) -> str:
    effect = record.effect
    return "" if effect is None else f"{bound_words(effect.direction)} {number(effect.bound)}"


def _bound_of_junit(record: RunRecord) -> str | None:
    return None if record.effect is None else f"{record.effect.direction} {number(record.effect.bound)}"


def _interval(record: RunRecord) -> list[float | None] | None:
    interval = None if record.effect is None else record.effect.interval
    return None if interval is None else list(interval)


def _images(record: RunRecord) -> str:
    """Say how many images were used of how many, or what else was counted and the images behind it."""
    used, counted = images_used(record), f"{record.images} of {record.budget}" if record.budget else str(record.images)
    if record.what == IMAGES or record.pictures_behind is None:
        return counted
    return used if used == "weights" else f"{used} ({counted} {record.what})"


def _cost(record: RunRecord) -> str:
    """Write what a claim took; numbers that were read back cost no forward pass."""
    passes = f"{record.block_evaluations:,.0f} block evaluations"
    return f"{record.seconds:.1f} s, {passes if record.measured_images else 'read from stored measurements'}"


def _rate(record: RunRecord) -> str:
    return f"{record.measured_images / record.seconds:.0f}" if record.measured_images and record.seconds else "stored"


def _text(name: str) -> ResultColumn:
    return ResultColumn(name=name, kind="text", value=partial(_of, name))


def _text_of_context(name: str) -> ResultColumn:
    return ResultColumn(name=name, kind="text", value=partial(_of_context, name))


RESULT_COLUMNS = (
    ResultColumn(
        name="claim",
        kind="text",
        value=partial(_of, "claim"),
        terminal=Shown("claim", lambda record: plain(record.claim)),
        junit=Shown("claim", partial(_of, "claim")),
    ),
    _text("source"),
    _text("tier"),
    ResultColumn(name="model", kind="text", value=partial(_of, "model"), junit=Shown("model", partial(_of, "model"))),
    ResultColumn(
        name="verdict",
        kind="text",
        value=partial(_of, "verdict"),
        terminal=Shown("verdict", lambda record: f"{LETTERS[record.verdict]} {record.verdict}"),
        junit=Shown("verdict", partial(_of, "verdict")),
    ),
    _text("expected"),
    ResultColumn(
        name="reason", kind="text", value=partial(_of, "reason"), junit=Shown("reason", partial(_of, "reason"))
    ),
    ResultColumn(name="version", kind="whole", value=partial(_of, "version")),
    ResultColumn(name="effect_label", kind="text", value=partial(_of_effect, "label")),
    ResultColumn(
        name="effect",
        kind="number",
        value=partial(_of_effect, "estimate"),
        terminal=Shown("effect [interval]", lambda record: effect_text(record.effect)),
        junit=Shown("effect", partial(_of_effect, "estimate")),
    ),
    ResultColumn(name="low", kind="number", value=partial(_end, 0), junit=Shown("interval", _interval)),
    ResultColumn(name="high", kind="number", value=partial(_end, 1)),
    ResultColumn(name="effect_units", kind="whole", value=partial(_of_effect, "units")),
    ResultColumn(name="direction", kind="text", value=partial(_of_effect, "direction")),
    ResultColumn(
        name="bound",
        kind="number",
        value=partial(_of_effect, "bound"),
        terminal=Shown("bound", lambda record: bound_text(record.effect)),
        page=Shown("bound", _bound_words),
        junit=Shown("bound", _bound_of_junit),
    ),
    ResultColumn(
        name="published",
        kind="number",
        value=partial(_of, "published"),
        terminal=Shown("paper", lambda record: short_number(record.published)),
        page=Shown("published", lambda record: number(record.published)),
        junit=Shown("published", partial(_of, "published")),
    ),
    ResultColumn(
        name="control",
        kind="number",
        value=_control_estimate,
        page=Shown("control", lambda record: _controls(record) or "none", wraps=True),
    ),
    ResultColumn(name="control_low", kind="number", value=partial(_control_end, 0)),
    ResultColumn(name="control_high", kind="number", value=partial(_control_end, 1)),
    ResultColumn(name="p", kind="number", value=partial(_of, "p")),
    ResultColumn(name="delta", kind="number", value=partial(_of, "delta")),
    ResultColumn(
        name="images",
        kind="whole",
        value=partial(_of, "images"),
        terminal=Shown("images", images_used),
        page=Shown("images", _images),
        junit=Shown("images", partial(_of, "images")),
    ),
    ResultColumn(name="budget", kind="whole", value=partial(_of, "budget")),
    ResultColumn(
        name="seconds",
        kind="number",
        value=partial(_of, "seconds"),
        terminal=Shown("sec", lambda record: f"{record.seconds:.1f}"),
        page=Shown("cost", _cost, wraps=True),
        junit=Shown("seconds", partial(_of, "seconds")),
    ),
    ResultColumn(
        name="block_evaluations",
        kind="number",
        value=partial(_of, "block_evaluations"),
        terminal=Shown("blocks", lambda record: f"{record.block_evaluations:,.0f}"),
        spare=True,
    ),
    ResultColumn(
        name="measured_images",
        kind="whole",
        value=partial(_of, "measured_images"),
        terminal=Shown("img/s", _rate),
        spare=True,
    ),
    ResultColumn(name="pictures", kind="text", value=partial(_of_context, "images")),
    _text_of_context("family"),
    _text_of_context("resolved"),
    _text_of_context("weights"),
    _text_of_context("image_fingerprint"),
    ResultColumn(name="seed", kind="whole", value=partial(_of_context, "seed")),
    _text_of_context("dtype"),
    _text_of_context("device"),
    _text_of_context("target"),
    ResultColumn(
        name="versions", kind="text", value=lambda record: json.dumps(record.context.versions, sort_keys=True)
    ),
    ResultColumn(name="time", kind="text", value=lambda record: record.time or None),
)
