"""The models that are in memory, each beside its images: only those of one group at a time."""

from collections.abc import Mapping

import torch

from harness.measurement.loaded_model import LoadedModel
from harness.measurement.on_images import OnImages
from harness.measurement.settings import Settings
from harness.models.groups import ModelGroup
from harness.models.zoo import ModelEntry
from harness.results.measurements import Store
from harness.running.options import RunOptions
from harness.running.run_images import measured_images, training_images
from harness.trainings.families import TRAINED_ON


class LoadedModels:
    """Loads models when they are asked for and lets go of the others."""

    def __init__(self, options: RunOptions, entries: Mapping[str, ModelEntry], store: Store) -> None:
        self.options, self.entries, self.store = options, entries, store
        self.by_name: dict[str, LoadedModel] = {}

    def take(self, group: ModelGroup, budget: int) -> OnImages:
        """Give the models of a group beside at least `budget` images; the others leave memory first."""
        names = set(group.roles.values())
        self.by_name = {name: model for name, model in self.by_name.items() if name in names}
        return OnImages({role: self._load(name, budget) for role, name in group.roles.items()})

    def clear(self) -> None:
        """Forget every model."""
        self.by_name = {}

    def _load(self, name: str, budget: int) -> LoadedModel:
        entry = self.entries[name]
        images = measured_images(self.options, entry.card, budget)
        if name in self.by_name and len(self.by_name[name].images) == len(images):
            return self.by_name[name]
        subject = entry.load(self.options.device, getattr(torch, self.options.dtype))
        train = training_images(self.options, entry.card, images, TRAINED_ON if entry.kind == "family" else None)
        self.by_name[name] = LoadedModel(subject, images, self.store, settings_of(self.options), train)
        return self.by_name[name]


def settings_of(options: RunOptions) -> Settings:
    """Pick what the measuring depends on."""
    return Settings(
        batch_size=options.batch_size,
        delta=options.delta,
        max_images=options.max_images,
        seed=options.seed,
        device=options.device,
        dtype=options.dtype,
        target=options.target,
    )
