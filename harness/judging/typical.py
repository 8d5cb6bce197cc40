"""Tests and intervals about the typical unit: what holds in at least half of all units, whatever their numbers.

A number that takes a whole batch of pictures to compute varies little from batch to batch, but nothing bounds by how
much; a test of its mean would need hundreds of batches. Whether it lies beyond a bound is a coin per batch, and a dozen
batches that agree say that most do.
"""

import numpy as np

from harness.judging.betting import Alpha, one_axis, p_above, thresholds_of


def typical_p(holds, fails) -> tuple[float, float]:
    """Return the anytime-valid p-values of "at most half of all units hold" and of "at most half of them fail".

    holds, fails: bool [n], of independent units in order; neither where a unit is undefined. These are tests of the
    median unit, and assume nothing about the numbers behind it: whether a unit holds is a coin.
    """
    return tuple(float(p_above(one_axis(side, "units"), 0.5, 0.0, 1.0)) for side in (holds, fails))  # type: ignore[return-value]


def median_interval(x, lo: float, hi: float, alpha: Alpha) -> tuple[float, float]:
    """Return the confidence sequence of the median, alpha / 2 on each side or as given for each.

    x: [n] in [lo, hi], in order. Inverts `typical_p`, so an end is one of the values, or that of the range.
    """
    x, levels = one_axis(x, "x"), np.exp(-np.array(thresholds_of(alpha)))
    values = np.unique(x)
    below = [value for value in values if typical_p(x >= value, x < value)[0] <= levels[0]]
    above = [value for value in values if typical_p(x > value, x <= value)[1] <= levels[1]]
    return float(max(below, default=lo)), float(min(above, default=hi))
