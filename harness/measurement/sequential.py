"""One claim on its way to a verdict: its numbers so far, its looks at them, and the outcome written down."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import NotApplicable
from harness.images.sampling import whole_pairs
from harness.judging.derived_arms import measured
from harness.judging.ledger import ClaimSpec
from harness.judging.observations import Groups, Observations, Pairs
from harness.judging.settled import open_arms
from harness.judging.verdict import Judgement, Verdict, decide, judge
from harness.measurement.observed import CurveRow, Job, draw_curves, lay_out
from harness.measurement.plan import Arm, Curve, Plan, Weights
from harness.probes.fittable import Fittable
from harness.results.measurements import MeasuredBatch, MeasurementKey

if TYPE_CHECKING:  # judging stored numbers needs no bench, and the bench imports the model libraries
    from harness.images.thumbnails import Picture
    from harness.measurement.loaded_model import LoadedModel
    from harness.measurement.source import MeasurementSource

SHOWN = 128  # images (or members) after which an arm that only a curve shows is measured no further


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
    far) after every chunk; `arms` maps arm names to measurement ids, `arm_images` to the images that they were measured
    on; `series` holds what the points of a curve are, `curve_units` the units behind each.
    `pairs` are the units where images exchange something, None where each counts by itself; `groups` the units where
    classes are what is counted; `images` are images always,
    or the members of a census: `what` names them, and `pictures_behind` counts
    the pictures that they rest on (0 for weights alone). `plan` is what was measured, `keys` are the
    names behind those ids; `pictures` show a reader what was done or found. `out_of_time`: a longer run may decide it.
    """

    spec: ClaimSpec
    judgement: Judgement
    images: int
    delta: float
    cost: Cost
    curves: Mapping[str, tuple[CurveRow, ...]] = field(default_factory=dict)
    trace: tuple[tuple[int, float], ...] = ()
    arms: Mapping[str, str] = field(default_factory=dict)
    arm_images: Mapping[str, int] = field(default_factory=dict)
    arm_means: Mapping[str, float] = field(default_factory=dict)
    curve_units: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    series: Mapping[str, Curve] = field(default_factory=dict)
    pairs: Pairs | None = None
    groups: Groups | None = None
    what: str = "images"
    members: int | None = None
    pictures_behind: int | None = None
    plan: Plan | None = None
    keys: tuple[MeasurementKey, ...] = ()
    out_of_time: bool = False
    pictures: "tuple[Picture, ...]" = ()


