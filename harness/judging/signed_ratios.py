"""What a ratio of means needs where its parts may be negative: the sign of the denominator, and an interval."""

import numpy as np

from harness.judging import betting
from harness.judging.betting import Alpha

Numbers = tuple[np.ndarray, float, float]  # per unit, all between the other two


def not_positive(values: np.ndarray, low: float, high: float, population: int | None) -> float:
    """Return the anytime-valid p-value of "the mean is at most 0"; of numbers >= 0 one that is not 0 settles it."""
    if low >= 0:
        return 0.0 if (values > 0).any() else 1.0
    return float(betting.p_above(values, 0.0, low, high, population))


def ratio_over_box(first: Numbers, second: Numbers, alpha: Alpha, population: int | None) -> tuple[float, float]:
    """Bound a ratio whose means may be negative by the intervals of both means, at half the error of each end."""
    ends = alpha if isinstance(alpha, tuple) else (alpha / 2, alpha / 2)
    tops = betting.mean_interval(*first, (ends[0] / 2, ends[1] / 2), population=population)
    bottom, top = betting.mean_interval(*second, min(ends) / 2, population=population)
    if bottom < 0:
        return -np.inf, np.inf
    if bottom == 0:
        return (0.0 if tops[0] >= 0 else -np.inf, 0.0 if tops[1] <= 0 else np.inf)
    corners = [one / other for one in tops for other in (bottom, top)]
    return min(corners), max(corners)
