"""What was measured for one claim, laid beside its bounds for the judges, and its curves."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.judging.derived_arms import resolve
from harness.judging.ledger import ClaimSpec
from harness.judging.observations import Groups, Observations, Pairs, Sample
from harness.measurement.plan import Plan

CurveRow = tuple[int, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One claim to run on one model."""

    spec: ClaimSpec
    plan: Plan


def lay_out(
    job: Job,
    numbers: Mapping[str, np.ndarray],
    *,
    classes: int,
    population: int | None,
    pairs: Pairs | None,
    groups: Groups | None = None,
) -> Observations:
    """Lay numbers per arm [image], of the first images, beside their ranges and the bounds of the ledger.

    With `pairs` the unit is the pair: the sheet holds one mean per pair [pair], and `population`, the images of a
    finite set (None: the distribution behind them), becomes its pairs. All pairs weigh the same, as all have two.
    With `groups` the unit is the group, with all its pairs where there are some; each weighs the same.
    """
    readouts = {name: arm.readout for name, arm in job.plan.arms.items()}
    samples = {name: Sample(values, readouts[name].low, readouts[name].high) for name, values in numbers.items()}
    samples = resolve(samples, job.plan.derived, pairs)
    if groups is not None:
        samples = {name: Sample(groups.means(one.values), one.low, one.high) for name, one in samples.items()}
    elif pairs is not None:
        samples = {
            name: Sample(pairs.within(len(one.values)).means(one.values), one.low, one.high)
            for name, one in samples.items()
        }
        population = None if population is None else pairs.in_all
    bounds, typical = job.spec.bounds, job.plan.typical
    return Observations(samples=samples, bounds=bounds, classes=classes, population=population, typical=typical)


def draw_curves(plan: Plan, sheet: Observations, delta: float) -> dict[str, tuple[CurveRow, ...]]:
    """Estimate every curve of a plan with anytime-valid intervals, point by point, at error `delta` each."""
    return {
        name: tuple(
            (layer, quantity.estimate(sheet), *quantity.interval(sheet, delta)) for layer, quantity in series.points
        )
        for name, series in plan.curves.items()
    }
