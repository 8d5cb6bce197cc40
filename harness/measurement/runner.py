"""Run plans on a model or a set of them: merged passes, early stop per claim, everything measured kept.

Claims are known before anything runs. Chunk by chunk, the arms that any open statement still needs and the store does
not hold are measured in one pass, stored, and every claim looks at its own numbers. What a claim sees, and when it
stops, is the same whichever other claims run beside it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from harness.errors import NotApplicable
from harness.images.sampling import batch_ranges
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.observed import Job
from harness.measurement.on_images import OnImages
from harness.measurement.on_members import OnMembers
from harness.measurement.plan import Arm, Weights
from harness.measurement.prefix_tree import Bill
from harness.measurement.schedule import NO_END, Clock, Schedule
from harness.measurement.sequential import Outcome, SequentialTest
from harness.measurement.settings import Advance, Missing, silent
from harness.measurement.source import MeasurementSource
from harness.probes.fittable import Fittable
from harness.probes.training.linear import Training
from harness.probes.training.statistics import fit_everything
from harness.readouts.members import FinitePopulation
from harness.results.measurements import MeasurementKey


def unheard(outcome: Outcome) -> None:
    """Tell nobody of an outcome."""


def run(
    jobs: Sequence[Job],
    images: OnImages,
    advance: Advance = silent,
    clock: Clock = NO_END,
    fell: Callable[[Outcome], None] = unheard,
) -> dict[str, Outcome]:
    """Measure and judge claims on one model, or on one set of models; every outcome by claim id, and to `fell` at once.

    When the clock is over the claims that are open end as they stand, and those that were not begun have no outcome.
    Raises what a readout or intervention raises: an error is never a verdict. What was stored before stays.
    """
    outcomes: dict[str, Outcome] = {}
    sources = _sources(jobs, images, advance)
    groups = [(source, [SequentialTest(job, source) for job in group]) for source, group in sources]
    schedule = Schedule(jobs, images, clock)
    while wave := schedule.next():
        start, before = time.perf_counter(), sum(trial.blocks for _, trials in groups for trial in trials)
        for source, trials in groups:
            group = [trial for trial in trials if trial.job.spec.id in wave.claims]
            _fit(group, advance)
            for trial in _run(group, source, advance, wave.clock):
                outcomes[trial.job.spec.id] = outcome = trial.outcome()
                fell(outcome)
        blocks = sum(trial.blocks for _, trials in groups for trial in trials) - before
        schedule.took(blocks, time.perf_counter() - start, outcomes)
    begun = (trial for _, trials in groups for trial in trials if trial.images)
    return outcomes | {trial.job.spec.id: trial.outcome() for trial in begun if trial.job.spec.id not in outcomes}


def checked(job: Job, images: OnImages) -> Job:
    """Give a job whose members or pairs of pictures are there; NotApplicable for another."""
    if job.plan.census is not None or job.plan.exchanges:
        ((source, _),) = _sources([job], images)
        SequentialTest(job, source)
    return job


def keys_of(job: Job, images: OnImages) -> list[MeasurementKey]:
    """Name the measurements of all arms of a job; NotApplicable where its members are not there."""
    ((source, _),) = _sources([job], images)
    return list(dict.fromkeys(source.key(arm) for arm in job.plan.arms.values()))


def _sources(
    jobs: Sequence[Job], images: OnImages, advance: Advance = silent
) -> list[tuple[MeasurementSource, list[Job]]]:
    """Put together the jobs whose arms are measured on the same members: on images, or on the same census."""
    groups: dict[tuple[FinitePopulation, int] | None, list[Job]] = {}
    for job in jobs:
        census = job.plan.census
        groups.setdefault(None if census is None else (census, job.spec.batch or job.spec.pictures), []).append(job)
    return [(images if key is None else OnMembers(images, *key, advance), group) for key, group in groups.items()]


def _run(
    trials: list[SequentialTest], source: MeasurementSource, advance: Advance, clock: Clock
) -> Iterator[SequentialTest]:
    """Measure chunk by chunk until every claim is decided, its budget used or the time up; give claims as they fall."""
    total = max((trial.budget for trial in trials), default=0)
    with ThreadPoolExecutor(max_workers=1) as pool:
        loader = _Loader(source, pool)
        for number, positions in enumerate(source.grid):
            active = [trial for trial in trials if not trial.done]
            if not active or clock.over:
                break
            if not (here := [trial for trial in active if trial.images <= positions.start]):
                continue  # all were here before their time was up
            advance(source.what, min(positions.start, total), total)
            _look(here, source, positions, loader, source.grid[number + 1 : number + 2])
            for trial in here:
                trial.look(positions)
            yield from (trial for trial in here if trial.done)
    advance(source.what, total, total)


class _Loader:
    """Loads the next chunk while the current one is measured."""

    def __init__(self, source: MeasurementSource, pool: ThreadPoolExecutor) -> None:
        self.source, self.pool = source, pool
        self.ahead: tuple[range, Future[Any]] | None = None

    def get(self, positions: range, following: Sequence[range]) -> Any:
        """Give this chunk and start on the following one."""
        ready = self.ahead[1] if self.ahead and self.ahead[0] == positions else None
        loaded = ready.result() if ready else self.source.load(positions)
        self.ahead = (following[0], self.pool.submit(self.source.load, following[0])) if following else None
        return loaded


def _look(
    active: list[SequentialTest],
    source: MeasurementSource,
    positions: range,
    loader: _Loader,
    following: Sequence[range],
) -> None:
    """Give every active claim the numbers of one chunk, measuring what the store does not hold."""
    arms: dict[MeasurementKey, Arm] = {}
    claimants: dict[MeasurementKey, set[str]] = {}
    for trial in active:
        for key, arm in trial.wanted.items():
            arms[key] = arm
            claimants.setdefault(key, set()).add(trial.job.spec.id)
    rows = source.store.load({key.id for key in arms}, positions)
    missing = {key: (arm, frozenset(claimants[key])) for key, arm in arms.items() if key.id not in rows}
    if missing:
        start = time.perf_counter()
        fresh, bill = source.measure(missing, positions, loader.get(positions, following))
        source.store.append(positions, fresh)
        rows |= {key.id: row for key, row in fresh.items()}
        _charge(active, missing, bill, time.perf_counter() - start, len(positions))
    for trial in active:
        trial.take(rows)


def _charge(active: list[SequentialTest], missing: Missing, bill: Bill, seconds: float, images: int) -> None:
    """Bill a pass: time follows block evaluations, and whoever wanted something pays at least one per image."""
    wanting = set().union(*(claims for _, claims in missing.values()))
    weights = {name: bill.shares.get(name, 0.0) + images for name in wanting}
    for trial in active:
        name = trial.job.spec.id
        if name in wanting:
            share = seconds * weights[name] / sum(weights.values())
            trial.charge(blocks=bill.shares.get(name, 0.0), seconds=share, images=images)


def _fit(trials: list[SequentialTest], advance: Advance) -> None:
    """Fit what the readouts of the claims need, for each model and set of weights, and split the bill."""
    by_model: dict[LoadedModel, list[tuple[Weights, Fittable]]] = {}
    for trial in trials:
        for model, which, described in trial.fits:
            if (which, described) not in model.fits:
                by_model.setdefault(model, []).append((which, described))
    start = time.perf_counter()
    for model, wanted in by_model.items():
        _fit_model(model, list(dict.fromkeys(wanted)), advance)
    users = [trial for trial in trials if trial.fits]
    for trial in users if by_model else ():
        trial.charge(blocks=0.0, seconds=(time.perf_counter() - start) / len(users), images=0)


def _fit_model(model: LoadedModel, wanted: Sequence[tuple[Weights, Fittable]], advance: Advance) -> None:
    if model.train is None:
        raise NotApplicable("no training images are given (--train-data)")
    grid = batch_ranges(len(model.train), model.settings.batch_size)
    for which in dict.fromkeys(owner for owner, _ in wanted):
        training = Training(subject=model.weights(which), images=model.train, chunks=grid, seed=model.settings.seed)
        mine = [described for owner, described in wanted if owner == which]
        found = fit_everything(mine, training, model.fit_place(which), advance)
        model.fits |= {(which, described): fit for described, fit in found.items()}
