"""Numbers per image computed from those of measured arms: sums, products, comparisons of two arms on the same image.

A derived arm is measured by nobody: it is a pure function of numbers that are there, applied image by image before
pairs are averaged, so that a claim about a difference of differences, a joint outcome or the order of two arms is a
bounded mean like any other. Numbers only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from harness.judging.observations import Pairs, Sample


class Derived(Protocol):
    """A function of arms, image by image; frozen and hashable.

    `exchanges` says that an image's number takes in its neighbour's, so that pairs are the units.
    """

    @property
    def exchanges(self) -> bool: ...

    def arms(self) -> tuple[str, ...]:
        """List the arms that it is computed from."""

    def compute(self, samples: Mapping[str, Sample], pairs: Pairs | None) -> Sample:
        """Compute numbers per image, with their range, from those of its arms."""


@dataclass(frozen=True)
class Mix:
    """A linear combination of arms: sum of weight x arm, plus `constant`."""

    terms: tuple[tuple[str, float], ...]
    constant: float = 0.0
    exchanges = False

    def __post_init__(self) -> None:
        if not self.terms or not np.isfinite([self.constant, *(weight for _, weight in self.terms)]).all():
            raise ValueError(
                f"a mix of {self.terms!r} and {self.constant!r}; allowed: at least one arm, finite weights"
            )

    def arms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(arm for arm, _ in self.terms))

    def compute(self, samples: Mapping[str, Sample], pairs: Pairs | None) -> Sample:
        parts = [(samples[arm], weight) for arm, weight in self.terms]
        ends = [sorted((weight * part.low, weight * part.high)) for part, weight in parts]
        return Sample(
            self.constant + np.sum([weight * part.values for part, weight in parts], axis=0),
            self.constant + sum(low for low, _ in ends),
            self.constant + sum(high for _, high in ends),
        )


@dataclass(frozen=True)
class Product:
    """The product of arms that are never negative; of 0/1 outcomes: all of them."""

    factors: tuple[str, ...]
    exchanges = False

    def arms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.factors))

    def compute(self, samples: Mapping[str, Sample], pairs: Pairs | None) -> Sample:
        parts = [samples[arm] for arm in self.factors]
        if negative := [arm for arm in self.factors if samples[arm].low < 0]:
            raise ValueError(f"a product of {negative[0]!r}, which may be negative; allowed: arms of numbers >= 0")
        return Sample(
            np.prod([part.values for part in parts], axis=0),
            float(np.prod([part.low for part in parts])),
            float(np.prod([part.high for part in parts])),
        )


@dataclass(frozen=True)
class Largest:
    """The largest of several arms on each image; of 0/1 outcomes: any of them."""

    among: tuple[str, ...]
    exchanges = False

    def arms(self) -> tuple[str, ...]:
        return self.among

    def compute(self, samples: Mapping[str, Sample], pairs: Pairs | None) -> Sample:
        parts = [samples[arm] for arm in self.among]
        return Sample(
            np.max([part.values for part in parts], axis=0),
            max(part.low for part in parts),
            max(part.high for part in parts),
        )


@dataclass(frozen=True)
class Exceeds:
    """1 where the first arm exceeds the second by more than `by`, else 0."""

    first: str
    second: str
    by: float = 0.0
    exchanges = False

    def arms(self) -> tuple[str, ...]:
        return (self.first, self.second)

    def compute(self, samples: Mapping[str, Sample], pairs: Pairs | None) -> Sample:
        above = samples[self.first].values - samples[self.second].values > self.by
        return Sample(above.astype(float), 0.0, 1.0)


@dataclass(frozen=True)
class Same:
    """1 where two arms have the same number (such as the class that they name), else 0."""

    first: str
    second: str
    exchanges = False

    def arms(self) -> tuple[str, ...]:
        return (self.first, self.second)

    def compute(self, samples: Mapping[str, Sample], pairs: Pairs | None) -> Sample:
        return Sample((samples[self.first].values == samples[self.second].values).astype(float), 0.0, 1.0)


@dataclass(frozen=True)
class OfNeighbour:
    """The number of the neighbour with which an image is paired: the pairing of arms by image undone.

    An image in no pair keeps its own, and has no say.
    """

    arm: str
    exchanges = True

    def arms(self) -> tuple[str, ...]:
        return (self.arm,)

    def compute(self, samples: Mapping[str, Sample], pairs: Pairs | None) -> Sample:
        if pairs is None:
            raise ValueError(f"the neighbour's {self.arm!r} needs pairs, and this sheet has none")
        sample, first = samples[self.arm], np.array(pairs.first, dtype=np.int64)
        values = sample.values.copy()
        values[first], values[first + 1] = sample.values[first + 1], sample.values[first]
        return Sample(values, sample.low, sample.high)


@dataclass(frozen=True)
class Covaries:
    """How two arms differ between an image and its neighbour, multiplied; the mean over pairs is twice the covariance.

    That is so over pairs of any classes; in a claim that also exchanges something between images (and so has pairs of
    two classes alone, see `Plan.exchanges_classes`) it is the product over such pairs, which may be larger.
    Of an arm with itself: twice its variance. Over that of a 0/1 arm: the mean of the first where this is 1, less the
    mean where it is 0. An image in no pair has no say.
    """

    first: str
    second: str
    exchanges = True

    def arms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.first, self.second)))

    def compute(self, samples: Mapping[str, Sample], pairs: Pairs | None) -> Sample:
        values, most = np.ones(len(samples[self.first].values)), 1.0
        for arm in (self.first, self.second):
            values = values * (samples[arm].values - OfNeighbour(arm).compute(samples, pairs).values)
            most *= samples[arm].high - samples[arm].low
        return Sample(values, 0.0 if self.first == self.second else -most, most)


def resolve(
    samples: Mapping[str, Sample], derived: Mapping[str, Derived], pairs: Pairs | None = None
) -> dict[str, Sample]:
    """Compute derived arms, which may rest on one another, beside the measured ones, on the images that these share.

    Raises ValueError where they rest on one another in a circle.
    """
    found, open_ones = dict(samples), dict(derived)
    while open_ones:
        ready = [name for name, one in open_ones.items() if set(one.arms()) <= set(found)]
        if not ready:
            raise ValueError(f"derived arms {sorted(open_ones)} rest on one another in a circle, or on no arm")
        for name in ready:
            one = open_ones.pop(name)
            images = min(len(found[arm].values) for arm in one.arms())
            rests_on = {arm: found[arm].first(images) for arm in one.arms()}
            found[name] = one.compute(rests_on, None if pairs is None else pairs.within(images))
    return found


def measured(names: set[str], derived: Mapping[str, Derived]) -> set[str]:
    """List the measured arms that these arms, some of them derived, rest on."""
    found: set[str] = set()
    waiting, seen = list(names), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in derived:
            waiting += derived[name].arms()
        else:
            found.add(name)
    return found
