"""Statements about curves: a rank correlation with depth, and functionals judged over a confidence box."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from harness.judging import betting, curve_bounds, typical
from harness.judging.betting import Alpha
from harness.judging.observations import Observations, PValues
from harness.judging.quantities import Level, Quantity
from harness.judging.statements import Finding, union, weigh

# Error levels at which the confidence box of a shape is drawn; a shape's p-value is the smallest that decides. Above
# 1e-4 they are what the sides of a verdict's statements are tested at where delta is .01 or .05.
BOX_LEVELS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 2e-3, 4.5e-3, 9e-3, 2.25e-2, 4.5e-2)


@dataclass(frozen=True)
class Rises:
    """The Spearman correlation of a curve with its index reaches a bound.

    Judged from paired differences between all points, which are far tighter than a box of levels: by the evidence
    against every order on the other side of the bound (`curves.rise_p`). The ledger may give the bound a tolerance: the
    most that a later point may lie below an earlier one without being out of order.
    """

    curve: tuple[str, ...]
    bound: str = "bound"
    name: str = "Spearman"

    def arms(self) -> tuple[str, ...]:
        return union([self.curve])

    def bound_names(self) -> tuple[str, ...]:
        return (self.bound,)

    def p_values(self, sheet: Observations) -> PValues:
        bound = sheet.bounds[self.bound]
        if bound.direction != ">=":
            raise ValueError(f"the bound {self.bound!r} of a rising curve must be >=")
        if sheet.typical:
            reached = self._of_units(sheet) >= bound.value - curve_bounds.ROUNDING
            return PValues(*typical.typical_p(reached, ~reached))
        if sheet.complete(self.curve):
            rises = self.estimate(sheet) >= bound.value - curve_bounds.ROUNDING
            return PValues(0.0, 1.0) if rises else PValues(1.0, 0.0)
        return self._weighed(sheet, _looks(sheet.units(self.curve)))

    def lasting(self, sheet: Observations) -> PValues:
        """Weigh it without the last look, which is another one after more images: this evidence is never lost."""
        if sheet.typical or sheet.complete(self.curve):
            return weigh(self, sheet)
        units = sheet.units(self.curve)
        looks = _looks(units)
        lasting = looks if looks[-1] in _looks(units + 1)[:-1] else looks[:-1]
        return self._weighed(sheet, lasting) if len(lasting) else PValues(1.0, 1.0)

    def _weighed(self, sheet: Observations, looks: np.ndarray) -> PValues:
        bound = sheet.bounds[self.bound]
        return PValues(*curve_bounds.rise_p(*self._evidence(sheet, looks), bound.value, bound.tolerance > 0))

    def estimate(self, sheet: Observations) -> float:
        """Give the correlation of the means, or the median of that of each unit."""
        if sheet.typical:
            return float(np.median(self._of_units(sheet)))
        levels = [float(np.mean(sample.values)) for sample in sheet.paired(self.curve)]
        return curve_bounds.spearman(levels, sheet.bounds[self.bound].tolerance)

    def interval(self, sheet: Observations, alpha: Alpha) -> tuple[float, float]:
        """Give the correlations that are not excluded."""
        if sheet.typical:
            return typical.median_interval(self._of_units(sheet), -1.0, 1.0, alpha)
        if sheet.complete(self.curve):
            return (self.estimate(sheet),) * 2
        ends = alpha if isinstance(alpha, tuple) else (alpha / 2, alpha / 2)
        looks = _looks(sheet.units(self.curve))
        return curve_bounds.rise_interval(*self._evidence(sheet, looks), ends, sheet.bounds[self.bound].tolerance > 0)

    def findings(self, sheet: Observations) -> tuple[Finding, ...]:
        bound = sheet.bounds[self.bound]
        return (
            Finding(
                label=self.name,
                estimate=self.estimate(sheet),
                bound=bound.value,
                direction=bound.direction,
                p=weigh(self, sheet),
                published=bound.published,
                quantity=self,
                units=sheet.units(self.arms()),
            ),
        )

    def _of_units(self, sheet: Observations) -> np.ndarray:
        """Correlate the curve of each unit with its index [unit]."""
        tolerance = sheet.bounds[self.bound].tolerance
        levels = np.stack([sample.values for sample in sheet.paired(self.curve)], axis=1)
        return np.array([curve_bounds.spearman(row, tolerance) for row in levels])

    def _evidence(self, sheet: Observations, looks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weigh "a later point lies no higher" and "no lower" than an earlier one, to the tolerance: [pair, look]."""
        parts, tolerance = sheet.paired(self.curve), sheet.bounds[self.bound].tolerance
        falls: list[np.ndarray] = []
        rises: list[np.ndarray] = []
        for first, second in combinations(parts, 2):
            gain, low, high = second.values - first.values, second.low - first.high, second.high - first.low
            for found, logs in (
                (falls, betting.log_evidence(gain, -tolerance, low, high, sheet.population)),
                (rises, betting.log_evidence(-gain, tolerance, -high, -low, sheet.population)),
            ):
                found.append(logs[looks])
        return np.array(falls), np.array(rises)


