"""Panels drawn as small SVG pictures that hold numbers only: every name stands in the page beside them."""

import re
from collections.abc import Sequence
from io import StringIO
from itertools import groupby
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from harness.report.panels import CurvePanel, EvidencePanel, Line, Mark

SIZE = (3.3, 2.0)  # inches
AXES = (0.12, 0.125, 0.865, 0.84)  # left, bottom, width, height of a picture
SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "claims",
    "font.size": 7.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#777777",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.bottom": False,
    "ytick.left": False,
    "path.simplify": False,
}
OURS, BOUND, CONTROL = "#174a7c", "#9b2226", "#8f5a06"
BESIDE = ("#b8651b", "#5a7d2a", "#7a4a8c")
PUBLISHED = "#8a8a8a"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
DASHES = ((0, (4, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
LEVELS = (1.0, 1e-2, 1e-4, 1e-6)  # labelled error levels
FLOOR = LEVELS[-1]  # error levels below are drawn here: a verdict is certain long before

# What matplotlib writes and a small picture does not need.
SPARED = tuple(
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (r"<metadata>.*?</metadata>|<!--.*?-->", ""),
        (r'(<g) id="[^"]*"', r"\1"),
        (r'<path d="[^"]*"[^>]*style="fill: none; opacity: 0"/>', ""),
        (r"font-family: [^;\"]*", "font-family: system-ui, sans-serif"),
        (r"font: ([\d.]+px)[^;\"]*", r"font: \1 system-ui, sans-serif"),
        (r' transform="rotate\(-0 [^"]*\)"', ""),
        (r"\s+", " "),
        (r"> <", "><"),
        (r'(["a-z]) "', r'\1"'),
        (r"<g>\s*</g>", ""),
        (r": ", ":"),
        (r"; ", ";"),
    )
)
USES = re.compile(r"<g[^>]*>(?:<use [^>]*/>){2,}</g>")
STYLE = re.compile(r'style="[^"]*"')
TAG = re.compile(r"<[^>]*>")
NUMBER = re.compile(r"-?\d+\.\d{2,}")


def curve_svg(panel: CurvePanel) -> str:
    """Draw curves over blocks: ours with its band, the rival's, the published ones, and the bounds that were judged."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = _empty()
        for line in reversed(panel.lines):
            _draw(axes, line)
        _draw_bounds(axes, [mark for mark in panel.marks if mark.part == "effect"], BOUND, (0, (5, 2)))
        _draw_bounds(axes, [mark for mark in panel.marks if mark.part == "control"], CONTROL, (0, (1, 1.5)))
        layers = [layer for line in panel.lines for layer in line.layers]
        axes.set_xlim(min(layers, default=0) - 0.6, max(layers, default=0) + 0.6)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        axes.set_ylim(*_limits(panel))
        return _svg(figure)


def evidence_svg(panel: EvidencePanel) -> str:
    """Draw the error level of the verdict over images, with the level at which it is certain."""
    with matplotlib.rc_context(SETTINGS):
        figure, axes = _empty()
        images, levels = (0, *panel.images), np.clip((1.0, *panel.levels), FLOOR, 1.0)  # no images, no evidence
        axes.plot(images, levels, color=OURS, linewidth=1.3, marker="o", markersize=2.2)
        axes.axhline(panel.delta, color=BOUND, linewidth=0.9, linestyle=(0, (5, 2)))
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(FixedLocator(LEVELS))
        axes.yaxis.set_major_formatter(FixedFormatter(["1", "0.01", "1e-4", "1e-6"]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(min(FLOOR, panel.delta) / 2, 2.0)
        axes.set_xlim(0, max(panel.images) * 1.06)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        return _svg(figure)


def _empty() -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE)
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0.0)
    axes = figure.add_axes(AXES)
    axes.patch.set_alpha(0.0)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    return figure, axes


def _draw(axes: Axes, line: Line) -> None:
    layers, values = np.array(line.layers, dtype=float), _floats(line.values)
    if line.role == "published":
        dash, marker = DASHES[line.style % len(DASHES)], MARKERS[line.style % len(MARKERS)]
        axes.plot(
            *(layers, values), color=PUBLISHED, linewidth=0.9, linestyle=dash, marker=marker, markersize=2.8, zorder=2
        )
        return
    colour = OURS if line.role == "ours" else BESIDE[line.style % len(BESIDE)]
    width = 1.5 if line.role == "ours" else 1.1
    axes.plot(layers, values, color=colour, linewidth=width, marker="o", markersize=2.6, zorder=4)
    if line.low and line.high:
        low, high = _floats(line.low), _floats(line.high)
        if len(layers) == 1:
            axes.vlines(layers, low, high, color=colour, linewidth=1.0, zorder=3)
        axes.fill_between(layers, low, high, color=colour, alpha=0.16, linewidth=0, zorder=3)


def _draw_bounds(axes: Axes, marks: Sequence[Mark], colour: str, dash: tuple) -> None:
    """Draw each run of neighbouring blocks with one bound as one line, with a tick towards the side that holds."""
    for (bound, direction), group in groupby(sorted(marks, key=_order), key=lambda mark: (mark.bound, mark.direction)):
        layers = sorted({mark.layer for mark in group})
        for run in _runs(layers):
            axes.hlines(bound, run[0] - 0.45, run[-1] + 0.45, color=colour, linewidth=1.1, linestyle=dash, zorder=5)
            middle = (run[0] + run[-1]) / 2
            axes.plot(
                [middle], [bound], color=colour, marker="^" if direction == ">=" else "v", markersize=3.2, zorder=5
            )


def _order(mark: Mark) -> tuple[float, str, int]:
    return mark.bound, mark.direction, mark.layer


def _runs(layers: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return runs


def _limits(panel: CurvePanel) -> tuple[float, float]:
    """Show shares on the whole of [0, 1], so that panels compare; anything else on its own range."""
    parts = [part for line in panel.lines for part in (line.values, line.low, line.high)]
    numbers = [value for part in parts for value in part if value is not None] + [mark.bound for mark in panel.marks]
    if not numbers:
        return 0.0, 1.0
    low, high = min(numbers), max(numbers)
    if low >= 0.0 and high <= 1.05:
        return -0.03, max(1.03, high + 0.02)
    pad = 0.06 * ((high - low) or 1.0)
    return low - pad, high + pad


def _floats(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _svg(figure: Figure) -> str:
    """Write a figure without what a small picture in a page does not need, so that hundreds of them stay light."""
    target = StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = target.getvalue()
    text = text[text.index("<svg") :]
    for pattern, replacement in SPARED:
        text = pattern.sub(replacement, text)
    text = USES.sub(_share_style, text)
    return TAG.sub(lambda tag: NUMBER.sub(_round, tag.group()), text).strip()


def _round(found: re.Match[str]) -> str:
    """Round a coordinate to a tenth of a point; labels stand outside of tags and stay as they are."""
    return f"{float(found.group()):.1f}".removesuffix(".0")


def _share_style(found: re.Match[str]) -> str:
    """Say the style of a row of markers once, where all share it."""
    group, styles = found.group(), set(STYLE.findall(found.group()))
    if len(styles) != 1:
        return group
    (style,) = styles
    return group.replace(f" {style}", "").replace("<g", f"<g {style}", 1)
