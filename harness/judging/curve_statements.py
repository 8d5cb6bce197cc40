"""Statements about curves: a rank correlation with depth, and functionals judged over a confidence box."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.judging import curve_bounds
from harness.judging.quantities import Difference, Level, Observations, PValues, Quantity
from harness.judging.statements import Finding, union

INTERVAL_LEVEL = 0.01  # error of the interval that is shown
# Error levels at which the confidence box of a shape is drawn; a shape's p-value is the smallest that decides.
BOX_LEVELS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2)


@dataclass(frozen=True)
class Rises:
    """The Spearman correlation of a curve with its index reaches a bound.

    Judged from paired differences between all points, which are far tighter than a box of levels: the orders that the
    data have not excluded are searched for the smallest and largest correlation.
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
        count = len(self.curve)
        p_below = np.ones((count, count))
        for low in range(count):
            for high in range(low + 1, count):
                p = Difference(self.curve[high], self.curve[low]).above(sheet, 0.0)
                p_below[low, high], p_below[high, low] = p.true, p.false
        return PValues(*curve_bounds.spearman_p(p_below, bound.value))

    def findings(self, sheet: Observations) -> tuple[Finding, ...]:
        bound = sheet.bounds[self.bound]
        levels = [float(np.mean(sheet.samples[arm].values)) for arm in self.curve]
        return (
            Finding(
                label=self.name,
                estimate=curve_bounds.spearman(levels),
                bound=bound.value,
                direction=bound.direction,
                p=self.p_values(sheet),
                published=bound.published,
            ),
        )


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
                p=self.p_values(sheet),
                published=bound.published,
                interval=self._over_box(sheet, INTERVAL_LEVEL),
            ),
        )

    def _over_box(self, sheet: Observations, level: float) -> tuple[float, float]:
        """Bound the functional over the box whose sides miss together with at most this probability."""
        ends = [_interval(point, sheet, level / len(self.curve)) for point in self._points]
        low, high = (np.array(side) for side in zip(*ends, strict=True))
        return self.functional(low, high)


def _interval(point: Quantity, sheet: Observations, alpha: float) -> tuple[float, float]:
    """Give the interval of a quantity, from memory where this sheet was asked for it before."""
    if (point, alpha) not in sheet.intervals:
        sheet.intervals[point, alpha] = point.interval(sheet, alpha)
    return sheet.intervals[point, alpha]
