"""Statements about arms that can be true or false, and the evidence for each from numbers per image.

A quantity (level, difference, ratio) compared with a bound of the ledger is a bounded mean; statements combine such
comparisons (every, some, rises, shape). Evaluating one gives two anytime-valid p-values: `p_true` is small when the
statement is established, `p_false` when its negation is. Numbers only.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from harness import curves, multiplicity
from harness.quantities import Difference, Level, PValues, Quantity, Sheet

# Error levels at which the confidence box of a shape is drawn; a shape's p-value is the smallest that decides.
BOX_LEVELS = (1e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One comparison in a statement, as reported: estimate, interval, bound and how it came out."""

    label: str
    estimate: float
    bound: float
    direction: Literal[">=", "<="]
    p: PValues
    published: float | None = None
    quantity: Quantity | None = None
    interval: tuple[float, float] | None = None

    @property
    def margin(self) -> float:
        """Give by how much the estimate clears the bound (negative: it does not)."""
        return self.estimate - self.bound if self.direction == ">=" else self.bound - self.estimate


class Statement(Protocol):
    """Something about arms that is true or false of a model."""

    def arms(self) -> tuple[str, ...]:
        """List the arms it needs, each once."""

    def bound_names(self) -> tuple[str, ...]:
        """List the ledger bounds it uses."""

    def p_values(self, sheet: Sheet) -> PValues:
        """Weigh it, valid at every stopping time."""

    def findings(self, sheet: Sheet) -> tuple[Finding, ...]:
        """List its comparisons with their estimates."""


@dataclass(frozen=True)
class Holds:
    """A quantity lies on the declared side of a bound of the ledger; a quantity at the bound holds."""

    quantity: Quantity
    bound: str = "bound"
    name: str = ""

    def arms(self) -> tuple[str, ...]:
        return self.quantity.arms()

    def bound_names(self) -> tuple[str, ...]:
        return (self.bound,)

    def p_values(self, sheet: Sheet) -> PValues:
        bound = sheet.bounds[self.bound]
        p = self.quantity.above(sheet, bound.at(sheet.classes))
        return p if bound.direction == ">=" else PValues(p.false, p.true)

    def findings(self, sheet: Sheet) -> tuple[Finding, ...]:
        bound = sheet.bounds[self.bound]
        return (
            Finding(
                label=self.name or self.quantity.label(),
                estimate=self.quantity.estimate(sheet),
                bound=bound.at(sheet.classes),
                direction=bound.direction,
                p=self.p_values(sheet),
                published=bound.published,
                quantity=self.quantity,
            ),
        )


@dataclass(frozen=True)
class Every:
    """All parts hold (intersection-union: no correction to establish it, Bonferroni to refute it)."""

    parts: tuple[Statement, ...]

    def arms(self) -> tuple[str, ...]:
        return _union(part.arms() for part in self.parts)

    def bound_names(self) -> tuple[str, ...]:
        return _union(part.bound_names() for part in self.parts)

    def p_values(self, sheet: Sheet) -> PValues:
        weighed = [part.p_values(sheet) for part in self.parts]
        return PValues(*map(float, multiplicity.every([p.true for p in weighed], [p.false for p in weighed])))

    def findings(self, sheet: Sheet) -> tuple[Finding, ...]:
        return tuple(finding for part in self.parts for finding in part.findings(sheet))


@dataclass(frozen=True)
class Some:
    """At least one part holds (union-intersection: Bonferroni to establish it, no correction to refute it)."""

    parts: tuple[Statement, ...]

    def arms(self) -> tuple[str, ...]:
        return _union(part.arms() for part in self.parts)

    def bound_names(self) -> tuple[str, ...]:
        return _union(part.bound_names() for part in self.parts)

    def p_values(self, sheet: Sheet) -> PValues:
        weighed = [part.p_values(sheet) for part in self.parts]
        return PValues(*map(float, multiplicity.some([p.true for p in weighed], [p.false for p in weighed])))

    def findings(self, sheet: Sheet) -> tuple[Finding, ...]:
        """Report the part that comes closest to holding: its findings stand for the statement."""
        candidates = [part.findings(sheet) for part in self.parts]
        return max(candidates, key=lambda found: min((_known(f.margin) for f in found), default=-np.inf))


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
        return _union([self.curve])

    def bound_names(self) -> tuple[str, ...]:
        return (self.bound,)

    def p_values(self, sheet: Sheet) -> PValues:
        bound = sheet.bounds[self.bound]
        if bound.direction != ">=":
            raise ValueError(f"the bound {self.bound!r} of a rising curve must be >=")
        count = len(self.curve)
        p_below = np.ones((count, count))
        for low in range(count):
            for high in range(low + 1, count):
                p = Difference(self.curve[high], self.curve[low]).above(sheet, 0.0)
                p_below[low, high], p_below[high, low] = p.true, p.false
        return PValues(*curves.spearman_p(p_below, bound.value))

    def findings(self, sheet: Sheet) -> tuple[Finding, ...]:
        bound = sheet.bounds[self.bound]
        levels = [float(np.mean(sheet.samples[arm].values)) for arm in self.curve]
        return (
            Finding(
                label=self.name,
                estimate=curves.spearman(levels),
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
        return _union(point.arms() for point in self._points)

    def bound_names(self) -> tuple[str, ...]:
        return (self.bound,)

    def p_values(self, sheet: Sheet) -> PValues:
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

    def findings(self, sheet: Sheet) -> tuple[Finding, ...]:
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
                interval=self._over_box(sheet, 0.05),
            ),
        )

    def _over_box(self, sheet: Sheet, level: float) -> tuple[float, float]:
        """Bound the functional over the box whose sides miss together with at most this probability."""
        ends = [point.interval(sheet, level / len(self.curve)) for point in self._points]
        low, high = (np.array(side) for side in zip(*ends, strict=True))
        return self.functional(low, high)


def every(*parts: Statement) -> Statement:
    """Combine statements: all must hold."""
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def some(*parts: Statement) -> Statement:
    """Combine statements: at least one must hold."""
    return parts[0] if len(parts) == 1 else Some(tuple(parts))


def headline(findings: Sequence[Finding]) -> int:
    """Pick the finding to show (its index): the worst of those that evidently fail, else the least established one."""
    failing = [index for index, finding in enumerate(findings) if finding.p.false < finding.p.true]
    if failing:
        return min(failing, key=lambda index: _known(findings[index].margin))
    return max(range(len(findings)), key=lambda index: (findings[index].p.true, -_known(findings[index].margin)))


def _known(margin: float) -> float:
    return margin if margin == margin else -np.inf


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
