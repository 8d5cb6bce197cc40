"""One claim on its way to a verdict: its numbers so far, its looks at them, and the outcome written down."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.chunks import whole_pairs
from harness.errors import NotApplicable
from harness.fittable import Fittable
from harness.plan import Curve, Plan, Weights
from harness.quantities import Pairs, Sample, Sheet
from harness.spec import ClaimSpec
from harness.store import Row
from harness.verdict import Judgement, Verdict, decide, judge

if TYPE_CHECKING:  # judging stored numbers needs no bench, and the bench imports the model libraries
    from harness.bench import Bench

CurveRow = tuple[int, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One claim to run on one model."""

    spec: ClaimSpec
    plan: Plan


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a claim took: its share of merged block evaluations (x images), of the wall time, and new images."""

    block_evaluations: float
    seconds: float
    measured_images: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished claim: judgement, images used, curves with intervals, where its numbers are, and what it cost.

    `curves` maps a name to rows (layer, estimate, low, high); `trace` lists (images, error level of the verdict so
    far) after every chunk; `arms` maps arm names to measurement ids; `series` holds what the points of a curve are.
    `pairs` are the units where images exchange something, None where each counts by itself; `images` are images always.
    """

    spec: ClaimSpec
    judgement: Judgement
    images: int
    delta: float
    cost: Cost
    curves: Mapping[str, tuple[CurveRow, ...]] = field(default_factory=dict)
    trace: tuple[tuple[int, float], ...] = ()
    arms: Mapping[str, str] = field(default_factory=dict)
    arm_means: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, Curve] = field(default_factory=dict)
    pairs: Pairs | None = None


class Trial:
    """A job while it runs.

    Raises NotApplicable where images are to exchange and no pair of two classes is within the budget.
    """

    def __init__(self, job: Job, bench: "Bench") -> None:
        self.job, self.bench = job, bench
        self.keys = {name: bench.key(arm) for name, arm in job.plan.arms.items()}
        settings = bench.settings
        self.delta = settings.delta or job.spec.delta
        self.budget = min(job.spec.budget, bench.usable, settings.max_images or job.spec.budget)
        self.images, self.done = 0, False
        if job.plan.exchanges:
            self.budget = whole_pairs(self.budget, bench.grid)
            self._refuse_without_pairs()
        self._parts: dict[str, list[np.ndarray]] = {name: [] for name in job.plan.arms}
        self._trace: list[tuple[int, float]] = []
        self._blocks, self._seconds, self._measured = 0.0, 0.0, 0

    @property
    def fits(self) -> list[tuple[Weights, Fittable]]:
        """List the fits that the arms read, each with the weights it belongs to."""
        return [(arm.weights, fit) for arm in self.job.plan.arms.values() for fit in arm.readout.fits]

    def take(self, rows: Mapping[str, Row]) -> None:
        """Take the numbers of one chunk, stored or new, by measurement id."""
        for name, key in self.keys.items():
            self._parts[name].append(rows[key.id].numbers)

    def charge(self, *, blocks: float, seconds: float, images: int) -> None:
        """Add to the bill."""
        self._blocks += blocks
        self._seconds += seconds
        self._measured += images

    def look(self, positions: range) -> None:
        """Weigh what is there; done when the verdict is certain or the budget is used."""
        start = time.perf_counter()
        self.images = min(positions.stop, self.budget)
        verdict, p = Verdict.INCONCLUSIVE, 1.0
        if (pairs := self._pairs()) is None or pairs.first:  # a small chunk may hold no pair of two classes
            verdict, p = decide(self.job.plan.question, self._sheet(), self.delta)
        self._trace.append((self.images, p))
        decided = verdict not in (Verdict.INCONCLUSIVE, Verdict.REPORTED)
        self.done = decided or self.images >= self.budget
        self._seconds += time.perf_counter() - start

    def outcome(self) -> Outcome:
        """Write down the verdict with curves and cost."""
        start = time.perf_counter()
        sheet = self._sheet()
        judgement = judge(self.job.plan.question, sheet, self.delta)
        curves = draw_curves(self.job.plan, sheet, self.delta)
        self._seconds += time.perf_counter() - start
        return Outcome(
            spec=self.job.spec,
            judgement=judgement,
            images=self.images,
            delta=self.delta,
            cost=Cost(block_evaluations=self._blocks, seconds=self._seconds, measured_images=self._measured),
            curves=curves,
            trace=tuple(self._trace),
            arms={name: key.id for name, key in self.keys.items()},
            arm_means={name: float(np.mean(sample.values)) for name, sample in sheet.samples.items()},
            series=self.job.plan.curves,
            pairs=self._pairs(),
        )

    def _pairs(self) -> Pairs | None:
        """List the pairs within the images used: the budget cuts none in two, and neither does a chunk."""
        if not self.job.plan.exchanges:
            return None
        first = self.bench.pairs
        return Pairs(tuple(first[first < self.images].tolist()), len(first))

    def _refuse_without_pairs(self) -> None:
        first = self.bench.pairs
        if not (first < self.budget).any():
            raise NotApplicable(
                f"among the first {self.budget} of {len(self.bench.images)} pictures no two neighbours are of "
                "different classes, so none can exchange; allowed: pictures in random order, of more than one class"
            )

    def _sheet(self) -> Sheet:
        numbers = {name: np.concatenate(parts)[: self.images] for name, parts in self._parts.items()}
        bench = self.bench
        return lay_out(
            self.job,
            numbers,
            classes=bench.subject.card.classes or bench.images.classes,
            population=bench.usable if bench.settings.population else None,
            pairs=self._pairs(),
        )


def lay_out(
    job: Job, numbers: Mapping[str, np.ndarray], *, classes: int, population: int | None, pairs: Pairs | None
) -> Sheet:
    """Lay numbers per arm [image] beside their ranges and the bounds of the ledger.

    With `pairs` the unit is the pair: the sheet holds one mean per pair [pair], and `population`, the images of a
    finite set (None: the distribution behind them), becomes its pairs. All pairs weigh the same, as all have two.
    """
    if pairs is not None:
        numbers = {name: pairs.means(values) for name, values in numbers.items()}
        population = None if population is None else pairs.in_all
    readouts = {name: arm.readout for name, arm in job.plan.arms.items()}
    samples = {name: Sample(values, readouts[name].low, readouts[name].high) for name, values in numbers.items()}
    return Sheet(samples=samples, bounds=job.spec.bounds, classes=classes, population=population)


def draw_curves(plan: Plan, sheet: Sheet, delta: float) -> dict[str, tuple[CurveRow, ...]]:
    """Estimate every curve of a plan with anytime-valid intervals, point by point, at error `delta` each."""
    return {
        name: tuple(
            (layer, quantity.estimate(sheet), *quantity.interval(sheet, delta)) for layer, quantity in series.points
        )
        for name, series in plan.curves.items()
    }
