"""The images of a run under one model, or under several that a claim compares: one way to measure arms on them."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import torch

from harness.errors import ClaimsError
from harness.images.class_order import class_units
from harness.images.sampling import exchange_pairs
from harness.judging.ledger import ClaimSpec
from harness.judging.observations import Groups
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.plan import Arm
from harness.measurement.prefix_tree import Bill
from harness.measurement.settings import CLASSES, IMAGES, Missing
from harness.results.measurements import MeasuredBatch, MeasurementKey


class OnImages:
    """Models by role over one set of images in one order, so that arms are paired by image (a `MeasurementSource`).

    A claim about one model has the one role "". Raises ClaimsError where the images, their order or the settings of the
    models differ.
    """

    what = "images"

    def __init__(self, by_role: Mapping[str, LoadedModel]) -> None:
        self.by_role = dict(by_role)
        self._first, *others = self.by_role.values()
        for other in others:
            _refuse_unpaired(self._first, other)
        self.settings, self.store = self._first.settings, self._first.store
        self.grid, self.usable, self.classes = self._first.grid, self._first.usable, self._first.classes
        self.population = self.usable if self.settings.target == IMAGES else None

    @classmethod
    def of(cls, model: LoadedModel) -> "OnImages":
        """Ask one model."""
        return cls({"": model})

    @cached_property
    def pairs(self) -> np.ndarray:
        """List the pairs of images that exchange class tokens and count, by their first positions [pair]."""
        return exchange_pairs(self._first.images.labels, self.grid)

    @cached_property
    def neighbours(self) -> np.ndarray:
        """List all pairs of neighbours, of whatever classes, by their first positions [pair]."""
        return exchange_pairs(None, self.grid)

    @property
    def models(self) -> tuple[LoadedModel, ...]:
        """List the models in the order of their roles."""
        return tuple(self.by_role.values())

    def most(self, spec: ClaimSpec) -> int:
        """Give the most images that a claim may use: its budget, capped by the run and by what is there."""
        return min(spec.budget, self.usable, self.settings.max_images or spec.budget)

    def groups(self, pairs: np.ndarray | None, images: int) -> Groups | None:
        """Say which of the first images make up one class, where classes are what is counted."""
        labels = self._first.images.labels
        if self.settings.target != CLASSES or labels is None:
            return None
        return class_units(labels[:images], None if pairs is None else pairs[pairs + 1 < images])

    def pictures_behind(self, members: int) -> int:
        """Count the pictures: members are pictures."""
        return members

    def model_of(self, arm: Arm) -> LoadedModel:
        """Give the model in the role of an arm."""
        return self.by_role[arm.subject]

    def key(self, arm: Arm) -> MeasurementKey:
        """Name the measurement of an arm as it is named for its model alone, so that groups share it."""
        return self.model_of(arm).key(arm)

    def load(self, positions: range) -> dict[str, torch.Tensor]:
        """Load a chunk as each model takes it, once for all that take it alike."""
        made: dict[str, torch.Tensor] = {}
        loaded = {}
        for role, model in self.by_role.items():
            looks = repr(model.subject.card.preprocessing)
            if looks not in made:
                made[looks] = model.load(positions)
            loaded[role] = made[looks]
        return loaded

    def measure(
        self, missing: Missing, positions: range, loaded: dict[str, torch.Tensor]
    ) -> tuple[dict[MeasurementKey, MeasuredBatch], Bill]:
        """Measure the arms of each model in its own merged pass."""
        fresh: dict[MeasurementKey, MeasuredBatch] = {}
        bill = Bill()
        for role, model in self.by_role.items():
            own = {key: entry for key, entry in missing.items() if entry[0].subject == role and key not in fresh}
            if own:
                rows, part = model.measure(own, positions, loaded[role])
                fresh |= rows
                bill.add(part)
        return fresh, bill


def _refuse_unpaired(first: LoadedModel, other: LoadedModel) -> None:
    names = f"{other.subject.card.name} and {first.subject.card.name}"
    if (other.images.fingerprint, len(other.images)) != (first.images.fingerprint, len(first.images)):
        raise ClaimsError(
            f"{names} are to be compared on the same images, "
            f"but see {len(other.images)} of {other.images.name} and {len(first.images)} of {first.images.name}"
        )
    if other.settings != first.settings or other.classes != first.classes:
        raise ClaimsError(
            f"{names} cannot be compared: they have "
            f"{other.classes} and {first.classes} classes, under {other.settings} and {first.settings}"
        )
