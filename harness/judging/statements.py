"""Statements about arms that can be true or false, and the evidence for each from numbers per image.

A quantity (level, difference, ratio) compared with a bound of the ledger is a bounded mean; statements combine such
comparisons (every, some; of curves in `curve_statements`). Evaluating one gives two anytime-valid p-values: `true` is
small when the statement is established, `false` when its negation is. Numbers only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from harness.judging import multiplicity
from harness.judging.observations import Observations, PValues
from harness.judging.quantities import Drawn, Quantity


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One comparison in a statement, as reported: estimate, interval, bound and how it came out."""

    label: str
    estimate: float
    bound: float
    direction: Literal[">=", "<="]
    p: PValues
    published: float | None = None
    quantity: Drawn | None = None
    interval: tuple[float, float] | None = None
    units: int | None = None

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

    def p_values(self, sheet: Observations) -> PValues:
        """Weigh it, valid at every stopping time."""

    def findings(self, sheet: Observations) -> tuple[Finding, ...]:
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

    def p_values(self, sheet: Observations) -> PValues:
        bound = sheet.bounds[self.bound]
        p = self.quantity.above(sheet, bound.at(sheet.classes))
        if p.true == p.false and sheet.complete(self.arms()) and not np.isnan(self.quantity.estimate(sheet)):
            return PValues(0.0, 1.0)  # all is seen and neither side is excluded: exactly at the bound
        return p if bound.direction == ">=" else PValues(p.false, p.true)

    def findings(self, sheet: Observations) -> tuple[Finding, ...]:
        bound = sheet.bounds[self.bound]
        return (
            Finding(
                label=self.name or self.quantity.label(),
                estimate=self.quantity.estimate(sheet),
                bound=bound.at(sheet.classes),
                direction=bound.direction,
                p=weigh(self, sheet),
                published=bound.published,
                quantity=self.quantity,
                units=sheet.units(self.arms()),
            ),
        )


@dataclass(frozen=True)
class Every:
    """All parts hold (intersection-union: no correction to establish it, Bonferroni to refute it)."""

    parts: tuple[Statement, ...]

    def arms(self) -> tuple[str, ...]:
        return union(part.arms() for part in self.parts)

    def bound_names(self) -> tuple[str, ...]:
        return union(part.bound_names() for part in self.parts)

    def p_values(self, sheet: Observations) -> PValues:
        weighed = [weigh(part, sheet) for part in self.parts]
        return PValues(*map(float, multiplicity.every([p.true for p in weighed], [p.false for p in weighed])))

    def findings(self, sheet: Observations) -> tuple[Finding, ...]:
        return tuple(finding for part in self.parts for finding in part.findings(sheet))


@dataclass(frozen=True)
class Some:
    """At least one part holds (union-intersection: Bonferroni to establish it, no correction to refute it)."""

    parts: tuple[Statement, ...]

    def arms(self) -> tuple[str, ...]:
        return union(part.arms() for part in self.parts)

    def bound_names(self) -> tuple[str, ...]:
        return union(part.bound_names() for part in self.parts)

    def p_values(self, sheet: Observations) -> PValues:
        weighed = [weigh(part, sheet) for part in self.parts]
        return PValues(*map(float, multiplicity.some([p.true for p in weighed], [p.false for p in weighed])))

    def findings(self, sheet: Observations) -> tuple[Finding, ...]:
        """Report the part that comes closest to holding: its findings stand for the statement."""
        return _hanging(1, self.parts, sheet)


@dataclass(frozen=True)
class AtLeast:
    """At least `count` of the parts hold (partial conjunction): a median, or a share of blocks, beyond a bound."""

    count: int
    parts: tuple[Statement, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.count <= len(self.parts):
            raise ValueError(f"at least {self.count} of {len(self.parts)} statements; allowed: 1 to all of them")

    def arms(self) -> tuple[str, ...]:
        return union(part.arms() for part in self.parts)

    def bound_names(self) -> tuple[str, ...]:
        return union(part.bound_names() for part in self.parts)

    def p_values(self, sheet: Observations) -> PValues:
        weighed = [weigh(part, sheet) for part in self.parts]
        trues, falses = ([getattr(p, side) for p in weighed] for side in ("true", "false"))
        return PValues(*multiplicity.at_least(self.count, trues, falses))

    def findings(self, sheet: Observations) -> tuple[Finding, ...]:
        """Report the part on which it hangs: the last one needed, from the one that holds most clearly down."""
        return _hanging(self.count, self.parts, sheet)


def weigh(part: Statement, sheet: Observations) -> PValues:
    """Give the p-values of a statement, from memory where this sheet was asked for them before."""
    if part not in sheet.weighed:
        sheet.weighed[part] = part.p_values(sheet)
    return sheet.weighed[part]


def every(*parts: Statement) -> Statement:
    """Combine statements: all must hold."""
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def some(*parts: Statement) -> Statement:
    """Combine statements: at least one must hold."""
    return parts[0] if len(parts) == 1 else Some(tuple(parts))


def most(*parts: Statement) -> Statement:
    """Combine statements: more than half of them must hold."""
    return AtLeast(len(parts) // 2 + 1, tuple(parts))


def headline(findings: Sequence[Finding]) -> int:
    """Pick the finding to show (its index): what fails most evidently, else the least established one."""
    failing = [index for index, finding in enumerate(findings) if finding.p.false < finding.p.true]
    if failing:
        return min(failing, key=lambda index: (findings[index].p.false, _known(findings[index].margin)))
    return max(range(len(findings)), key=lambda index: (findings[index].p.true, -_known(findings[index].margin)))


def comparisons(part: Statement) -> int:
    """Count the comparisons in a statement, among which the one that is shown was picked."""
    return sum(map(comparisons, part.parts)) if isinstance(part, (Every, Some, AtLeast)) else 1


def _hanging(count: int, parts: Sequence[Statement], sheet: Observations) -> tuple[Finding, ...]:
    """Give the findings of the part on which "at least `count` hold" hangs, as its p-values do.

    Where it is nearer to being established: the last one needed, from the most established down; else the last one
    needed to refute it, from the most refuted down; among equals by margin, undefined ones last.
    """
    candidates = [part.findings(sheet) for part in parts]
    weighed = [weigh(part, sheet) for part in parts]
    margins = [min((_known(f.margin) for f in found), default=-np.inf) for found in candidates]
    p = multiplicity.at_least(count, [one.true for one in weighed], [one.false for one in weighed])
    if p[0] <= p[1]:
        order = sorted(range(len(parts)), key=lambda at: (weighed[at].true, -margins[at]))
        return candidates[order[count - 1]]
    order = sorted(range(len(parts)), key=lambda at: (weighed[at].false, margins[at]))
    return candidates[order[len(parts) - count]]


def _known(margin: float) -> float:
    return margin if margin == margin else -np.inf


def union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
