"""What two models keep of their own accuracies under an edit, and which of them keeps more: as one bounded mean.

The difference of two ratios of means, E[a]/E[b] - E[c]/E[d], is no bounded mean itself. Multiplied out it is
E[a]E[d] - E[c]E[b] over E[b]E[d], and a product of two means is the mean of a product over two independent images: an
image's own number times that of the neighbour with which it is paired. Numbers only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.judging.derived_arms import Derived, Mix, OfNeighbour, Product
from harness.judging.quantities import Ratio


@dataclass(frozen=True)
class Retention:
    """What one model keeps: the arm under the edit, and the arm without it."""

    edited: str
    full: str


@dataclass(frozen=True)
class RetentionGap:
    """By how much the first keeps more than the second: a ratio of derived arms, to be put into a plan."""

    derived: Mapping[str, Derived]
    quantity: Ratio


def gap_kept(name: str, first: Retention, second: Retention) -> RetentionGap:
    """Derive first.edited/first.full - second.edited/second.full; pairs of images become the units."""
    others = {one.full: f"{one.full}, the neighbour's" for one in (first, second)}
    keeps = {"first": (first.edited, others[second.full]), "second": (second.edited, others[first.full])}
    derived: dict[str, Derived] = {other: OfNeighbour(full) for full, other in others.items()}
    derived |= {f"{name}: {which}": Product(factors) for which, factors in keeps.items()}
    derived[f"{name}: more"] = Mix(((f"{name}: first", 1.0), (f"{name}: second", -1.0)))
    derived[f"{name}: both"] = Product((first.full, others[second.full]))
    return RetentionGap(derived, Ratio(f"{name}: more", f"{name}: both"))
