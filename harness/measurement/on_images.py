"""The same images under several models: what a claim that compares them is measured on."""

from collections.abc import Mapping

import numpy as np
import torch

from harness.errors import ClaimsError
from harness.judging.ledger import ClaimSpec
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.plan import Arm
from harness.measurement.prefix_tree import Bill
from harness.measurement.source import Missing
from harness.results.measurements import MeasuredBatch, MeasurementKey


class OnSeveralModels:
    """Benches by role, over one set of images in one order, so that arms are paired by image (a `MeasurementSource`).

    Raises ClaimsError where the images, their order or the settings differ.
    """

    what = "images"

    def __init__(self, by_role: Mapping[str, LoadedModel]) -> None:
        self.by_role = dict(by_role)
        first, *others = self.by_role.values()
        for other in others:
            if (other.images.fingerprint, len(other.images)) != (first.images.fingerprint, len(first.images)):
                raise ClaimsError(
                    f"{other.subject.card.name} and {first.subject.card.name} are to be compared on the same images, "
                    f"but see {len(other.images)} of {other.images.name} and {len(first.images)} of {first.images.name}"
                )
            if other.settings != first.settings or other.classes != first.classes:
                raise ClaimsError(
                    f"{other.subject.card.name} and {first.subject.card.name} cannot be compared: they have "
                    f"{other.classes} and {first.classes} classes, under {other.settings} and {first.settings}"
                )
        self._first = first
        self.settings, self.store = first.settings, first.store

    @property
    def benches(self) -> tuple[LoadedModel, ...]:
        """List the models by role."""
        return tuple(self.by_role.values())

    @property
    def classes(self) -> int:
        """Count the classes."""
        return self._first.classes

    @property
    def grid(self) -> tuple[range, ...]:
        """Cut the images into chunks."""
        return self._first.grid

    @property
    def usable(self) -> int:
        """Count the images that can be measured."""
        return self._first.usable

    @property
    def population(self) -> int | None:
        """Count the images where a statement is about exactly them."""
        return self._first.population

    @property
    def pairs(self) -> np.ndarray:
        """List the pairs of images that exchange."""
        return self._first.pairs

    def most(self, spec: ClaimSpec) -> int:
        """Give the most images that a claim may use."""
        return self._first.most(spec)

    def bench_of(self, arm: Arm) -> LoadedModel:
        """Give the model in the role of an arm."""
        return self.by_role[arm.subject]

    def key(self, arm: Arm) -> MeasurementKey:
        """Name the measurement of an arm as it is named for its model alone, so that pairs share it."""
        return self.bench_of(arm).key(arm)

    def load(self, positions: range) -> dict[str, torch.Tensor]:
        """Load a chunk as each model takes it, once for all that take it alike."""
        made: dict[str, torch.Tensor] = {}
        loaded = {}
        for role, bench in self.by_role.items():
            looks = repr(bench.subject.card.preprocessing)
            if looks not in made:
                made[looks] = bench.load(positions)
            loaded[role] = made[looks]
        return loaded

    def measure(
        self, missing: Missing, positions: range, loaded: dict[str, torch.Tensor]
    ) -> tuple[dict[MeasurementKey, MeasuredBatch], Bill]:
        """Measure the arms of each model in its own merged pass."""
        fresh: dict[MeasurementKey, MeasuredBatch] = {}
        bill = Bill()
        for role, bench in self.by_role.items():
            own = {key: entry for key, entry in missing.items() if entry[0].subject == role and key not in fresh}
            if own:
                rows, part = bench.measure(own, positions, loaded[role])
                fresh |= rows
                bill.add(part)
        return fresh, bill
