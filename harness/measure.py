"""Run plans on one model: merged passes over chunks, early stop per claim, everything measured kept.

Claims are known before anything runs. Chunk by chunk, the arms that any undecided claim still needs and the store does
not hold are measured in one pass, stored, and every claim looks at its own numbers. What a claim sees, and when it
stops, is the same whichever other claims run beside it.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from harness import readouts
from harness.chunks import chunk_grid, donors
from harness.errors import ClaimsError, NotApplicable
from harness.fits import FitPlace, fit_probes
from harness.images import ImageSet
from harness.interventions import Chunk, code_revision
from harness.passes import Bill, Wanted, measure_chunk
from harness.plan import Arm, Plan, Weights
from harness.probes import Fit, Probe
from harness.spec import ClaimSpec
from harness.statements import Sample, Sheet
from harness.store import MeasurementKey, Row, Store
from harness.subject import Subject
from harness.verdict import Judgement, Verdict, decide, judge

Advance = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run may vary without changing a claim; `delta` and `max_images` None leave it to the ledger.

    `population` judges the image set itself (sampling without replacement) and not the distribution behind it.
    """

    batch_size: int = 64
    delta: float | None = None
    max_images: int | None = None
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    population: bool = False


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
    far) after every chunk; `arms` maps arm names to measurement ids.
    """

    spec: ClaimSpec
    judgement: Judgement
    images: int
    delta: float
    cost: Cost
    curves: Mapping[str, tuple[tuple[int, float, float, float], ...]] = field(default_factory=dict)
    trace: tuple[tuple[int, float], ...] = ()
    arms: Mapping[str, str] = field(default_factory=dict)
    arm_means: Mapping[str, float] = field(default_factory=dict)


class Bench:
    """One loaded model beside the images it is measured on."""

    def __init__(
        self,
        subject: Subject,
        images: ImageSet,
        store: Store,
        settings: Settings,
        train: ImageSet | None = None,
    ) -> None:
        self.subject, self.images, self.train = subject, images, train
        self.store, self.settings = store, settings
        self.grid = chunk_grid(len(images), settings.batch_size)
        self.fits: dict[tuple[Weights, Probe], Fit] = {}

    @cached_property
    def _twin(self) -> Subject:
        return self.subject.untrained(self.settings.seed)

    @cached_property
    def _hashes(self) -> dict[Weights, str]:
        return {}

    def weights(self, which: Weights) -> Subject:
        """Give the model itself or its untrained twin."""
        return self.subject if which == "given" else self._twin

    def weights_hash(self, which: Weights) -> str:
        """Hash the weights once."""
        if which not in self._hashes:
            self._hashes[which] = self.weights(which).weights_hash()
        return self._hashes[which]

    def chunk(self, positions: range) -> Chunk:
        """Describe one chunk: donors and labels are fixed by seed and grid."""
        labels = self.images.labels
        device = self.settings.device
        return Chunk(
            positions=positions,
            donors=torch.from_numpy(donors(labels, positions, self.settings.seed)).to(device),
            labels=None if labels is None else torch.from_numpy(labels[positions.start : positions.stop]).to(device),
            seed=self.settings.seed,
        )

    def load(self, positions: range) -> torch.Tensor:
        """Load one chunk of preprocessed pictures onto the device in the run's dtype."""
        batch = self.images.load(positions, self.subject.card.preprocessing)
        return batch.to(device=self.settings.device, dtype=getattr(torch, self.settings.dtype))

    def key(self, arm: Arm) -> MeasurementKey:
        """Name the measurement of an arm by everything that it depends on."""
        probes = arm.readout.probes()
        return MeasurementKey(
            weights=self.weights_hash(arm.weights),
            subject_code=subject_revision(self.subject),
            preprocessing=repr(self.subject.card.preprocessing),
            images=self.images.fingerprint,
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            dtype=self.settings.dtype,
            device=torch.device(self.settings.device).type,
            intervention=arm.intervention.key,
            intervention_code=arm.intervention.revision,
            readout=repr(arm.readout),
            readout_code=readouts.revision(arm.readout),
            fits="+".join(self.fit_place(arm.weights).id(probe) for probe in probes),
        )

    def fit_place(self, which: Weights) -> FitPlace:
        """Say where fits of these weights are kept, and in which context they hold."""
        folder = None if self.store.folder is None else self.store.folder / "fits"
        train = "" if self.train is None else f"{self.train.fingerprint}/{len(self.train)}"
        parts = (
            self.weights_hash(which),
            subject_revision(self.subject),
            train,
            repr(self.subject.card.preprocessing),
            str(self.settings),
        )
        return FitPlace(folder=folder, context="/".join(parts))


