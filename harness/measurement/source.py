"""Where arms are measured: the images of one model, the same images under several, the members of a census."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from harness.judging.ledger import ClaimSpec
from harness.measurement.plan import Arm
from harness.measurement.prefix_tree import Bill
from harness.results.measurements import MeasuredBatch, MeasurementKey, Store

if TYPE_CHECKING:
    from harness.measurement.loaded_model import LoadedModel


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


Missing = Mapping[MeasurementKey, tuple[Arm, frozenset[str]]]


class MeasurementSource(Protocol):
    """Where arms are measured, chunk by chunk of a random order: what the runner and the trials ask of it.

    `population` is the number of members in all where a statement is about exactly those, None where it is about the
    distribution behind them; `usable` are those that can be measured; `pairs` are neighbours that may exchange.
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
    def benches(self) -> "tuple[LoadedModel, ...]": ...

    def most(self, spec: ClaimSpec) -> int:
        """Give the most members that a claim may use here."""

    def bench_of(self, arm: Arm) -> "LoadedModel":
        """Give the model that an arm is about, beside its images."""

    def key(self, arm: Arm) -> MeasurementKey:
        """Name the measurement of an arm by everything that it depends on."""

    def load(self, positions: range) -> Any:
        """Load what a chunk is measured on."""

    def measure(
        self, missing: Missing, positions: range, loaded: Any
    ) -> tuple[dict[MeasurementKey, MeasuredBatch], Bill]:
        """Measure arms on one chunk."""
