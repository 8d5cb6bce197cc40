"""Numbers about arms whose comparison with a bound is the test of a bounded mean.

A level is a mean per unit, a difference and a ratio are paired by unit; each gives anytime-valid p-values of
"quantity >= bound" and an anytime-valid interval. The units, taken as independent, are images, or the pairs of images
that exchange something. Numbers only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from harness.judging import betting
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

    def means(self, numbers: np.ndarray) -> np.ndarray:
        """Average numbers per image [..., image] within each pair [..., pair]; an image in no pair has no say."""
        first = np.array(self.first, dtype=np.int64)
        return (numbers[..., first] + numbers[..., first + 1]) / 2


@dataclass(frozen=True)
class Sample:
    """Numbers per unit [unit] of one arm, all within [low, high]."""

    values: np.ndarray
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What a statement is evaluated on: samples by arm (paired by unit), bounds by name, and the target.

    `classes` scales bounds that are given in units of chance; `population` is the number of units in a finite image
    set when the statement is about exactly that set, None when it is about the distribution behind it. `intervals`
    remembers those of single quantities at an error level: shapes of one curve share their points.
    """

    samples: Mapping[str, Sample]
    bounds: Mapping[str, Bound]
    classes: int = 0
    population: int | None = None
    intervals: dict[tuple[object, float], tuple[float, float]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def complete(self) -> bool:
        """Tell whether all of a finite population is seen."""
        return self.population is not None and all(len(one.values) == self.population for one in self.samples.values())


@dataclass(frozen=True)
class PValues:
    """Anytime-valid p-values of the negation (`true`) and of the statement (`false`)."""

    true: float
    false: float


class Quantity(Protocol):
    """A number about arms whose comparison with a bound is a bounded mean."""

    def arms(self) -> tuple[str, ...]: ...

    def label(self) -> str: ...

    def estimate(self, sheet: Observations) -> float: ...

    def interval(self, sheet: Observations, alpha: float) -> tuple[float, float]: ...

    def above(self, sheet: Observations, bound: float) -> PValues:
        """Give the p-values of "quantity >= bound"."""


@dataclass(frozen=True)
class Level:
    """The mean of an arm."""

    arm: str

    def arms(self) -> tuple[str, ...]:
        return (self.arm,)

    def label(self) -> str:
        return self.arm

    def estimate(self, sheet: Observations) -> float:
        return float(np.mean(sheet.samples[self.arm].values))

    def interval(self, sheet: Observations, alpha: float) -> tuple[float, float]:
        return betting.mean_interval(*_parts(sheet.samples[self.arm]), alpha, population=sheet.population)

    def above(self, sheet: Observations, bound: float) -> PValues:
        return _above(*_parts(sheet.samples[self.arm]), bound, sheet.population)


@dataclass(frozen=True)
class Difference:
    """The mean of one arm minus the mean of another, paired by unit."""

    first: str
    second: str

    def arms(self) -> tuple[str, ...]:
        return (self.first, self.second)

    def label(self) -> str:
        return f"{self.first} - {self.second}"

    def estimate(self, sheet: Observations) -> float:
        return float(np.mean(_contrast(sheet, self, 1.0)[0]))

    def interval(self, sheet: Observations, alpha: float) -> tuple[float, float]:
        return betting.mean_interval(*_contrast(sheet, self, 1.0), alpha, population=sheet.population)

    def above(self, sheet: Observations, bound: float) -> PValues:
        return _above(*_contrast(sheet, self, 1.0), bound, sheet.population)


@dataclass(frozen=True)
class Ratio:
    """The mean of one arm over the mean of another, paired by unit; judged as E[first - bound x second]."""

    first: str
    second: str

    def arms(self) -> tuple[str, ...]:
        return (self.first, self.second)

    def label(self) -> str:
        return f"{self.first} / {self.second}"

    def estimate(self, sheet: Observations) -> float:
        below = float(np.mean(sheet.samples[self.second].values))
        return float(np.mean(sheet.samples[self.first].values)) / below if below else float("nan")

    def interval(self, sheet: Observations, alpha: float) -> tuple[float, float]:
        first, second = sheet.samples[self.first], sheet.samples[self.second]
        if first.low < 0:
            return _ratio_over_box(first, second, alpha, sheet.population)
        return betting.ratio_interval(
            first.values, second.values, alpha, a_max=first.high, b_max=second.high, population=sheet.population
        )

    def above(self, sheet: Observations, bound: float) -> PValues:
        return _above(*_contrast(sheet, self, bound), 0.0, sheet.population)


def _parts(sample: Sample) -> tuple[np.ndarray, float, float]:
    return sample.values, sample.low, sample.high


def _contrast(sheet: Observations, pair: Difference | Ratio, factor: float) -> tuple[np.ndarray, float, float]:
    """Give first - factor x second [unit] with its range, which is narrower where the two are one arm."""
    first, second = sheet.samples[pair.first], sheet.samples[pair.second]
    if pair.first == pair.second and factor != 1.0:
        left = 1.0 - factor
        least, most = sorted((left * first.low, left * first.high))
        return left * first.values, least, most
    least, most = sorted((factor * second.low, factor * second.high))
    return first.values - factor * second.values, first.low - most, first.high - least


def _ratio_over_box(first: Sample, second: Sample, alpha: float, population: int | None) -> tuple[float, float]:
    """Bound a ratio whose first mean may be negative by the intervals of both means, at half the error each."""
    tops = betting.mean_interval(*_parts(first), alpha / 2, population=population)
    bottom, top = betting.mean_interval(*_parts(second), alpha / 2, population=population)
    if bottom <= 0:
        return (0.0 if tops[0] >= 0 else -np.inf, 0.0 if tops[1] <= 0 else np.inf)
    ends = [one / other for one in tops for other in (bottom, top)]
    return min(ends), max(ends)


def _above(values: np.ndarray, low: float, high: float, bound: float, population: int | None) -> PValues:
    return PValues(
        float(betting.p_above(values, bound, low, high, population)),
        float(betting.p_below(values, bound, low, high, population)),
    )
