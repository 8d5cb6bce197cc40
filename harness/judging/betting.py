"""Anytime-valid tests and intervals for bounded means, by betting with a mixture of constant bets.

Whoever doubts "mean <= bound" stakes a constant fraction g of the wealth on every image. The wealth is
multiplied by 1 + g (x - bound) / (bound - lo) = 1 - g + g (x - lo) / (bound - lo), whose expectation is at
most 1 under the null: wealth is evidence (an e-process), and by Ville's inequality it may be looked at after
every image. No fraction is best for all effects, so the start capital is spread over a fixed grid of them
(Cover's universal portfolio). Every factor falls as the bound rises; so does the running maximum, and what is
not rejected is an interval. The null is closed: at mean == bound neither direction is to be rejected.

Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS-B 2024
(arXiv 2010.09686); sampling without replacement: section 5 there, and NeurIPS 2020 (arXiv 2006.04347).
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta, binom

# Geometric near 0 (a factor of 1.56 between neighbours costs at most 5 % of the growth), 1 - 2^-k near 1.
FRACTIONS = np.concatenate([np.geomspace(2.0**-10, 0.5, 15), 1.0 - 0.5 ** np.arange(2, 11)])
# Flat on the log-odds scale but for a mild preference for the middle, where claims are decided fastest.
WEIGHTS = (FRACTIONS * (1.0 - FRACTIONS)) ** 0.25 / np.sum((FRACTIONS * (1.0 - FRACTIONS)) ** 0.25)

Alpha = float | tuple[float, float]  # error of an interval, half on each side, or that of its lower and its upper end

RANGE_TOLERANCE = 1e-9  # how far outside [lo, hi] a value may lie by rounding
UNIT_TOLERANCE = 1e-11  # what counts as zero once [lo, hi] is rescaled to [0, 1]
ROOT_TOLERANCE = 1e-9  # interval ends, rounded outwards by this much of the range
LARGEST_LOG_RATIO = 20.0  # ratios are looked for in exp(-20) .. exp(20) times a_max / b_max
PIECE = 1 << 20  # most elements of (rows, fractions, images) held at a time


def log_evidence(x, bound: float, lo: float, hi: float, population: int | None = None) -> np.ndarray:
    """Return the log e-values against "mean <= bound" after each image.

    x: [..., n] values in [lo, hi], images last -> [..., n]. With `population` = N the images are the first n
    of a random order of N and the mean is that of all N. inf once the null is impossible, -inf once certain.
    Raises ValueError for values that are NaN or outside of [lo, hi], and for n > N.
    """
    unit, unit_bound = _rescale(x, bound, lo, hi, population)
    images = unit.shape[-1]
    rows = unit.reshape(-1, images) if images else unit.reshape(0, 0)
    logs = np.empty_like(rows)
    step = max(1, PIECE // (max(images, 1) * FRACTIONS.size))
    for start in range(0, len(rows), step):
        logs[start : start + step] = _log_wealth(rows[start : start + step], unit_bound, population)
    return logs.reshape(unit.shape)


def p_above(x, bound: float, lo: float, hi: float, population: int | None = None) -> np.ndarray:
    """Return the anytime-valid p-value of the null "mean <= bound"; small means: the mean is above.

    x: [..., n] -> [...]; 1 where n == 0. Valid at every stopping time (largest e-value so far, Ville's
    inequality); exactly 0 or 1 once all of a finite population is seen. Raises as `log_evidence`.
    """
    return np.exp(-_peak(log_evidence(x, bound, lo, hi, population)))


def p_below(x, bound: float, lo: float, hi: float, population: int | None = None) -> np.ndarray:
    """Return the anytime-valid p-value of the null "mean >= bound"; small means: the mean is below.

    x: [..., n] -> [...]: the mirror image of `p_above`.
    """
    return p_above(-np.asarray(x, dtype=float), -bound, -hi, -lo, population)


def mean_interval(x, lo: float, hi: float, alpha: Alpha, population: int | None = None) -> tuple[float, float]:
    """Return the confidence sequence of the mean at level 1 - alpha, alpha / 2 on each side or as given for each.

    x: [n]. Holds at all n at once, so it may be looked at after every image; longer prefixes give intervals
    inside those of shorter ones (to within ROOT_TOLERANCE). Exact once all of a finite population is seen.
    Raises ValueError as `log_evidence`, and for alpha outside of (0, 1).
    """
    thresholds = thresholds_of(alpha)
    unit, _ = _rescale(one_axis(x, "x"), lo, lo, hi, population)
    if unit.size == population:
        mean = lo + (hi - lo) * float(unit.mean())
        return mean, mean
    low = _lowest_kept(unit, thresholds[0], population)
    high = 1.0 - _lowest_kept(1.0 - unit, thresholds[1], population)
    return _in_order(lo + (hi - lo) * low, lo + (hi - lo) * high)


def ratio_interval(
    a, b, alpha: Alpha, a_max: float = 1.0, b_max: float = 1.0, population: int | None = None
) -> tuple[float, float]:
    """Return the confidence sequence of E[a] / E[b] at level 1 - alpha, alpha / 2 on each side or as given for each.

    a, b: [n] paired, in [0, a_max] and [0, b_max]. Keeps every r for which neither E[a - r b] <= 0 nor >= 0
    is rejected. Against "<= 0" a factor is 1 - g b / b_max + g a / (r b_max), falling in r; against ">= 0" it
    is 1 - g a / a_max + g r b / a_max, rising in r: what is kept is an interval, without replacement too. The
    upper end is inf while E[b] may be 0. Raises ValueError as `log_evidence`, and for a, b of unequal length.
    """
    thresholds = thresholds_of(alpha)
    a, b = one_axis(a, "a"), one_axis(b, "b")
    if a.size != b.size:
        raise ValueError(f"a has {a.size} images and b has {b.size}; a ratio needs pairs")
    a = _rescale(a, 0.0, 0.0, a_max, population)[0]
    b = _rescale(b, 0.0, 0.0, b_max, population)[0]
    unit = a_max / b_max
    if a.size == population:
        exact = float(a.sum() / b.sum()) * unit if b.any() else np.inf
        return (exact, exact) if a.any() or b.any() else (0.0, np.inf)

    def against_low(log_ratio: float) -> float:
        ratio = np.exp(log_ratio)
        return float(_peak(log_evidence(a - ratio * b, 0.0, -ratio, 1.0, population))) - thresholds[0]

    def against_high(log_ratio: float) -> float:
        ratio = np.exp(-log_ratio)
        return float(_peak(log_evidence(ratio * b - a, 0.0, -1.0, ratio, population))) - thresholds[1]

    # Both functions fall; the second runs over -log r.
    low = _last_rejected(against_low, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    high = _last_rejected(against_high, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    return _in_order(
        0.0 if low is None else unit * np.exp(low),
        np.inf if high is None else unit * np.exp(-high),
    )


def clopper_pearson(successes: int, n: int, alpha: float) -> tuple[float, float]:
    """Return the exact binomial interval at level 1 - alpha for a sample of fixed size n.

    Not anytime-valid. Raises ValueError unless 0 <= successes <= n. Source: Clopper & Pearson 1934.
    """
    thresholds_of(alpha)
    if not 0 <= successes <= n:
        raise ValueError(f"successes = {successes!r} of n = {n!r}; allowed are 0 <= successes <= n")
    low = beta.ppf(alpha / 2, successes, n - successes + 1) if successes > 0 else 0.0
    high = beta.ppf(1 - alpha / 2, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Return the two-sided exact p-value of "a and b are right equally often" for a sample of fixed size.

    only_a, only_b: how many images only a, only b gets right. Source: McNemar 1947 (exact version).
    """
    if min(only_a, only_b) < 0:
        raise ValueError(f"only_a = {only_a!r}, only_b = {only_b!r}; counts are not negative")
    return float(min(1.0, 2.0 * binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))


