"""The record of one claim on one model: plain data for JSON, the store and the terminal."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.judging.ledger import ClaimSpec
from harness.judging.statements import Finding
from harness.judging.verdict import Verdict

if TYPE_CHECKING:  # telling a stored record needs no torch
    from harness.measurement.sequential import Outcome

FORMAT = 1  # rises when a field changes its meaning or goes


def record_of(outcome: "Outcome", model: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """Turn an outcome into a record; `context` is what the whole model shares (weights, images, versions)."""
    judgement, spec = outcome.judgement, outcome.spec
    return {
        **_head(spec, model),
        "verdict": str(judgement.verdict),
        "reason": judgement.reason,
        "p": judgement.p,
        "published": judgement.main.published,
        "effect": finding_data(judgement.main),
        "findings": {
            "effect": [finding_data(finding) for finding in judgement.effect],
            "control": [finding_data(finding) for finding in judgement.control],
            "gate": [finding_data(finding) for finding in judgement.gate],
        },
        "delta": outcome.delta,
        "images": outcome.images,
        "budget": spec.budget,
        "seconds": outcome.cost.seconds,
        "block_evaluations": outcome.cost.block_evaluations,
        "measured_images": outcome.cost.measured_images,
        "curves": {name: [[*map(_plain, row)] for row in rows] for name, rows in outcome.curves.items()},
        "judged": judged_points(outcome),
        "trace": [list(step) for step in outcome.trace],
        "what": outcome.what,
        "members": outcome.members,
        "pictures_behind": outcome.pictures_behind,
        "smallest_change": spec.smallest_change,
        "pairs": None if outcome.pairs is None else asdict(outcome.pairs),
        "arms": dict(outcome.arms),
        "pictures": [asdict(picture) for picture in outcome.pictures],
        "arm_means": {name: _plain(value) for name, value in outcome.arm_means.items()},
        "context": dict(context),
    }


def record_of_refusal(spec: ClaimSpec, model: str, reason: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """Turn "not applicable" into a record."""
    return {
        **_head(spec, model),
        "verdict": str(Verdict.NOT_APPLICABLE),
        "reason": reason,
        "effect": None,
        "published": None,
        "images": 0,
        "seconds": 0.0,
        "block_evaluations": 0.0,
        "measured_images": 0,
        "context": dict(context),
    }


def images_used(record: Mapping[str, Any]) -> str:
    """Say how many images a verdict rests on, whatever was counted; "weights" where it is none."""
    behind = record.get("pictures_behind")
    counted = record["images"] if behind is None else behind
    return str(counted) if counted or not record["images"] else "weights"


def _behind(record: Mapping[str, Any]) -> str:
    """Add the images where something else was counted."""
    what, behind = record.get("what", "images"), record.get("pictures_behind")
    if what == "images" or behind is None:
        return ""
    return f", read off {behind} images" if behind else ", read off the weights alone"


def finding_data(finding: Finding) -> dict[str, Any]:
    """Turn a finding into plain data."""
    return {
        "label": finding.label,
        "estimate": _plain(finding.estimate),
        "interval": None if finding.interval is None else [_plain(end) for end in finding.interval],
        "bound": _plain(finding.bound),
        "direction": finding.direction,
        "p_true": finding.p.true,
        "p_false": finding.p.false,
    }


def judged_points(outcome: "Outcome") -> dict[str, list[list[Any]]]:
    """List the points of each curve that the verdict compared with a bound: layer, part, direction, bound."""
    judgement = outcome.judgement
    parts = {"effect": judgement.effect, "control": judgement.control, "gate": judgement.gate}
    marks: dict[str, list[list[Any]]] = {}
    for name, series in outcome.series.items():
        found = [
            [layer, part, finding.direction, _plain(finding.bound)]
            for layer, quantity in series.points
            for part, findings in parts.items()
            for finding in findings
            if finding.quantity is not None and finding.quantity == quantity
        ]
        if found:
            marks[name] = found
    return marks


def _head(spec: ClaimSpec, model: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "claim": spec.id,
        "version": spec.version,
        "model": model,
        "source": spec.source.key,
        "tier": spec.tier,
    }


def _plain(value: float) -> float | None:
    """Make JSON of a number: what is not finite has no value."""
    return value if isinstance(value, int) or math.isfinite(value) else None
