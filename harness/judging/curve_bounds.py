"""Functionals of a curve, bounded over all that is not yet known about its points.

A curve has one value per index (block, layer, step). Spearman's correlation with the index is judged from
pairwise comparisons, which are many times tighter than boxes of levels; area, argmax and jump from a box.

rho = 1 - 12 / (n^3 - n) * inverted distance: the sum of j - i over the pairs i < j in inverted order, where a
tie counts half. So rho is linear in the ranks, and a tie has the average of the orders that break it.

A saturated curve ends in points that differ by less than anyone can read, and their order decides nothing about
whether it rises. With a tolerance t a pair is inverted only where the later value is lower by more than t, and a fall
within t counts as none. A flat curve then rises as well: whoever uses a tolerance asks for the range of the curve too.
"""

from bisect import bisect_left

import numpy as np
from scipy.stats import rankdata

MOST_DOWN_SETS = 4_000  # about a tenth of a second
SURE = 1e5  # evidence beyond which orders are not told apart one by one
LEAST_TRIED = 5.0  # evidence below which no error level in use decides
MOST_LOG_EVIDENCE = 100.0  # as good as certain, and far from overflow
ROUNDING = 1e-12  # far below the step 12 / (n^3 - n) between two correlations


def spearman(values, tolerance: float = 0.0) -> float:
    """Return Spearman's correlation of values with their index, average ranks at ties; no falls within a tolerance.

    values: [n], n >= 2. Not divided by the tie-corrected deviation of the ranks, so it is the average over
    the orders that break the ties; the usual coefficient without ties. Raises ValueError for NaN and n < 2.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or values.size < 2 or np.isnan(values).any():
        raise ValueError(f"values = {values!r}; allowed is one axis of at least two numbers")
    n = values.size
    if tolerance > 0.0:
        i, j = np.triu_indices(n, k=1)
        return float(1.0 - 12.0 * (j - i)[values[i] - values[j] > tolerance].sum() / (n**3 - n))
    centred = np.arange(n) - (n - 1) / 2
    return float(12.0 * (centred @ rankdata(values)) / (n**3 - n))


def rise_p(log_falls, log_rises, bound: float, tolerant: bool = False) -> tuple[float, float]:
    """Return (p_true, p_false) of the claim "Spearman's correlation with the index is at least bound".

    log_falls, log_rises: [pair, look], for the pairs i < j in the order of np.triu_indices: log e-values against "value
    j is at most value i" and against "value j is at least value i", processes over the looks. Any looks will do.
    `tolerant`: "value i less the tolerance" stands in both; then the pairs that fall need belong to no order (two falls
    within the tolerance may add up to one beyond it), and any set of them may be the true one.

    Intersection-union over orders. Let T be the true order, its ties broken against the verdict. A claim of at least
    `bound` is wrong only if the pairs that T inverts weigh more than the bound allows (a pair weighs j - i). The mean
    of their e-values by weight is an e-process if T is true, so to reject every such order at a level errs with at most
    that level, and nothing is divided by the number of pairs. To refute, likewise the pairs that T does not invert.
    """
    n = _points(len(log_falls))
    total = (n**3 - n) // 6
    most = int(np.floor((1.0 - bound) * total / 2.0 + ROUNDING * total))  # weight that may be inverted
    return _p_against(log_falls, most + 1, tolerant), _p_against(log_rises, total - most, tolerant)


def rise_interval(log_falls, log_rises, alpha: tuple[float, float], tolerant: bool = False) -> tuple[float, float]:
    """Return the interval of Spearman's correlation whose ends err with at most alpha[0] and alpha[1].

    Arguments as of `rise_p`, of which it is the inversion.
    """
    n = _points(len(log_falls))
    total = (n**3 - n) // 6

    def kept(logs: np.ndarray, level: float) -> int:
        """Give the largest weight that is not rejected, of inverted pairs or of others."""
        weights = range(1, total + 1)
        return bisect_left(weights, True, key=lambda weight: _p_against(logs, weight, tolerant) <= level)

    return 1.0 - 2.0 * kept(log_falls, alpha[0]) / total, 2.0 * kept(log_rises, alpha[1]) / total - 1.0


def evidence_of_sets(evidence, gaps) -> np.ndarray:
    """Return the least mean evidence by weight over all sets of pairs of a given weight: [weight], from 1 to all.

    evidence, gaps: [pair], e-values and weights >= 1. Parts of a pair are allowed, and sets that belong to no order are
    counted, which only lowers it: a bound for any number of points, in pairs x log(pairs).
    """
    order, weights = np.argsort(evidence, kind="stable"), np.arange(1, int(gaps.sum()) + 1)
    reached = np.concatenate([[0.0], np.cumsum(gaps[order])])
    cost = np.concatenate([[0.0], np.cumsum(gaps[order] * evidence[order])])
    return np.interp(weights, reached, cost) / weights


def evidence_of_orders(evidence, sure: float = np.inf, most: int = MOST_DOWN_SETS) -> np.ndarray | None:
    """Return the least mean evidence, by weight, of the pairs inverted in any order of a given weight: [weight].

    evidence: [n, n], e-values of the pairs i < j. As `evidence_of_sets`, but of orders alone: exact up to `sure`, from
    which on no order is looked at. An order grows from its smallest value up: a dynamic programme over down-sets of
    what is sure, each with the least sum of weighted evidence by weight of the pairs inverted so far. None where there
    are more than `most` of them; inf where no order has the weight.
    """
    n = len(evidence)
    i, j = np.triu_indices(n, k=1)
    total = int((j - i).sum())
    gap = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    fixed = np.triu(gap * evidence >= sure * total, k=1)  # one such pair makes the mean as large
    needs = [sum(1 << int(d) for d in np.flatnonzero(fixed[:, e])) for e in range(n)]
    start = np.full(total + 1, np.inf)
    start[0] = 0.0
    layer, seen = {0: start}, 1
    for _ in range(n):
        grown: dict[int, np.ndarray] = {}
        for placed, least in layer.items():
            for e in range(n):
                if placed >> e & 1 or needs[e] & ~placed:
                    continue
                later = [k for k in range(e + 1, n) if placed >> k & 1]
                weight, cost = int(gap[e, later].sum()), float((gap[e, later] * evidence[e, later]).sum())
                old = grown.setdefault(placed | 1 << e, np.full(total + 1, np.inf))
                np.minimum(old[weight:], least[: total + 1 - weight] + cost, out=old[weight:])
        layer, seen = grown, seen + len(grown)
        if seen > most:
            return None
    return layer[(1 << n) - 1][1:] / np.arange(1, total + 1)


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


def _p_against(logs: np.ndarray, weight: int, tolerant: bool) -> float:
    """Give the p-value of "the pairs of the set weigh at least so much"; 0 where they cannot, 1 where they do."""
    n = _points(len(logs))
    gaps = _gaps(n)
    if weight <= 0:
        return 1.0
    if weight > gaps.sum():
        return 0.0
    evidence = np.exp(np.minimum(logs, MOST_LOG_EVIDENCE))
    best = 1.0
    for look in evidence.T:
        best = max(best, float(evidence_of_sets(look, gaps)[weight - 1]))
    for look in () if tolerant else evidence.T[::-1]:  # the last is the likeliest to decide
        if max(best, LEAST_TRIED) < min(SURE, _of_reversals(look, n, weight)):
            square = np.zeros((n, n))
            square[np.triu_indices(n, k=1)] = look
            found = evidence_of_orders(square, SURE)
            best = max(best, 0.0 if found is None else float(min(SURE, found[weight - 1 :].min())))
    return 1.0 / best


def _of_reversals(look: np.ndarray, n: int, weight: int) -> float:
    """Give the least mean evidence of orders that reverse one stretch of the curve: no order does better."""
    square = np.zeros((n, n))
    square[np.triu_indices(n, k=1)] = _gaps(n) * look
    found = np.inf
    for first in range(n):
        for size in range(2, n - first + 1):
            if (size**3 - size) // 6 >= weight:
                found = min(
                    found, float(square[first : first + size, first : first + size].sum()) * 6 / (size**3 - size)
                )
    return found


def _gaps(n: int) -> np.ndarray:
    """Give j - i of the pairs i < j [pair]."""
    i, j = np.triu_indices(n, k=1)
    return j - i


def _points(pairs: int) -> int:
    """Give how many points have so many pairs."""
    n = round((1.0 + (1.0 + 8.0 * pairs) ** 0.5) / 2.0)
    if pairs < 1 or n * (n - 1) // 2 != pairs:
        raise ValueError(f"evidence on {pairs} pairs; allowed is one row per pair of two points or more")
    return n


def _box(low, high) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    if low.ndim != 1 or low.size < 2 or low.shape != high.shape or not (low <= high).all():
        raise ValueError(f"low = {low!r}, high = {high!r}; allowed are two axes of n >= 2 with low <= high")
    return low, high
