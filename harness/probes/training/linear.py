"""Fitting probes: passes over the training images that fill moments or feature tables, checkpointed on the way.

Probes are taken together as far as a byte budget reaches, in one pass; a further pass serves the next ones.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.images.open import ImageSet
from harness.images.sampling import donors
from harness.models.subject import Subject
from harness.probes.lda import fit_lda
from harness.probes.logistic import Examples, fit_logistic, fit_sgd
from harness.probes.moments import Moments
from harness.probes.probe import FOLDS, Fit, Probe, check_probe
from harness.probes.ridge import fit_ridge
from harness.probes.training.accumulate import Accumulated, Accumulator, held_bytes, part_of
from harness.probes.training.code import code_of
from harness.probes.training.design import Design
from harness.probes.training.feature_pass import FeaturePass, Found
from harness.probes.training.files import FitPlace, partial_name

HELD_BYTES = 8 * 2**30  # of moments and feature tables in memory at a time
ROWS_PER_UPDATE = 512  # images whose features are collected before they are added up
CHECKPOINT_SECONDS = 20.0
CHECKPOINT_SHARE = 0.05  # of the time, at most, goes into checkpoints
Advance = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is fitted on: a model, labelled images in a grid of chunks, and the seed of folds and permuted labels."""

    subject: Subject
    images: ImageSet
    chunks: Sequence[range]
    seed: int

    @property
    def labels(self) -> np.ndarray:
        """Give the labels [image]; raises ClaimsError without labels or with fewer images than folds."""
        if self.images.labels is None or len(self.images) < FOLDS:
            raise ClaimsError(f"{self.images.name}: fits need at least {FOLDS} labelled training images")
        return self.images.labels

    @property
    def classes(self) -> int:
        """Count the classes that a fit tells apart."""
        return max(self.subject.card.classes, int(self.labels.max()) + 1)


def fit_probes(
    probes: Sequence[Probe], training: Training, place: FitPlace, advance: Advance
) -> Iterator[tuple[Probe, Fit]]:
    """Fit probes in as few passes over the training images as memory allows.

    Raises ClaimsError for probes that the model cannot have and images that cannot teach.
    """
    for probe in probes:
        check_probe(probe, training.subject.card)
    design = Design(training.labels, training.chunks, training.seed)
    for group in groups(probes, training):
        accumulator = Accumulator(group, design, training.classes)
        name = partial_name(place.id(probe, code_of(probe)) for probe in group)
        _Pass(accumulator, training, place, name).run(advance)
        for probe in group:
            yield probe, fit_probe(probe, accumulator.filled[part_of(probe)], design, training)
        place.drop(name)


def groups(probes: Sequence[Probe], training: Training) -> Iterator[list[Probe]]:
    """Cut probes into runs whose moments and tables are in memory together."""
    width, classes, images = training.subject.card.width, training.classes, len(training.images)
    group: list[Probe] = []
    for probe in probes:
        if group and held_bytes([*group, probe], width, classes, images) > HELD_BYTES:
            yield group
            group = []
        group.append(probe)
    if group:
        yield group


def fit_probe(probe: Probe, filled: Accumulated, design: Design, training: Training) -> Fit:
    """Fit one probe from what was accumulated for it."""
    if isinstance(filled, Moments):
        if probe.family == "lda":
            return fit_lda(filled, probe.labels)
        return fit_ridge(filled, probe.labels, standardized=probe.standardized)
    exchanged = probe.reads.after is not None
    rows = design.rows(probe.shots, exchanged)
    labels = design.targets(probe.labels, probe.shots, exchanged)
    examples = Examples(
        inputs=filled.rows[rows], labels=labels[rows], folds=design.folds[rows], classes=training.classes
    )
    return fit_logistic(examples) if probe.family == "logistic" else fit_sgd(examples, training.seed)


class _Pass:
    """One pass over the training images, which goes on from its checkpoint."""

    def __init__(self, accumulator: Accumulator, training: Training, place: FitPlace, name: str) -> None:
        self.accumulator, self.training = accumulator, training
        self.place, self.name = place, name
        self.features = FeaturePass(training.subject, accumulator.reads())
        self.saved, self.pause = time.monotonic(), CHECKPOINT_SECONDS

    def run(self, advance: Advance) -> None:
        chunks, total = self.training.chunks, len(self.training.images)
        done = self._resume()
        collected: list[Found] = []
        start = chunks[done - 1].stop if done else 0
        for number, chunk in enumerate(chunks):
            if number < done:
                advance("training images", chunk.stop, total)
                continue
            collected.append(self._read(chunk))
            full = chunk.stop - start >= ROWS_PER_UPDATE or number == len(chunks) - 1
            if full:
                joined = {reads: np.concatenate([found[reads] for found in collected]) for reads in collected[0]}
                self.accumulator.add(range(start, chunk.stop), joined)
                collected, start = [], chunk.stop
            advance("training images", chunk.stop, total)
            if full:
                self._checkpoint(number + 1)

    def _read(self, positions: range) -> Found:
        training = self.training
        chunk = Batch(
            positions=positions, donors=torch.from_numpy(donors(len(positions))), labels=None, seed=training.seed
        )
        return self.features.read(training.images.load(positions, training.subject.card.preprocessing), chunk)

    def _checkpoint(self, done: int) -> None:
        """Save what is there, unless that was done a short while ago, as measured by how long saving takes."""
        start = time.monotonic()
        if self.place.folder is None or start - self.saved <= self.pause:
            return
        self.place.write(self.name, {"done": np.array([done]), **self.accumulator.arrays()})
        self.saved = time.monotonic()
        self.pause = (
            max(CHECKPOINT_SECONDS, (self.saved - start) / CHECKPOINT_SHARE) if CHECKPOINT_SECONDS > 0 else -1.0
        )

    def _resume(self) -> int:
        """Take up what was saved; the number of chunks that it holds."""
        if (arrays := self.place.read(self.name)) is None:
            return 0
        self.accumulator.restore(arrays)
        return int(arrays["done"][0])
