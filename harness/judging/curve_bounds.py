"""Functionals of a curve, bounded over all that is not yet known about its points.

A curve has one value per index (block, layer, step). Spearman's correlation with the index is judged from
pairwise comparisons, which are many times tighter than boxes of levels; area, argmax and jump from a box.

rho = 1 - 12 / (n^3 - n) * inverted distance: the sum of j - i over the pairs i < j in inverted order, where a
tie counts half. So rho is linear in the ranks, and a tie has the average of the orders that break it.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

MOST_IDEALS = 200_000  # about two seconds
MOST_IDEALS_PER_LEVEL = 10_000  # a tenth of a second for each of the levels that a p-value tries
ROUNDING = 1e-12  # far below the step 12 / (n^3 - n) between two correlations


def spearman(values) -> float:
    """Return Spearman's correlation of values with their index, average ranks at ties.

    values: [n], n >= 2. Not divided by the tie-corrected deviation of the ranks, so it is the average over
    the orders that break the ties; the usual coefficient without ties. Raises ValueError for NaN and n < 2.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or values.size < 2 or np.isnan(values).any():
        raise ValueError(f"values = {values!r}; allowed is one axis of at least two numbers")
    n = values.size
    centred = np.arange(n) - (n - 1) / 2
    return float(12.0 * (centred @ rankdata(values)) / (n**3 - n))


def spearman_bounds(below, most_ideals: int = MOST_IDEALS) -> tuple[float, float]:
    """Return the least and largest Spearman correlation over all orders that agree with `below`.

    below: bool [n, n]; below[i, j] says that "value i < value j" is established. Exact (dynamic programme
    over the down-sets of the partial order) up to `most_ideals` of them; beyond that each open pair is taken
    on its own, which is valid and wider, never wider than [-1, 1]. Raises ValueError for a cycle.
    """
    closed = _closure(_square(below, "below").astype(bool))
    if closed.diagonal().any():
        indices = np.flatnonzero(closed.diagonal()).tolist()
        raise ValueError(f"indices {indices} are below themselves; allowed are comparisons without a cycle")
    extremes = _distance_extremes(closed, most_ideals) or _pairwise_extremes(closed)
    return _from_distance(extremes[1], len(closed)), _from_distance(extremes[0], len(closed))


def spearman_p(p_below, bound: float, most_ideals: int = MOST_IDEALS_PER_LEVEL) -> tuple[float, float]:
    """Return (p_true, p_false) of the claim "Spearman's correlation with the index is at least bound".

    p_below: [n, n]; p_below[i, j] is a p-value of the null "value i >= value j" (anytime-valid in, anytime-
    valid out); the diagonal is ignored. At level alpha every pair with p <= alpha / (n (n - 1) / 2) is
    established. p_true is the least alpha at which the least correlation reaches the bound, p_false the least
    at which the largest stays under it; 1 if there is none below the level where the comparisons contradict.

    One null per unordered pair counts, ties included: let T be the true order, its ties broken against the
    verdict (downwards for p_true, upwards for p_false). T lies on the losing side of the bound, so the
    verdict is wrong only if an established pair disagrees with T; per unordered pair one direction does, and
    its null is true.
    """
    p = _square(p_below, "p_below").astype(float)
    np.fill_diagonal(p, 1.0)
    if not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError(f"p_below = {p!r}; allowed are numbers in [0, 1]")
    pairs = len(p) * (len(p) - 1) // 2
    levels = np.concatenate([[-1.0], np.unique(p[p * pairs < 1.0])])  # -1: nothing is established

    def contradicts(level: float) -> bool:
        return bool(_closure(p <= level).diagonal().any())

    levels = levels[: _first(contradicts, levels)]

    def supported(level: float) -> bool:
        return _least_reaches(_closure(p <= level), bound - ROUNDING, most_ideals)

    def refuted(level: float) -> bool:  # reading the index backwards changes the sign of the correlation
        return _least_reaches(_closure(p <= level)[::-1, ::-1], 2 * ROUNDING - bound, most_ideals)

    def at(k: int) -> float:
        return float(max(levels[k], 0.0) * pairs) if k < len(levels) else 1.0

    return at(_first(supported, levels)), at(_first(refuted, levels))


def area_bounds(low, high) -> tuple[float, float]:
    """Return the least and largest area under the curves in the box, the index rescaled to [0, 1].

    low, high: [n], n >= 2, ends of each point's interval. Trapezoid rule, so in the unit of the values.
    """
    low, high = _box(low, high)
    return float(np.trapezoid(low) / (low.size - 1)), float(np.trapezoid(high) / (low.size - 1))


