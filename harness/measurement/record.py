"""The way from an outcome to the record of one claim on one model."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.judging.ledger import ClaimSpec
from harness.judging.statements import Finding
from harness.results.record import (
    FORMAT,
    Context,
    CurvePoint,
    FindingRecord,
    Findings,
    GroupsRecord,
    JudgedPoint,
    PairsRecord,
    Part,
    PictureRecord,
    RunRecord,
    Verdicts,
)

if TYPE_CHECKING:  # telling a stored record needs no torch
    from harness.measurement.sequential import Outcome


TIME_UP = "the time was up"


def record_of(outcome: "Outcome", model: str, context: Context) -> RunRecord:
    """Turn an outcome into a record; `context` is what the whole model shares (weights, images, versions)."""
    judgement, spec = outcome.judgement, outcome.spec
    return RunRecord(
        **_head(spec, model),
        verdict=str(judgement.verdict),  # type: ignore[arg-type]  # a verdict is one of these words
        reason=f"{TIME_UP}: {judgement.reason}" if outcome.out_of_time else judgement.reason,
        p=judgement.p,
        published=judgement.main.published,
        effect=finding_record(judgement.main),
        findings=Findings(
            effect=tuple(map(finding_record, judgement.effect)),
            control=tuple(map(finding_record, judgement.control)),
            gate=tuple(map(finding_record, judgement.gate)),
        ),
        delta=outcome.delta,
        images=outcome.images,
        budget=spec.budget,
        seconds=outcome.cost.seconds,
        block_evaluations=outcome.cost.block_evaluations,
        measured_images=outcome.cost.measured_images,
        curves={name: tuple(_point(*row) for row in rows) for name, rows in outcome.curves.items()},
        curve_units=dict(outcome.curve_units),
        judged=judged_points(outcome),
        trace=outcome.trace,
        what=outcome.what,
        members=outcome.members,
        pictures_behind=outcome.pictures_behind,
        smallest_change=spec.smallest_change,
        pairs=None if outcome.pairs is None else PairsRecord(**asdict(outcome.pairs)),
        groups=None if outcome.groups is None else GroupsRecord(**asdict(outcome.groups)),
        arms=dict(outcome.arms),
        pictures=tuple(PictureRecord(**asdict(picture)) for picture in outcome.pictures),
        arm_means={name: _plain(value) for name, value in outcome.arm_means.items()},
        arm_images={name: images for name, images in outcome.arm_images.items() if images != outcome.images},
        out_of_time=outcome.out_of_time,
        context=context,
    )


def record_of_refusal(spec: ClaimSpec, model: str, reason: str, context: Context) -> RunRecord:
    """Turn "not applicable" into a record."""
    return _unmeasured(spec, model, "not applicable", reason, context)


def record_of_unreached(spec: ClaimSpec, model: str, context: Context) -> RunRecord:
    """Tell that the time of a run was up before a claim was begun."""
    reason = f"{TIME_UP} before it was begun"
    return _unmeasured(spec, model, "inconclusive", reason, context).but(out_of_time=True)


def _unmeasured(spec: ClaimSpec, model: str, verdict: Verdicts, reason: str, context: Context) -> RunRecord:
    return RunRecord(
        **_head(spec, model),
        verdict=verdict,
        reason=reason,
        effect=None,
        published=None,
        images=0,
        seconds=0.0,
        block_evaluations=0.0,
        measured_images=0,
        context=context,
    )


def finding_record(finding: Finding) -> FindingRecord:
    """Turn a finding into its record."""
    interval = finding.interval
    return FindingRecord(
        label=finding.label,
        estimate=_plain(finding.estimate),
        interval=None if interval is None else (_plain(interval[0]), _plain(interval[1])),
        bound=_plain(finding.bound),
        direction=finding.direction,
        p_true=finding.p.true,
        p_false=finding.p.false,
        units=finding.units,
    )


def judged_points(outcome: "Outcome") -> dict[str, tuple[JudgedPoint, ...]]:
    """List the points of each curve that the verdict compared with a bound: layer, part, direction, bound."""
    judgement = outcome.judgement
    parts: dict[Part, tuple[Finding, ...]] = {
        "effect": tuple(judgement.effect),
        "control": tuple(judgement.control),
        "gate": tuple(judgement.gate),
    }
    marks: dict[str, tuple[JudgedPoint, ...]] = {}
    for name, series in outcome.series.items():
        found = tuple(
            (layer, part, finding.direction, _plain(finding.bound))
            for layer, quantity in series.points
            for part, findings in parts.items()
            for finding in findings
            if finding.quantity is not None and finding.quantity == quantity
        )
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


def _point(layer: int, estimate: float, low: float, high: float) -> CurvePoint:
    return layer, _plain(estimate), _plain(low), _plain(high)


def _plain(value: float) -> float | None:
    """Make JSON of a number: what is not finite has no value."""
    return value if isinstance(value, int) or math.isfinite(value) else None
