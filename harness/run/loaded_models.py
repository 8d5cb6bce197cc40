"""The models that are in memory, each beside its images: only those of one group at a time."""

from collections.abc import Mapping

import torch

from harness.measurement.loaded_model import LoadedModel
from harness.measurement.on_images import OnSeveralModels
from harness.measurement.source import Settings
from harness.models.groups import ModelGroup
from harness.models.zoo import ModelEntry
from harness.results.measurements import Store
from harness.run.options import RunOptions
from harness.run.run_images import measured_images, training_images


class LoadedModels:
    """Loads models when they are asked for and lets go of the others."""

    def __init__(self, options: RunOptions, entries: Mapping[str, ModelEntry], store: Store) -> None:
        self.options, self.entries, self.store = options, entries, store
        self.benches: dict[str, LoadedModel] = {}

    def take(self, cohort: ModelGroup, budget: int) -> LoadedModel | OnSeveralModels:
        """Give the models of a cohort beside at least `budget` images; the others leave memory first."""
        names = set(cohort.roles.values())
        self.benches = {name: bench for name, bench in self.benches.items() if name in names}
        by_role = {role: self._bench(name, budget) for role, name in cohort.roles.items()}
        return OnSeveralModels(by_role) if len(by_role) > 1 else by_role[""]

    def clear(self) -> None:
        """Forget every model."""
        self.benches = {}

    def _bench(self, name: str, budget: int) -> LoadedModel:
        entry = self.entries[name]
        images = measured_images(self.options, entry.card, budget)
        if name in self.benches and len(self.benches[name].images) == len(images):
            return self.benches[name]
        subject = entry.load(self.options.device, getattr(torch, self.options.dtype))
        train = training_images(self.options, entry.card, images)
        self.benches[name] = LoadedModel(subject, images, self.store, settings_of(self.options), train)
        return self.benches[name]


def settings_of(options: RunOptions) -> Settings:
    """Pick what the measuring depends on."""
    return Settings(
        batch_size=options.batch_size,
        delta=options.delta,
        max_images=options.max_images,
        seed=options.seed,
        device=options.device,
        dtype=options.dtype,
        population=options.population,
    )