class SequentialTest:
    """A job while it runs; an arm that nothing needs any more is measured no further.

    Raises NotApplicable where images are to exchange and no pair of two classes is within the budget.
    """

    def __init__(self, job: Job, source: "MeasurementSource") -> None:
        self.job, self.source = job, source
        self.delta = source.settings.delta or job.spec.delta
        self.budget = source.most(job.spec)
        if job.plan.report_only and job.spec.report_budget:
            self.budget = min(self.budget, job.spec.report_budget)
        self.images, self.done = 0, False
        self._open = set(job.plan.arms)
        if job.plan.exchanges:
            self.budget = whole_pairs(self.budget, source.grid)
            self._refuse_without_pairs()
        self._refuse_without_classes()
        self._parts: dict[str, list[np.ndarray]] = {name: [] for name in job.plan.arms}
        self._trace: list[tuple[int, float]] = []
        self._blocks, self._seconds, self._measured = 0.0, 0.0, 0

    @cached_property
    def keys(self) -> dict[str, MeasurementKey]:
        """Name the measurement of every arm; not before it is asked for, as a job may only be checked."""
        return {name: self.source.key(arm) for name, arm in self.job.plan.arms.items()}

    @property
    def blocks(self) -> float:
        """Give the block evaluations that it was billed so far."""
        return self._blocks

    @property
    def fits(self) -> list[tuple["LoadedModel", Weights, Fittable]]:
        """List the fits that the arms read, each with the model and the weights it belongs to."""
        arms = self.job.plan.arms.values()
        return [(self.source.model_of(arm), arm.weights, fit) for arm in arms for fit in arm.fits]

    @property
    def wanted(self) -> Mapping[MeasurementKey, Arm]:
        """Give the measurements that the next look needs."""
        return {self.keys[name]: self.job.plan.arms[name] for name in self.job.plan.arms if name in self._open}

    def take(self, rows: Mapping[str, MeasuredBatch]) -> None:
        """Take the numbers of one chunk, stored or new, by measurement id; of the arms it needs, whatever is there."""
        for name in self._open:
            self._parts[name].append(rows[self.keys[name].id].numbers)

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
        if self._sheet_holds_units():  # a small chunk may hold no pair of two classes, or no whole class
            sheet = self._sheet()
            verdict, p = decide(self.job.plan.question, sheet, self.delta)
            self._open &= self._needed(sheet)
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
            arm_images={name: min(sum(map(len, parts)), self.images) for name, parts in self._parts.items()},
            curve_units={
                name: tuple(sheet.units(quantity.arms()) for _, quantity in series.points)
                for name, series in self.job.plan.curves.items()
            },
            arm_means={name: float(np.mean(sample.values)) for name, sample in sheet.samples.items()},
            series=self.job.plan.curves,
            pairs=self._pairs(),
            groups=self._groups,
            what=self.source.what,
            members=None if self.job.plan.census is None else self.source.population,
            pictures_behind=self.source.pictures_behind(self.images),
            plan=self.job.plan,
            keys=tuple(dict.fromkeys(self.keys.values())),
            out_of_time=not self.done and judgement.verdict in (Verdict.INCONCLUSIVE, Verdict.REPORTED),
        )

    def _needed(self, sheet: Observations) -> set[str]:
        """List the measured arms that an open statement needs, or a curve that has not been shown enough of them."""
        plan = self.job.plan
        named = set(open_arms(plan.question, sheet, self.delta))
        if self.images < SHOWN:
            judged = measured(set(plan.question.arms()), plan.derived)
            named |= set(plan.arms) - judged
        return measured(named, plan.derived)

    @property
    def _pairs_of_set(self) -> np.ndarray:
        return self.source.pairs if self.job.plan.exchanges_classes else self.source.neighbours

    @cached_property
    def _groups(self) -> Groups | None:
        return self.source.groups(self._pairs_of_set if self.job.plan.exchanges else None, self.budget)

    def _sheet_holds_units(self) -> bool:
        if self._groups is not None:
            return self._groups.within(self.images) > 0
        pairs = self._pairs()
        return pairs is None or bool(pairs.first)

    def _pairs(self) -> Pairs | None:
        """List the pairs within the images used: the budget cuts none in two, and neither does a chunk."""
        if not self.job.plan.exchanges:
            return None
        first = self._pairs_of_set
        return Pairs(tuple(first[first < self.images].tolist()), len(first))

    def _refuse_without_pairs(self) -> None:
        first = self._pairs_of_set
        if not (first < self.budget).any():
            raise NotApplicable(
                f"among the first {self.budget} of {self.source.usable} pictures no two neighbours are of "
                "different classes, so none can exchange; allowed: pictures in random order, of more than one class"
            )

    def _refuse_without_classes(self) -> None:
        if self._groups is not None and not self._groups.within(self.budget):
            raise NotApplicable(
                f"the first {self.budget} of {self.source.usable} pictures, in an order by class, complete no class; "
                "allowed with --claims-target classes: pictures of many classes"
            )

    def _sheet(self) -> Observations:
        numbers = {name: np.concatenate(parts)[: self.images] for name, parts in self._parts.items()}
        return lay_out(
            self.job,
            numbers,
            classes=self.source.classes,
            population=self.source.population,
            pairs=self._pairs(),
            groups=self._groups,
        )