def _rescale(x, bound: float, lo: float, hi: float, population: int | None) -> tuple[np.ndarray, float]:
    """Check the arguments and map [lo, hi] to [0, 1]; return values and bound."""
    x = np.asarray(x, dtype=float)
    if not (np.isfinite([lo, hi]).all() and lo < hi):
        raise ValueError(f"range [{lo!r}, {hi!r}] is empty or infinite; allowed are finite lo < hi")
    if not np.isfinite(bound):
        raise ValueError(f"bound = {bound!r}; allowed are finite numbers")
    if x.ndim == 0:
        raise ValueError(f"x = {float(x)!r} has no axis of images; allowed is an array [..., n]")
    slack = RANGE_TOLERANCE * max(1.0, hi - lo)
    outside = ~((x >= lo - slack) & (x <= hi + slack))  # NaN is outside too
    if outside.any():
        index = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ValueError(f"value {float(x[index])!r} at index {index} is not in [{lo!r}, {hi!r}]")
    if population is not None and x.shape[-1] > population:
        raise ValueError(f"{x.shape[-1]} images from a population of {population!r}; allowed are at most all")
    return np.clip((x - lo) / (hi - lo), 0.0, 1.0), (bound - lo) / (hi - lo)


def _log_wealth(unit: np.ndarray, bound: float, population: int | None) -> np.ndarray:
    """Return log wealth [rows, n] against "mean <= bound" for values in [0, 1]."""
    images = unit.shape[-1]
    if population is None:
        stake = np.full(images, bound)
        payable = stake > UNIT_TOLERANCE
        above_zero = np.logical_or.accumulate(unit > UNIT_TOLERANCE, axis=-1)
        impossible = (bound < -UNIT_TOLERANCE) | (above_zero & (bound <= UNIT_TOLERANCE))
        certain = np.full(images, bound >= 1.0)
    else:
        slack = UNIT_TOLERANCE * population
        rest = population * bound - np.cumsum(unit, axis=-1)  # most that the unseen images may add up to
        unseen = population - np.arange(1, images + 1)
        before = np.insert(rest[:, :-1], 0, population * bound, axis=-1)
        stake, payable = before / (unseen + 1), before > slack
        impossible, certain = rest < -slack, rest >= unseen - slack
    excess = np.where(payable, unit / np.where(payable, stake, 1.0) - 1.0, 0.0)
    return np.where(impossible, np.inf, np.where(certain, -np.inf, _log_mixture(excess)))


