"""Run plans on one model: merged passes over chunks, early stop per claim, everything measured kept.

Claims are known before anything runs. Chunk by chunk, the arms that any undecided claim still needs and the store does
not hold are measured in one pass, stored, and every claim looks at its own numbers. What a claim sees, and when it
stops, is the same whichever other claims run beside it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from harness.bench import Bench
from harness.chunks import chunk_grid
from harness.errors import NotApplicable
from harness.fits import fit_all
from harness.passes import Bill, Wanted, measure_chunk
from harness.plan import Arm
from harness.probe_fits import Training
from harness.store import MeasurementKey, Row
from harness.trial import Job, Outcome, Trial

Advance = Callable[[str, int, int], None]
Missing = Mapping[MeasurementKey, tuple[Arm, frozenset[str]]]


def silent(what: str, done: int, total: int) -> None:
    """Show no progress."""


def run(jobs: Sequence[Job], bench: Bench, advance: Advance = silent) -> dict[str, Outcome]:
    """Measure and judge claims on one model; every outcome by claim id.

    Raises what a readout or intervention raises: an error is never a verdict. What was stored before stays.
    """
    trials = [Trial(job, bench) for job in jobs]
    _fit(trials, bench, advance)
    total = max((trial.budget for trial in trials), default=0)
    with ThreadPoolExecutor(max_workers=1) as pool:
        loader = _Loader(bench, pool)
        for number, positions in enumerate(bench.grid):
            active = [trial for trial in trials if not trial.done]
            if not active:
                break
            advance("images", min(positions.start, total), total)
            _look(active, bench, positions, loader, bench.grid[number + 1 : number + 2])
            for trial in active:
                trial.look(positions)
    advance("images", total, total)
    return {trial.job.spec.id: trial.outcome() for trial in trials}


class _Loader:
    """Decodes the next chunk while the current one is measured."""

    def __init__(self, bench: Bench, pool: ThreadPoolExecutor) -> None:
        self.bench, self.pool = bench, pool
        self.ahead: tuple[range, Future[torch.Tensor]] | None = None

    def get(self, positions: range, following: Sequence[range]) -> torch.Tensor:
        """Give this chunk and start on the following one."""
        ready = self.ahead[1] if self.ahead and self.ahead[0] == positions else None
        batch = ready.result() if ready else self.bench.load(positions)
        self.ahead = (following[0], self.pool.submit(self.bench.load, following[0])) if following else None
        return batch


def _look(active: list[Trial], bench: Bench, positions: range, loader: _Loader, following: Sequence[range]) -> None:
    """Give every active claim the numbers of one chunk, measuring what the store does not hold."""
    arms: dict[MeasurementKey, Arm] = {}
    claimants: dict[MeasurementKey, set[str]] = {}
    for trial in active:
        for name, key in trial.keys.items():
            arms[key] = trial.job.plan.arms[name]
            claimants.setdefault(key, set()).add(trial.job.spec.id)
    rows = bench.store.load({key.id for key in arms}, positions)
    missing = {key: (arm, frozenset(claimants[key])) for key, arm in arms.items() if key.id not in rows}
    if missing:
        start = time.perf_counter()
        images = loader.get(positions, following)
        fresh, bill = _measure(missing, bench, positions, images)
        bench.store.append(positions, fresh)
        rows |= {key.id: row for key, row in fresh.items()}
        _charge(active, missing, bill, time.perf_counter() - start, len(positions))
    for trial in active:
        trial.take(rows)


def _measure(
    missing: Missing, bench: Bench, positions: range, images: torch.Tensor
) -> tuple[dict[MeasurementKey, Row], Bill]:
    """Measure arms on one chunk: one merged pass per set of weights."""
    chunk, bill = bench.chunk(positions), Bill()
    fresh: dict[MeasurementKey, Row] = {}
    for which in dict.fromkeys(arm.weights for arm, _ in missing.values()):
        lane = {key: (arm, claims) for key, (arm, claims) in missing.items() if arm.weights == which}
        wanted = [
            Wanted(intervention=arm.intervention, readout=arm.readout, claimants=claims)
            for arm, claims in lane.values()
        ]
        fits = {described: fit for (owner, described), fit in bench.fits.items() if owner == which}
        rows = measure_chunk(bench.weights(which), images, chunk, wanted, fits, bill)
        fresh |= dict(zip(lane, rows, strict=True))
    return fresh, bill


def _charge(active: list[Trial], missing: Missing, bill: Bill, seconds: float, images: int) -> None:
    """Bill a pass: time follows block evaluations, and whoever wanted something pays at least one per image."""
    wanting = set().union(*(claims for _, claims in missing.values()))
    weights = {name: bill.shares.get(name, 0.0) + images for name in wanting}
    for trial in active:
        name = trial.job.spec.id
        if name in wanting:
            share = seconds * weights[name] / sum(weights.values())
            trial.charge(blocks=bill.shares.get(name, 0.0), seconds=share, images=images)


def _fit(trials: list[Trial], bench: Bench, advance: Advance) -> None:
    """Fit what the readouts of the claims need, for each set of weights, and split the bill."""
    wanted = list(dict.fromkeys(fit for trial in trials for fit in trial.fits if fit not in bench.fits))
    if not wanted:
        return
    if bench.train is None:
        raise NotApplicable("no training images are given (--train-data)")
    start, grid = time.perf_counter(), chunk_grid(len(bench.train), bench.settings.batch_size)
    for which in dict.fromkeys(owner for owner, _ in wanted):
        training = Training(subject=bench.weights(which), images=bench.train, chunks=grid, seed=bench.settings.seed)
        mine = [described for owner, described in wanted if owner == which]
        found = fit_all(mine, training, bench.fit_place(which), advance)
        bench.fits |= {(which, described): fit for described, fit in found.items()}
    users = [trial for trial in trials if trial.fits]
    for trial in users:
        trial.charge(blocks=0.0, seconds=(time.perf_counter() - start) / len(users), images=0)