def argmax_candidates(low, high) -> np.ndarray:
    """Return the indices at which some curve in the box has its maximum, ascending.

    low, high: [n], n >= 2. An index qualifies if its upper end reaches the largest lower end.
    """
    low, high = _box(low, high)
    return np.flatnonzero(high >= low.max())


def max_jump_bounds(low, high) -> tuple[float, float]:
    """Return the least and largest "largest rise from one point to the next" over the curves in the box.

    low, high: [n], n >= 2. For falls, pass (-high, -low). A curve with all rises <= m fits into the box if
    and only if low[j] - high[i] <= m (j - i) for all i < j, so both ends are exact.
    """
    low, high = _box(low, high)
    i, j = np.triu_indices(low.size, k=1)
    return float(((low[j] - high[i]) / (j - i)).max()), float((high[1:] - low[:-1]).max())


def _closure(below: np.ndarray) -> np.ndarray:
    """Return the transitive closure (Warshall)."""
    closed = below.copy()
    for k in range(len(closed)):
        closed |= closed[:, k, None] & closed[None, k, :]
    return closed


def _pairwise_extremes(closed: np.ndarray) -> tuple[int, int]:
    """Return bounds on the inverted distance, every open pair decided on its own."""
    gaps = np.triu(np.subtract.outer(np.arange(len(closed)), np.arange(len(closed))).T)
    return int(gaps[closed.T].sum()), int(gaps[~closed].sum())


def _least_reaches(closed: np.ndarray, bound: float, most_ideals: int) -> bool:
    """Return whether the least correlation is at least bound; try what is cheap first."""
    n = len(closed)
    if _from_distance(_pairwise_extremes(closed)[1], n) >= bound:
        return True
    if _from_distance(_greedy_distance(closed), n) < bound:
        return False
    return spearman_bounds(closed, most_ideals)[0] >= bound


def _greedy_distance(closed: np.ndarray) -> int:
    """Return the inverted distance of one linear extension: always the largest index that may come next."""
    placed = np.zeros(len(closed), dtype=bool)
    distance = 0
    for _ in closed:
        e = int(np.flatnonzero(~placed & ~(closed & ~placed[:, None]).any(axis=0))[-1])
        distance += int((np.flatnonzero(placed[e:])).sum())
        placed[e] = True
    return distance


def _distance_extremes(closed: np.ndarray, most_ideals: int) -> tuple[int, int] | None:
    """Return the least and largest inverted distance over the linear extensions, None beyond `most_ideals`.

    Grows down-sets one element at a time, smallest value first. Adding e puts it above all that are in: an
    inverted pair for each later index that is in already.
    """
    n = len(closed)
    needs = [sum(1 << int(d) for d in np.flatnonzero(closed[:, e])) for e in range(n)]
    layer, seen = {0: (0, 0)}, 1
    for _ in range(n):
        grown: dict[int, tuple[int, int]] = {}
        for ideal, (least, most) in layer.items():
            if seen + len(grown) > most_ideals:
                return None
            for e in range(n):
                if ideal >> e & 1 or needs[e] & ~ideal:
                    continue
                later = ideal >> e
                cost = sum(k for k in range(1, n - e) if later >> k & 1)
                old = grown.get(ideal | 1 << e, (least + cost, most + cost))
                grown[ideal | 1 << e] = (min(old[0], least + cost), max(old[1], most + cost))
        layer, seen = grown, seen + len(grown)
    return layer[(1 << n) - 1]


def _from_distance(distance: int, n: int) -> float:
    return 1.0 - 12.0 * distance / (n**3 - n)


def _first(holds: Callable[[float], bool], levels: np.ndarray) -> int:
    """Return the first position at which a predicate that stays true once true holds; len(levels) if none."""
    start, end = 0, len(levels)
    while start < end:
        middle = (start + end) // 2
        start, end = (start, middle) if holds(levels[middle]) else (middle + 1, end)
    return start


def _square(matrix, name: str) -> np.ndarray:
    matrix = np.array(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(f"{name} has shape {matrix.shape}; allowed is [n, n] with n >= 2")
    return matrix


def _box(low, high) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    if low.ndim != 1 or low.size < 2 or low.shape != high.shape or not (low <= high).all():
        raise ValueError(f"low = {low!r}, high = {high!r}; allowed are two axes of n >= 2 with low <= high")
    return low, high