def _log_mixture(excess: np.ndarray) -> np.ndarray:
    """Return log sum_g w_g prod_{i<=t} (1 + g excess_i) for excess [rows, n] -> [rows, n]."""
    rows, images = excess.shape
    logs = np.empty_like(excess)
    capital = np.broadcast_to(np.log(WEIGHTS), (rows, FRACTIONS.size))
    step = max(1, PIECE // (max(rows, 1) * FRACTIONS.size))
    for start in range(0, images, step):
        part = np.log1p(excess[:, None, start : start + step] * FRACTIONS[:, None])
        part[:, :, 0] += capital
        np.cumsum(part, axis=-1, out=part)
        capital = part[:, :, -1].copy()
        top = part.max(axis=1)
        part -= top[:, None]
        logs[:, start : start + step] = top + np.log(np.exp(part, out=part).sum(axis=1))
    return logs


def _peak(logs: np.ndarray) -> np.ndarray:
    """Return the largest log e-value so far, but 0 where the null has become certain: [..., n] -> [...]."""
    if logs.shape[-1] == 0:
        return np.zeros(logs.shape[:-1])
    return np.where(np.isneginf(logs[..., -1]), 0.0, np.maximum(logs.max(axis=-1), 0.0))


def _lowest_kept(unit: np.ndarray, threshold: float, population: int | None) -> float:
    """Return the smallest bound in [0, 1] for which "mean <= bound" is not rejected, rounded down."""

    def against(bound: float) -> float:
        return float(_peak(log_evidence(unit, bound, 0.0, 1.0, population))) - threshold

    root = _last_rejected(against, 0.0, 1.0)
    return 0.0 if root is None else max(0.0, root)


def _last_rejected(falling: Callable[[float], float], start: float, end: float) -> float | None:
    """Return where a falling function crosses 0, rounded towards `start`; None if it starts below 0."""

    def clipped(bound: float) -> float:
        return float(np.clip(falling(bound), -50.0, 50.0))

    if clipped(start) < 0.0:
        return None
    if clipped(end) >= 0.0:
        return end
    return brentq(clipped, start, end, xtol=ROOT_TOLERANCE / 4) - ROOT_TOLERANCE


def thresholds_of(alpha: Alpha) -> tuple[float, float]:
    """Give the log e-value at which a bound is left out at the lower and at the upper end."""
    ends = alpha if isinstance(alpha, tuple) else (alpha / 2, alpha / 2)
    if not all(0.0 < end < (1.0 if isinstance(alpha, tuple) else 0.5) for end in ends):
        raise ValueError(f"alpha = {alpha!r}; allowed are numbers between 0 and 1")
    return float(-np.log(ends[0])), float(-np.log(ends[1]))


def one_axis(x, name: str) -> np.ndarray:
    x = np.asarray(x, dtype=float)
    if x.ndim != 1:
        raise ValueError(f"{name} has shape {x.shape}; allowed is one axis of images")
    return x


def _in_order(low: float, high: float) -> tuple[float, float]:
    """Swap ends that crossed: the two sides can reject one bound at different times (probability < alpha)."""
    return (float(low), float(high)) if low <= high else (float(high), float(low))
