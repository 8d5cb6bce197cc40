"""What is drawn for a claim, as data: curves with the published and the control's ones, and evidence over images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.judging.ledger import ClaimSpec
from harness.report.curve_text import units_behind
from harness.results.record import CurvePoint, RunRecord

Role = Literal["ours", "beside", "published"]
Points = tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve of a panel; `style` numbers the curves of one role, `low` and `high` are its band (published: none)."""

    label: str
    role: Role
    style: int
    layers: tuple[int, ...]
    values: Points
    low: Points = ()
    high: Points = ()

    def __post_init__(self) -> None:
        for part in (self.values, *filter(None, (self.low, self.high))):
            if len(part) != len(self.layers):
                raise ValueError(f"curve {self.label!r} has {len(self.layers)} layers but {len(part)} values")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A point of a curve that was compared with a bound, for the effect or for the control."""

    layer: int
    part: str
    direction: str
    bound: float


@dataclass(frozen=True, kw_only=True)
class CurvePanel:
    """One curve of one model with what stands beside it; `rests_on` says how many units are behind its points."""

    name: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()
    rests_on: str = ""


@dataclass(frozen=True, kw_only=True)
class EvidencePanel:
    """The error level of a verdict after each chunk; the verdict stands once it is at most `delta`."""

    images: tuple[int, ...]
    levels: tuple[float, ...]
    delta: float

    @property
    def text(self) -> str:
        """Say in words what the picture shows."""
        return (
            f"Error level of the verdict so far, from {self.levels[0]:.2g} after {self.images[0]} images to "
            f"{self.levels[-1]:.2g} after {self.images[-1]}; it is certain at {self.delta:g}."
        )


def curve_panels(record: RunRecord, spec: ClaimSpec | None) -> tuple[CurvePanel, ...]:
    """Lay out the curves of a record: one panel each, a rival's curve ("untrained X") in the panel of X."""
    curves = record.curves
    owners = {name: _owner(name, curves) for name in curves}
    rivals = [name for name, owner in owners.items() if owner is not None]
    panels = []
    for name in curves:
        if owners[name] is not None:
            continue
        beside = [other for other in rivals if owners[other] == name]
        lines = [_measured(name, curves[name], "ours", 0)]
        lines += [_measured(other, curves[other], "beside", rivals.index(other)) for other in beside]
        lines += [] if spec is None else [line for shown in (name, *beside) for line in _printed(spec, shown, name)]
        marks = [mark for shown in (name, *beside) for mark in _marks(record, shown)]
        if len({layer for line in lines for layer in line.layers}) > 1:  # one point needs no picture
            told = units_behind(record, (name, *beside))
            rests_on = f"{told} behind each point" if told else ""
            made = CurvePanel(name=name, lines=tuple(lines), marks=tuple(marks), rests_on=rests_on)
            panels.append(made)
    return tuple(panels)


def lone_points(record: RunRecord, panels: Sequence[CurvePanel]) -> tuple[Line, ...]:
    """List the curves of a record that are too short for a picture."""
    drawn = names_drawn(panels)
    return tuple(_measured(name, rows, "ours", 0) for name, rows in record.curves.items() if name not in drawn)


def published_panels(spec: ClaimSpec, drawn: frozenset[str]) -> tuple[CurvePanel, ...]:
    """Lay out the published curves that no model of the run has a curve beside."""
    return tuple(
        CurvePanel(name=name, lines=_printed(spec, name, name))
        for name, curves in spec.published.curves.items()
        if name not in drawn and len({layer for curve in curves for layer in curve.layers}) > 1
    )


def evidence_panel(record: RunRecord) -> EvidencePanel | None:
    """Lay out the evidence over images, where a verdict was sought."""
    trace = [(images, level) for images, level in record.trace if level is not None]
    if not trace or record.verdict in ("reported", "not applicable") or not record.delta:
        return None
    images, levels = zip(*trace, strict=True)
    return EvidencePanel(images=images, levels=levels, delta=record.delta)


def names_drawn(panels: Sequence[CurvePanel]) -> frozenset[str]:
    """List the curves that stand in these panels."""
    return frozenset(line.label for panel in panels for line in panel.lines if line.role != "published")


def _owner(name: str, curves: Mapping[str, Any]) -> str | None:
    """Find the curve that this one is a rival of, by its name: "untrained identifiability" of "identifiability"."""
    return max((other for other in curves if name != other and name.endswith(f" {other}")), key=len, default=None)


def _measured(name: str, rows: Sequence[CurvePoint], role: Role, style: int) -> Line:
    ordered = sorted(rows, key=lambda row: row[0])
    layers = tuple(layer for layer, *_ in ordered)
    values, low, high = (tuple(row[place] for row in ordered) for place in (1, 2, 3))
    return Line(label=name, role=role, style=style, layers=layers, values=values, low=low, high=high)


def _printed(spec: ClaimSpec, name: str, panel: str) -> tuple[Line, ...]:
    """Lay out the published curves of one name; within a claim a model keeps its style from panel to panel."""
    models = list(dict.fromkeys(curve.model for curves in spec.published.curves.values() for curve in curves))
    lines = []
    for curve in spec.published.curves.get(name, ()):
        points = sorted(zip(curve.layers, curve.values, strict=True))
        of_rival = name != panel
        line = Line(
            label=f"{curve.model} ({name})" if of_rival else curve.model,
            role="published",
            style=models.index(curve.model) + len(models) * of_rival,
            layers=tuple(layer for layer, _ in points),
            values=tuple(value for _, value in points),
        )
        lines.append(line)
    return tuple(lines)


def _marks(record: RunRecord, name: str) -> list[Mark]:
    judged = record.judged.get(name, ())
    return [
        Mark(layer=layer, part=part, direction=direction, bound=bound)
        for layer, part, direction, bound in judged
        if part != "gate" and bound is not None
    ]
