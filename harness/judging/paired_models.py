"""The mean difference of two models on the same pictures, picture by picture, with an anytime-valid interval."""

from dataclasses import dataclass

import numpy as np

from harness.judging.betting import mean_interval

LEVEL = 0.01  # error of each interval


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """Two means over the same pictures, and the first less the second with its interval."""

    means: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    images: int

    @property
    def evident(self) -> bool:
        """Tell whether the interval leaves out that there is no difference."""
        return not self.interval[0] <= 0.0 <= self.interval[1]


def paired_difference(
    first: np.ndarray, second: np.ndarray, *, low: float, high: float, exchanged: bool = False, level: float = LEVEL
) -> PairedDifference:
    """Compare numbers [image] of two models on the pictures that both have, in the order in which they were read.

    The numbers lie in [low, high]. Both runs may have stopped where they liked: the interval holds at every number of
    pictures. Where images `exchanged` something, neighbours are averaged first, and the pair is the unit.
    Raises ValueError where no picture is common, and for numbers outside of the range.
    """
    images = min(len(first), len(second))
    images -= images % 2 if exchanged else 0
    if images == 0:
        raise ValueError("two models without a picture in common cannot be compared")
    one, other = np.asarray(first[:images], float), np.asarray(second[:images], float)
    apart = one - other
    units = apart.reshape(-1, 2).mean(axis=1) if exchanged else apart
    span = high - low
    return PairedDifference(
        means=(float(one.mean()), float(other.mean())),
        difference=float(apart.mean()),
        interval=mean_interval(units, -span, span, level),
        images=images,
    )
