"""Where arms are measured: on the images of one or several models, or on the members of a population."""

from typing import Any, Protocol

import numpy as np

from harness.judging.ledger import ClaimSpec
from harness.judging.observations import Groups
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.plan import Arm
from harness.measurement.prefix_tree import Bill
from harness.measurement.settings import Missing, Settings
from harness.results.measurements import MeasuredBatch, MeasurementKey, Store


class MeasurementSource(Protocol):
    """Where arms are measured, chunk by chunk of a random order: what the runner and the sequential tests ask of it.

    `population` is the number of members in all where a statement is about exactly those, None where it is about the
    distribution behind them; `usable` are those that can be measured; `neighbours` are all pairs, and `pairs` those
    that may exchange, being of two classes.
    """

    settings: Settings
    store: Store

    @property
    def what(self) -> str: ...
    @property
    def classes(self) -> int: ...
    @property
    def grid(self) -> tuple[range, ...]: ...
    @property
    def usable(self) -> int: ...
    @property
    def population(self) -> int | None: ...
    @property
    def pairs(self) -> np.ndarray: ...
    @property
    def neighbours(self) -> np.ndarray: ...

    @property
    def models(self) -> tuple[LoadedModel, ...]: ...

    def most(self, spec: ClaimSpec) -> int:
        """Give the most members that a claim may use here."""

    def groups(self, pairs: np.ndarray | None, images: int) -> Groups | None:
        """Say which of the first images make up one unit, and where `pairs` exchange; None where each counts alone."""

    def pictures_behind(self, members: int) -> int:
        """Count the pictures that the numbers of so many members rest on."""

    def model_of(self, arm: Arm) -> LoadedModel:
        """Give the model that an arm is about, beside its images."""

    def key(self, arm: Arm) -> MeasurementKey:
        """Name the measurement of an arm by everything that it depends on."""

    def load(self, positions: range) -> Any:
        """Load what a chunk is measured on."""

    def measure(
        self, missing: Missing, positions: range, loaded: Any
    ) -> tuple[dict[MeasurementKey, MeasuredBatch], Bill]:
        """Measure arms on one chunk."""
