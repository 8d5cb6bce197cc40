"""What the shapes of claims compute, written down once more in the plainest way: of one curve, and over a box of them.

A shape of a claim is recognized by agreeing with one of these on random points and random boxes.
"""

from collections.abc import Callable
from itertools import product

import numpy as np

Shape = Callable[[np.ndarray, np.ndarray], tuple[float, float]]
TRIES = 6
MOST_CORNERS = 5  # points up to which all corners of a box are tried


def shape_of(functional: Shape, points: int) -> str:
    """Name what a functional of so many points computes; "an unknown shape" where it is none of these."""
    random = np.random.Generator(np.random.PCG64(points))
    boxes = []
    for trial in range(TRIES):
        low = random.uniform(0.0, 1.2, points) - (random.random(points) if trial % 2 else 0.0)
        boxes.append((low, low + random.uniform(0.0, 0.4, points)))
    boxes += [(low, low) for low, _ in boxes]
    boxes += [(np.round(4 * low) / 4, np.round(4 * high) / 4) for low, high in boxes]  # with ties, and with zeros
    for name, known in shapes(points).items():
        if all(np.allclose(functional(*box), known(*box), equal_nan=True) for box in boxes):
            return name
    return "an unknown shape"


def shapes(points: int) -> dict[str, Shape]:
    """Give the shapes that so many points can have, by name."""
    found: dict[str, Shape] = {
        "median": _rising(np.median),
        "share that is not negative": _rising(lambda at: sum(float(one >= 0) for one in at) / len(at)),
        "Kendall's tau": _tau,
        "peak of the loss - sum of its first two": _peak_over_start,
    }
    if points == 2:
        found["first - second"] = lambda low, high: (low[0] - high[1], high[0] - low[1])
    if points % 2 == 0:
        half = points // 2
        found["largest sum of a first half and its second half, less 1"] = _rising(
            lambda at: max(at[i] + at[half + i] - 1 for i in range(half))
        )
    depth = points + 1
    # Probed blocks 1.. of a model with one block more; catalogue mr B5: the peak lies within [.4 L, .85 L].
    middle = [0.4 * depth <= block <= 0.85 * depth for block in range(1, depth)]
    if any(middle) and not all(middle):
        found["lead of the middle's largest loss"] = lambda low, high: _lead(low, high, middle)
    return found


def _rising(of_points: Callable[[np.ndarray], float]) -> Shape:
    """Bound a functional that rises in every point: its values at the two ends."""
    return lambda low, high: (float(of_points(low)), float(of_points(high)))


def _tau(low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Count the pairs that stand in order, less those that do not, pair by pair."""
    pairs = [(i, j) for i in range(len(low)) for j in range(i + 1, len(low))]

    def sign(number: float) -> int:
        return int(number > 0) - int(number < 0)

    least = [sign(low[j] - high[i]) for i, j in pairs]
    most = [sign(high[j] - low[i]) for i, j in pairs]
    return sum(least) / len(pairs), sum(most) / len(pairs)


def _peak_over_start(low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Of retentions: the largest loss, less twice the mean of the first two losses; each at its worst."""
    least, most = [1 - one for one in high], [1 - one for one in low]
    return max(least) - most[0] - most[1], max(most) - least[0] - least[1]


def _lead(low: np.ndarray, high: np.ndarray, middle: list[bool]) -> tuple[float, float]:
    """Of retentions: the largest loss of the middle less the largest elsewhere, over all corners or point by point."""

    def lead(losses: list[float]) -> float:
        inside = [loss for loss, one in zip(losses, middle, strict=True) if one]
        return max(inside) - max(loss for loss, one in zip(losses, middle, strict=True) if not one)

    if len(low) <= MOST_CORNERS:
        leads = [lead([1 - one for one in corner]) for corner in product(*zip(low, high, strict=True))]
        return min(leads), max(leads)
    ends = list(zip(low, high, strict=True))
    worst = lead([1 - (b if one else a) for (a, b), one in zip(ends, middle, strict=True)])
    best = lead([1 - (a if one else b) for (a, b), one in zip(ends, middle, strict=True)])
    return worst, best