def run(jobs: Sequence[Job], bench: Bench, advance: Advance = lambda what, done, total: None) -> dict[str, Outcome]:
    """Measure and judge claims on one model; every outcome by claim id.

    Raises what a readout or intervention raises: an error is never a verdict. What was stored before stays.
    """
    runs = [_Run(job, bench) for job in jobs]
    _fit(runs, bench, advance)
    total = max((one.budget for one in runs), default=0)
    with ThreadPoolExecutor(max_workers=1) as pool:
        loader = _Loader(bench, pool)
        for number, positions in enumerate(bench.grid):
            active = [one for one in runs if not one.done]
            if not active:
                break
            advance("images", min(positions.start, total), total)
            _look(active, bench, positions, loader, bench.grid[number + 1 : number + 2])
            for one in active:
                one.look(positions)
    return {one.job.spec.id: one.outcome() for one in runs}


def subject_revision(subject: Subject) -> str:
    """Identify the code that runs a model: adapters, passes, the model's own module and the library versions."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*here.glob("adapters/*.py"), here / "passes.py", here / "chunks.py", here / "subject.py"]):
        digest.update(path.read_bytes())
    model = getattr(subject, "model", subject)
    digest.update(code_revision({type(subject), type(model)}).encode())
    digest.update(torch.__version__.encode())
    return digest.hexdigest()[:16]


class _Run:
    """One claim on its way to a verdict."""

    def __init__(self, job: Job, bench: Bench) -> None:
        self.job, self.bench = job, bench
        self.keys = {name: bench.key(arm) for name, arm in job.plan.arms.items()}
        self.ids = {name: key.id for name, key in self.keys.items()}
        settings = bench.settings
        self.delta = settings.delta or job.spec.delta
        limits = [job.spec.budget, len(bench.images), settings.max_images or job.spec.budget]
        self.budget = min(limits)
        self.parts: dict[str, list[np.ndarray]] = {name: [] for name in job.plan.arms}
        self.images, self.measured, self.seconds, self.blocks = 0, 0, 0.0, 0.0
        self.trace: list[tuple[int, float]] = []
        self.done = False

    @property
    def probes(self) -> list[tuple[Weights, Probe]]:
        return [(arm.weights, probe) for arm in self.job.plan.arms.values() for probe in arm.readout.probes()]

    def take(self, rows: Mapping[str, Row]) -> None:
        """Take the numbers of one chunk, stored or new."""
        for name, identifier in self.ids.items():
            self.parts[name].append(rows[identifier].numbers)

    def look(self, positions: range) -> None:
        """Weigh what is there; stop when the verdict is certain or the budget is used."""
        start = time.perf_counter()
        self.images = min(positions.stop, self.budget)
        verdict, p = decide(self.job.plan.question, self.sheet(), self.delta)
        self.trace.append((self.images, p))
        decided = verdict not in (Verdict.INCONCLUSIVE, Verdict.REPORTED)
        self.done = decided or self.images >= self.budget
        self.seconds += time.perf_counter() - start

    def sheet(self) -> Sheet:
        """Lay out the numbers of the images used so far."""
        arms = self.job.plan.arms
        samples = {
            name: Sample(np.concatenate(parts)[: self.images], arms[name].readout.low, arms[name].readout.high)
            for name, parts in self.parts.items()
        }
        return sheet_of(samples, self.job.spec, self.bench)

    def outcome(self) -> Outcome:
        """Write down the verdict with curves and cost."""
        start = time.perf_counter()
        sheet = self.sheet()
        judgement = judge(self.job.plan.question, sheet, self.delta)
        drawn = draw_curves(self.job.plan, sheet, self.delta)
        self.seconds += time.perf_counter() - start
        cost = Cost(block_evaluations=self.blocks, seconds=self.seconds, measured_images=self.measured)
        return Outcome(
            spec=self.job.spec,
            judgement=judgement,
            images=self.images,
            delta=self.delta,
            cost=cost,
            curves=drawn,
            trace=tuple(self.trace),
            arms=self.ids,
            arm_means={name: float(np.mean(sample.values)) for name, sample in sheet.samples.items()},
        )


class _Loader:
    """Decodes the next chunk while the current one is measured."""

    def __init__(self, bench: Bench, pool: ThreadPoolExecutor) -> None:
        self.bench, self.pool = bench, pool
        self.ahead: tuple[range, Future] | None = None

    def get(self, positions: range, following: Sequence[range]) -> torch.Tensor:
        """Give this chunk and start on the following one."""
        ready = self.ahead[1] if self.ahead and self.ahead[0] == positions else None
        batch = ready.result() if ready else self.bench.load(positions)
        self.ahead = (following[0], self.pool.submit(self.bench.load, following[0])) if following else None
        return batch


def sheet_of(samples: Mapping[str, Sample], spec: ClaimSpec, bench: Bench) -> Sheet:
    """Lay samples beside the bounds of the ledger."""
    population = len(bench.images) if bench.settings.population else None
    return Sheet(samples=samples, bounds=spec.bounds, classes=bench.subject.card.classes or bench.images.classes, population=population)


def draw_curves(plan: Plan, sheet: Sheet, delta: float) -> dict[str, tuple[tuple[int, float, float, float], ...]]:
    """Estimate every curve of a plan with anytime-valid intervals, point by point, at error `delta` each."""
    drawn = {}
    for name, series in plan.curves.items():
        rows = []
        for layer, quantity in series.points:
            low, high = quantity.interval(sheet, delta)
            rows.append((layer, quantity.estimate(sheet), low, high))
        drawn[name] = tuple(rows)
    return drawn


def _look(active: list[_Run], bench: Bench, positions: range, loader: _Loader, following: Sequence[range]) -> None:
    """Give every active claim the numbers of one chunk, measuring what the store does not hold."""
    needed: dict[MeasurementKey, tuple[Arm, set[str]]] = {}
    for one in active:
        for name, key in one.keys.items():
            needed.setdefault(key, (one.job.plan.arms[name], set()))[1].add(one.job.spec.id)
    rows = bench.store.load({key.id for key in needed}, positions)
    missing = {key: entry for key, entry in needed.items() if key.id not in rows}
    if missing:
        start = time.perf_counter()
        fresh, bill = _measure(missing, bench, positions, loader, following)
        bench.store.append(positions, fresh)
        rows |= {key.id: row for key, row in fresh.items()}
        _charge(active, missing, bill, time.perf_counter() - start, len(positions))
    for one in active:
        one.take(rows)


def _measure(missing, bench: Bench, positions: range, loader: _Loader, following) -> tuple[dict[MeasurementKey, Row], Bill]:
    """Measure arms on one chunk: one merged pass per set of weights."""
    images, chunk, bill = loader.get(positions, following), bench.chunk(positions), Bill()
    fresh: dict[MeasurementKey, Row] = {}
    for which in dict.fromkeys(arm.weights for arm, _ in missing.values()):
        keys = [key for key, (arm, _) in missing.items() if arm.weights == which]
        wanted = [
            Wanted(intervention=missing[key][0].intervention, readout=missing[key][0].readout, claimants=frozenset(missing[key][1]))
            for key in keys
        ]
        fits = {probe: fit for (owner, probe), fit in bench.fits.items() if owner == which}
        rows = measure_chunk(bench.weights(which), images, chunk, wanted, fits, bill)
        fresh |= dict(zip(keys, rows, strict=True))
    return fresh, bill


def _charge(active: list[_Run], missing, bill: Bill, seconds: float, images: int) -> None:
    """Bill a pass: time follows block evaluations, a readout without a block of its own counts one image."""
    wanting = set().union(*(claims for _, claims in missing.values()))
    weights = {name: bill.shares.get(name, 0.0) + images for name in wanting}
    for one in active:
        name = one.job.spec.id
        if name in wanting:
            one.blocks += bill.shares.get(name, 0.0)
            one.seconds += seconds * weights[name] / sum(weights.values())
            one.measured += images


def _fit(runs: list[_Run], bench: Bench, advance: Advance) -> None:
    """Fit the probes that the claims need, in one pass per set of weights, and split the bill."""
    wanted = list(dict.fromkeys(probe for one in runs for probe in one.probes if probe not in bench.fits))
    if not wanted:
        return
    if bench.train is None:
        raise NotApplicable("no training images are given (--train-data)")
    start, seen = time.perf_counter(), [0]

    def step(images: int) -> None:
        seen[0] += images
        advance("training images", seen[0], len(bench.train or ()))

    for which in dict.fromkeys(owner for owner, _ in wanted):
        probes = [probe for owner, probe in wanted if owner == which]
        grid = chunk_grid(len(bench.train), bench.settings.batch_size)
        found = fit_probes(
            probes, bench.weights(which), bench.train, bench.fit_place(which), chunks=grid, seed=bench.settings.seed, advance=step
        )
        bench.fits |= {(which, probe): fit for probe, fit in found.items()}
    users = [one for one in runs if one.probes]
    for one in users:
        one.seconds += (time.perf_counter() - start) / len(users)
