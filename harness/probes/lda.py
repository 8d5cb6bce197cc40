"""Linear discriminant analysis from the same moments as ridge: class means and one shrunk covariance."""

from dataclasses import dataclass

import numpy as np

from harness.probes.moments import Moments, Total
from harness.probes.probe import ABSENT, FOLDS, Fit
from harness.probes.ridge import as_fit, feature_scale

# Share of the covariance that is replaced by its mean variance times the identity.
SHRINKAGES = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
LEAST_VARIANCE = 1e-6  # of a standardized feature; one image per class leaves no variance within classes at all


@dataclass(frozen=True, kw_only=True)
class Gaussians:
    """Class means [class, feature] and pooled covariance of standardized features, in its eigenbasis."""

    centre: np.ndarray
    scale: np.ndarray
    means: np.ndarray
    priors: np.ndarray
    values: np.ndarray
    vectors: np.ndarray

    def variances(self, shrinkage: float) -> np.ndarray:
        """Give the variance along every eigenvector after shrinking."""
        return np.maximum((1.0 - shrinkage) * self.values + shrinkage * self.values.mean(), LEAST_VARIANCE)


def fit_lda(moments: Moments, labels: str = "own", shrinkages: tuple[float, ...] = SHRINKAGES) -> Fit:
    """Fit LDA on standardized features; the shrinkage is that of the greatest held-out Gaussian likelihood.

    Scores are log posteriors up to a constant per image; a class without training images scores far below all others.
    """
    costs = np.zeros(len(shrinkages))
    for fold in map(int, np.flatnonzero(moments.count)) if len(shrinkages) > 1 else ():
        costs += fold_costs(moments, labels, fold, shrinkages)
    best = shrinkages[int(np.argmin(costs))]
    model = describe(moments.over(labels, np.ones(FOLDS, dtype=bool)))
    weights = model.vectors @ ((model.vectors.T @ model.means.T) / model.variances(best)[:, None])
    seen = model.priors > 0
    logs = np.log(np.where(seen, model.priors, 1.0))
    bias = np.where(seen, logs - 0.5 * np.einsum("cf,fc->c", model.means, weights), ABSENT)
    return as_fit(model.centre, weights / model.scale[:, None], bias, best)


def fold_costs(moments: Moments, labels: str, fold: int, shrinkages: tuple[float, ...]) -> np.ndarray:
    """Give twice the negative log likelihood of one fold under the others: [shrinkage], up to a shared constant.

    Images of a class that the others lack are held against the mean of all. Zeros where the other folds are empty.
    """
    rest = np.arange(FOLDS) != fold
    if moments.count[rest].sum() == 0:
        return np.zeros(len(shrinkages))
    model, held = describe(moments.over(labels, rest)), moments.over(labels, ~rest)
    shift = held.total - held.count * model.centre
    spread = held.gram - np.outer(held.total, model.centre) - np.outer(model.centre, shift)
    sums = (held.cross - np.outer(held.per_class, model.centre)) / model.scale
    mixed = sums.T @ model.means
    around = spread / np.outer(model.scale, model.scale) - mixed - mixed.T
    around += (model.means * held.per_class[:, None]).T @ model.means
    squares = np.einsum("fe,fe->e", model.vectors, around @ model.vectors)
    variances = np.stack([model.variances(shrinkage) for shrinkage in shrinkages])
    return (squares / variances).sum(1) + held.count * np.log(variances).sum(1)


def describe(total: Total) -> Gaussians:
    """Give class means and pooled covariance of standardized features; an unseen class has the mean of all."""
    centre = total.total / total.count
    scale = feature_scale(total.gram - total.count * np.outer(centre, centre), total.count)
    counts = np.maximum(total.per_class, 1.0)[:, None]
    within = (total.gram - (total.cross / counts).T @ total.cross) / total.count
    values, vectors = np.linalg.eigh(within / np.outer(scale, scale))
    means = np.where(total.per_class[:, None] > 0, (total.cross / counts - centre) / scale, 0.0)
    return Gaussians(
        centre=centre,
        scale=scale,
        means=means,
        priors=total.per_class / total.count,
        values=np.clip(values, 0.0, None),
        vectors=vectors,
    )
