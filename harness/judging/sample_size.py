"""How many images a claim will need before anything is measured.

A planner's estimate, not a guarantee: it follows the mean growth of log wealth and ignores its spread.
"""

import math

import numpy as np

from harness.judging.betting import FRACTIONS, WEIGHTS


def images_needed(values, probabilities, bound: float, lo: float, hi: float, alpha: float) -> float:
    """Return the expected number of images until the betting test decides "mean > bound" or "mean < bound".

    values, probabilities: [k], distribution of the per-image contrast. With fraction g alone, wealth reaches
    1 / alpha when n * growth(g) = ln(1 / alpha) + ln(1 / weight(g)); the best g bounds the mixture. inf when
    the mean equals the bound. Raises ValueError for values outside of [lo, hi] and for no distribution.
    """
    values, probabilities = np.asarray(values, dtype=float), np.asarray(probabilities, dtype=float)
    _check_distribution(values, probabilities, lo, hi)
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha = {alpha!r}; allowed are numbers between 0 and 1")
    unit, unit_bound = (values - lo) / (hi - lo), (bound - lo) / (hi - lo)
    mean = float(probabilities @ unit)
    if math.isclose(mean, unit_bound, rel_tol=0.0, abs_tol=1e-12):
        return math.inf
    if mean < unit_bound:
        unit, unit_bound = 1.0 - unit, 1.0 - unit_bound
    if unit_bound <= 0.0:  # the first value above the bound disproves "mean <= bound"
        return 1.0 / float(probabilities[unit > unit_bound].sum())
    growth = np.log1p(FRACTIONS[:, None] * (unit / unit_bound - 1.0)) @ probabilities
    grows = growth > 0.0
    if not grows.any():
        return math.inf
    return max(1.0, float(((math.log(1 / alpha) - np.log(WEIGHTS[grows])) / growth[grows]).min()))


def paired_images_needed(values, probabilities, bound: float, lo: float, hi: float, alpha: float) -> float:
    """Return the expected number of images as `images_needed`, where the mean of two images is one unit.

    values, probabilities: [k], distribution of the contrast of one image; the two are taken as independent.
    """
    values, probabilities = np.asarray(values, dtype=float), np.asarray(probabilities, dtype=float)
    means = np.add.outer(values, values).ravel() / 2
    return 2.0 * images_needed(means, np.outer(probabilities, probabilities).ravel(), bound, lo, hi, alpha)


def hoeffding_images(eps: float, delta: float) -> int:
    """Return the sample size at which a mean in [0, 1] is known to within eps with probability 1 - delta.

    ceil(ln(2 / delta) / (2 eps^2)); for a sample of fixed size. Source: Hoeffding, JASA 1963.
    """
    if not (eps > 0.0 and 0.0 < delta < 1.0):
        raise ValueError(f"eps = {eps!r}, delta = {delta!r}; allowed are eps > 0 and 0 < delta < 1")
    return math.ceil(math.log(2.0 / delta) / (2.0 * eps**2))


def bernoulli_pair(
    accuracy: float, retention: float, spare_discordance: float = 0.0, ratio: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return values and probabilities of the contrast a - ratio * b of paired 0/1 outcomes.

    b is right with probability `accuracy`, a with `accuracy * retention`. Of all images, a loses the
    difference plus `spare_discordance` and gains `spare_discordance` (swapped where retention > 1). Order of
    the outcomes: both, only b, only a, neither. Raises ValueError where no such pair exists.
    """
    net = accuracy * (1.0 - retention)
    lost, gained = max(net, 0.0) + spare_discordance, max(-net, 0.0) + spare_discordance
    probabilities = np.array([accuracy - lost, lost, gained, 1.0 - accuracy - gained])
    if spare_discordance < 0.0 or not (probabilities >= -1e-12).all():
        raise ValueError(
            f"no paired outcomes have accuracy = {accuracy!r}, retention = {retention!r}, "
            f"spare_discordance = {spare_discordance!r}: shares would be {probabilities.round(6).tolist()}"
        )
    return np.array([1.0 - ratio, -ratio, 1.0, 0.0]), np.clip(probabilities, 0.0, 1.0)


def _check_distribution(values: np.ndarray, probabilities: np.ndarray, lo: float, hi: float) -> None:
    if not lo < hi:
        raise ValueError(f"range [{lo!r}, {hi!r}] is empty; allowed is lo < hi")
    if values.ndim != 1 or values.shape != probabilities.shape:
        raise ValueError(f"values {values.shape} and probabilities {probabilities.shape} are not one axis")
    if not ((values >= lo - 1e-9) & (values <= hi + 1e-9)).all():
        raise ValueError(f"values {values.tolist()} are not all in [{lo!r}, {hi!r}]")
    if not ((probabilities >= 0.0).all() and math.isclose(probabilities.sum(), 1.0, abs_tol=1e-9)):
        raise ValueError(f"probabilities {probabilities.tolist()} are negative or do not add up to 1")
