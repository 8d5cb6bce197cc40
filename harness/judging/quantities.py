"""Numbers about arms whose comparison with a bound is the test of a bounded mean.

A level is a mean per unit, a difference and a ratio are paired by unit; each gives anytime-valid p-values of
"quantity >= bound" and an anytime-valid interval. The units, taken as independent, are images, or the pairs of images
that exchange something. Numbers only.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from harness.judging import betting, typical
from harness.judging.betting import Alpha
from harness.judging.observations import Observations, PValues, Sample
from harness.judging.signed_ratios import not_positive, ratio_over_box


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
        first, second = (float(np.mean(sample.values)) for sample in sheet.paired(self.arms()))
        return first / second if second > 0 else float("nan")

    def interval(self, sheet: Observations, alpha: Alpha) -> tuple[float, float]:
        if sheet.typical:
            ratios = self._of_units(sheet)
            known = np.isfinite(ratios).all()
            return typical.median_interval(ratios, -np.inf, np.inf, alpha) if known else (-np.inf, np.inf)
        first, second = sheet.paired(self.arms())
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
        undefined = not_positive(*_parts(sheet.paired(self.arms())[1]), sheet.population)
        return PValues(max(p.true, undefined), max(p.false, undefined))

    def _of_units(self, sheet: Observations) -> np.ndarray:
        """Divide unit by unit; NaN where there is no ratio, which is neither at least nor below any bound."""
        first, second = (sample.values for sample in sheet.paired(self.arms()))
        return np.divide(first, second, out=np.full(len(first), np.nan), where=second > 0)


def _parts(sample: Sample) -> tuple[np.ndarray, float, float]:
    return sample.values, sample.low, sample.high


def _contrast(sheet: Observations, pair: Difference | Ratio, factor: float) -> tuple[np.ndarray, float, float]:
    """Give first - factor x second [unit] with its range, which is narrower where the two are one arm."""
    first, second = sheet.paired(pair.arms())
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