Functional = Callable[[np.ndarray, np.ndarray], tuple[float, float]]


@dataclass(frozen=True)
class Shape:
    """A functional of several quantities (an arm stands for its mean) lies on the declared side of a bound.

    `functional` maps the lower and upper ends of a box [point] to the smallest and largest value over the box. Judged
    over the simultaneous confidence box: established if every curve in it satisfies the bound, refuted if none does.
    """

    curve: tuple[str | Quantity, ...]
    functional: Functional
    bound: str = "bound"
    name: str = "shape"

    @property
    def _points(self) -> list[Quantity]:
        return [Level(point) if isinstance(point, str) else point for point in self.curve]

    def arms(self) -> tuple[str, ...]:
        return union(point.arms() for point in self._points)

    def bound_names(self) -> tuple[str, ...]:
        return (self.bound,)

    def p_values(self, sheet: Observations) -> PValues:
        bound = sheet.bounds[self.bound]
        true = false = 1.0
        for level in reversed(BOX_LEVELS):
            smallest, largest = self._over_box(sheet, level)
            holds, fails = smallest >= bound.value, largest < bound.value
            if bound.direction == "<=":
                holds, fails = largest <= bound.value, smallest > bound.value
            if not (holds or fails):
                break
            true, false = (level, false) if holds else (true, level)
        return PValues(true, false)

    def findings(self, sheet: Observations) -> tuple[Finding, ...]:
        bound = sheet.bounds[self.bound]
        estimates = np.array([point.estimate(sheet) for point in self._points])
        return (
            Finding(
                label=self.name,
                estimate=float(self.functional(estimates, estimates)[0]),
                bound=bound.value,
                direction=bound.direction,
                p=weigh(self, sheet),
                published=bound.published,
                quantity=self,
                units=sheet.units(self.arms()),
            ),
        )

    def interval(self, sheet: Observations, alpha: Alpha) -> tuple[float, float]:
        """Bound the functional over a box; a box has one error, so that of two ends is the smaller."""
        return self._over_box(sheet, min(alpha) if isinstance(alpha, tuple) else alpha)

    def _over_box(self, sheet: Observations, level: float) -> tuple[float, float]:
        """Bound the functional over the box whose sides miss together with at most this probability."""
        ends = [_interval(point, sheet, level / len(self.curve)) for point in self._points]
        low, high = (np.array(side) for side in zip(*ends, strict=True))
        return self.functional(low, high)


def _looks(units: int) -> np.ndarray:
    """Choose when an order is weighed: after 64, 96, 128, 192 ... units (each look costs), and now."""
    regular = [(2 << k) + half for k in range(5, 40) for half in (0, 1 << k)]
    return np.array([*(at - 1 for at in regular if at < units), units - 1])


def _interval(point: Quantity, sheet: Observations, alpha: float) -> tuple[float, float]:
    """Give the interval of a quantity, from memory where this sheet was asked for it before."""
    if (point, alpha) not in sheet.intervals:
        sheet.intervals[point, alpha] = point.interval(sheet, alpha)
    return sheet.intervals[point, alpha]
