"""Numbers about arms whose comparison with a bound is the test of a bounded mean.

A level is a mean per unit, a difference and a ratio are paired by unit; each gives anytime-valid p-values of
"quantity >= bound" and an anytime-valid interval. The units, taken as independent, are images, or the pairs of images
that exchange something. Numbers only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from harness.judging import betting, typical
from harness.judging.betting import Alpha
from harness.judging.ledger import Bound
from harness.judging.signed_ratios import not_positive, ratio_over_box


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

    `typical` says that statements are about the median unit, not about means over units: a comparison holds if it holds
    in at least half of all units.
    `classes` scales bounds that are given in units of chance; `population` is the number of units in a finite image
    set when the statement is about exactly that set, None when it is about the distribution behind it. `intervals`
    remembers those of single quantities at an error level: shapes of one curve share their points.
    """

    samples: Mapping[str, Sample]
    bounds: Mapping[str, Bound]
    classes: int = 0
    population: int | None = None
    typical: bool = False
    intervals: dict[tuple[object, Alpha], tuple[float, float]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def complete(self) -> bool:
        """Tell whether all of a finite population is seen."""
        return self.population is not None and all(len(one.values) == self.population for one in self.samples.values())


@dataclass(frozen=True)
class PValues:
    """Anytime-valid p-values of the negation (`true`) and of the statement (`false`)."""

    true: float
    false: float


class Drawn(Protocol):
    """Something about arms that has an interval; `alpha` is its error, or the errors of its two ends."""

    def interval(self, sheet: Observations, alpha: Alpha) -> tuple[float, float]: ...


class Quantity(Protocol):
    """A number about arms whose comparison with a bound is a bounded mean."""

    def arms(self) -> tuple[str, ...]: ...

    def label(self) -> str: ...

    def estimate(self, sheet: Observations) -> float: ...

    def interval(self, sheet: Observations, alpha: Alpha) -> tuple[float, float]: ...

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
        return _middle(sheet.samples[self.arm].values, sheet)

    def interval(self, sheet: Observations, alpha: Alpha) -> tuple[float, float]:
        return _interval(*_parts(sheet.samples[self.arm]), alpha, sheet)

    def above(self, sheet: Observations, bound: float) -> PValues:
        return _above(*_parts(sheet.samples[self.arm]), bound, sheet)


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
        return _middle(_contrast(sheet, self, 1.0)[0], sheet)

    def interval(self, sheet: Observations, alpha: Alpha) -> tuple[float, float]:
        return _interval(*_contrast(sheet, self, 1.0), alpha, sheet)

    def above(self, sheet: Observations, bound: float) -> PValues:
        return _above(*_contrast(sheet, self, 1.0), bound, sheet)


@dataclass(frozen=True)
class Ratio:
    """The mean of one arm over the mean of another, paired by unit; judged as E[first - bound x second].

    Only the sign of E[second] tells which side of the contrast means what: below zero it is the other one, at zero
    there is no ratio. So either verdict needs that E[second] is above zero to be established too, at its own level:
    a wrong verdict takes a wrong contrast where the mean is positive, and a wrongly established sign where it is not,
    never both (intersection-union), so the error is not shared. Numbers >= 0 establish it with the first that is not 0.
    Of the typical unit the ratio is that of its own two numbers, and a unit without a ratio neither holds nor fails.
    """

    first: str
    second: str

    def arms(self) -> tuple[str, ...]:
        return (self.first, self.second)

    def label(self) -> str:
        return f"{self.first} / {self.second}"

    def estimate(self, sheet: Observations) -> float:
        if sheet.typical:
            ratios = self._of_units(sheet)
            return float(np.median(ratios)) if np.isfinite(ratios).all() else float("nan")
        below = float(np.mean(sheet.samples[self.second].values))
        return float(np.mean(sheet.samples[self.first].values)) / below if below > 0 else float("nan")

    def interval(self, sheet: Observations, alpha: Alpha) -> tuple[float, float]:
        if sheet.typical:
            ratios = self._of_units(sheet)
            known = np.isfinite(ratios).all()
            return typical.median_interval(ratios, -np.inf, np.inf, alpha) if known else (-np.inf, np.inf)
        first, second = sheet.samples[self.first], sheet.samples[self.second]
        if first.low < 0 or second.low < 0:
            return ratio_over_box(_parts(first), _parts(second), alpha, sheet.population)
        return betting.ratio_interval(
            first.values, second.values, alpha, a_max=first.high, b_max=second.high, population=sheet.population
        )

    def above(self, sheet: Observations, bound: float) -> PValues:
        if sheet.typical:
            ratios = self._of_units(sheet)
            return PValues(*typical.typical_p(ratios >= bound, ratios < bound))
        p = _above(*_contrast(sheet, self, bound), 0.0, sheet)
        undefined = not_positive(*_parts(sheet.samples[self.second]), sheet.population)
        return PValues(max(p.true, undefined), max(p.false, undefined))

    def _of_units(self, sheet: Observations) -> np.ndarray:
        """Divide unit by unit; NaN where there is no ratio, which is neither at least nor below any bound."""
        first, second = sheet.samples[self.first].values, sheet.samples[self.second].values
        return np.divide(first, second, out=np.full(len(first), np.nan), where=second > 0)


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


def _middle(values: np.ndarray, sheet: Observations) -> float:
    return float(np.median(values) if sheet.typical else np.mean(values))


def _interval(values: np.ndarray, low: float, high: float, alpha: Alpha, sheet: Observations) -> tuple[float, float]:
    if sheet.typical:
        return typical.median_interval(values, low, high, alpha)
    return betting.mean_interval(values, low, high, alpha, population=sheet.population)


def _above(values: np.ndarray, low: float, high: float, bound: float, sheet: Observations) -> PValues:
    if sheet.typical:
        return PValues(*typical.typical_p(values >= bound, values < bound))
    return PValues(
        float(betting.p_above(values, bound, low, high, sheet.population)),
        float(betting.p_below(values, bound, low, high, sheet.population)),
    )
