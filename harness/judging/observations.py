"""What a verdict is read from: numbers per unit by arm, the bounds beside them, and evidence as p-values.

Arms of one claim may have been measured on different numbers of units: one that no open statement needs is measured no
further. What is paired is then read on the units that all of its arms have, which are the first ones. Numbers only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from harness.judging.betting import Alpha
from harness.judging.ledger import Bound


@dataclass(frozen=True)
class Pairs:
    """Pairs of images that exchange something: positions of the first image of each (the other is the next one).

    `in_all` counts the pairs of the whole set, of which these are the first.

    Raises:
        ValueError: positions overlap or do not rise, or they are more than there are in all.
    """

    first: tuple[int, ...]
    in_all: int

    def __post_init__(self) -> None:
        steps = np.diff([-2, *self.first])
        if (steps < 2).any():
            place = self.first[int(np.flatnonzero(steps < 2)[0])]
            raise ValueError(
                f"pairs start at {place}, which overlaps the pair before; allowed: rising, 2 apart or more"
            )
        if len(self.first) > self.in_all:
            raise ValueError(f"{len(self.first)} pairs of {self.in_all} in all; allowed are at most all")

    def within(self, images: int) -> "Pairs":
        """Give the pairs that lie within so many images."""
        return replace(self, first=tuple(place for place in self.first if place + 1 < images))

    def means(self, numbers: np.ndarray) -> np.ndarray:
        """Average numbers per image [..., image] within each pair [..., pair]; an image in no pair has no say."""
        first = np.array(self.first, dtype=np.int64)
        return (numbers[..., first] + numbers[..., first + 1]) / 2


@dataclass(frozen=True)
class Groups:
    """Images that make up one unit together, such as those of one class.

    `of` names the unit of each position (-1: an image without a say), `closes` the position from which on a unit is
    complete; units are numbered in the order in which they are.

    Raises:
        ValueError: the ends of the units do not rise.
    """

    of: tuple[int, ...]
    closes: tuple[int, ...]

    def __post_init__(self) -> None:
        if (np.diff(self.closes) < 0).any():
            raise ValueError(f"units that end at {self.closes[:8]}, ...; allowed: ends that do not fall")

    def within(self, images: int) -> int:
        """Count the units that so many images complete."""
        return int(np.searchsorted(self.closes, images, side="left"))

    def means(self, numbers: np.ndarray) -> np.ndarray:
        """Average numbers per image [image] of the first images within each complete unit [unit]."""
        units, of = self.within(len(numbers)), np.array(self.of[: len(numbers)], dtype=np.int64)
        inside = (of >= 0) & (of < units)
        counts = np.bincount(of[inside], minlength=units)
        sums = np.bincount(of[inside], weights=numbers[inside], minlength=units)
        return (sums / np.maximum(counts, 1))[counts > 0]


@dataclass(frozen=True)
class Sample:
    """Numbers per unit [unit] of one arm, all within [low, high]."""

    values: np.ndarray
    low: float
    high: float

    def first(self, units: int) -> "Sample":
        """Give the first units alone."""
        return self if len(self.values) == units else replace(self, values=self.values[:units])


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What a statement is evaluated on: samples by arm, each on the first units, bounds by name, and the target.

    `typical` says that statements are about the median unit, not about means over units: a comparison holds if it holds
    in at least half of all units.
    `classes` scales bounds that are given in units of chance; `population` is the number of units in a finite image
    set when the statement is about exactly that set, None when it is about the distribution behind it. `intervals`
    remembers those of single quantities at an error level (shapes of one curve share their points), `weighed` the
    p-values of statements.
    """

    samples: Mapping[str, Sample]
    bounds: Mapping[str, Bound]
    classes: int = 0
    population: int | None = None
    typical: bool = False
    intervals: dict[tuple[object, Alpha], tuple[float, float]] = field(default_factory=dict, compare=False, repr=False)
    weighed: dict[object, "PValues"] = field(default_factory=dict, compare=False, repr=False)

    def units(self, arms: Iterable[str]) -> int:
        """Count the units on which all of these arms were measured."""
        return min((len(self.samples[arm].values) for arm in arms), default=0)

    def paired(self, arms: Iterable[str]) -> list[Sample]:
        """Give the samples of these arms on the units that all of them have."""
        arms = tuple(arms)
        units = self.units(arms)
        return [self.samples[arm].first(units) for arm in arms]

    def complete(self, arms: Iterable[str]) -> bool:
        """Tell whether these arms were measured on all of a finite population."""
        return self.population is not None and self.units(arms) == self.population


@dataclass(frozen=True)
class PValues:
    """Anytime-valid p-values of the negation (`true`) and of the statement (`false`)."""

    true: float
    false: float
