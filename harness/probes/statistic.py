"""A fit that is no probe: numbers that one pass over training pictures collects, by name."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from harness.fingerprint import Reference
from harness.models.subject import Subject

# What goes through the training pictures, by name: judging again loads nothing that trains.
FITS = Reference("harness.probes.training.statistics", "fit_everything")


@dataclass(frozen=True)
class Statistic(ABC):
    """What is collected over training pictures; hashable. Its code is behind every number that reads it."""

    code: Reference = field(default=FITS, init=False, repr=False)

    @abstractmethod
    def collect(self, subject: Subject, chunks: Iterable[Tensor]) -> Mapping[str, Tensor]:
        """Go once through preprocessed pictures [image, channel, row, column] and return numbers by name."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What a statistic collected, by name."""

    numbers: Mapping[str, Tensor]
