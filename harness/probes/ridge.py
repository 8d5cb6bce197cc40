"""Ridge probes in closed form: every strength and every fold from one eigendecomposition per fold."""

from dataclasses import dataclass

import numpy as np
import torch

from harness.probes.moments import Moments, Total
from harness.probes.probe import FOLDS, Fit

# Regularization relative to the mean feature variance (one alpha is not one regularization across layers).
STRENGTHS = tuple(10.0**exponent for exponent in (-6, -5, -4, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1))
LEAST_PENALTY = 1e-12


@dataclass(frozen=True, kw_only=True)
class System:
    """Centred normal equations in the eigenbasis of the Gram matrix.

    `scale` [feature] divides the centred features (ones unless standardized), `values` and `vectors` diagonalize their
    Gram matrix, `rotated` [eigenvector, class] are cross-products with the +-1 targets, `bias` [class] their means.
    """

    centre: np.ndarray
    scale: np.ndarray
    values: np.ndarray
    vectors: np.ndarray
    rotated: np.ndarray
    bias: np.ndarray

    def shrinkage(self, strength: float) -> np.ndarray:
        """Give the factor of every eigenvector: 1 / (eigenvalue + penalty)."""
        return 1.0 / (self.values + max(strength * self.values.mean(), LEAST_PENALTY))

    def weights(self, strength: float) -> np.ndarray:
        """Solve for one strength: weights of the centred raw features [feature, class]."""
        return (self.vectors @ (self.shrinkage(strength)[:, None] * self.rotated)) / self.scale[:, None]


def fit_ridge(
    moments: Moments, labels: str = "own", strengths: tuple[float, ...] = STRENGTHS, *, standardized: bool = False
) -> Fit:
    """Fit multi-output ridge on +-1 one-hot targets with intercept; strength by 5-fold squared error.

    The penalty is strength x images x mean feature variance. Source of the recipe: lrast, lab note 2026-01-20
    (ridge on +-1 targets, cross-validated by squared error), with a seeded grid instead of random draws.
    """
    best = 0
    if len(strengths) > 1:
        errors = np.zeros(len(strengths))
        for fold in map(int, np.flatnonzero(moments.count)):
            errors += fold_errors(moments, labels, fold, strengths, standardized=standardized)
        best = int(np.argmin(errors))
    system = solve(moments.over(labels, np.ones(FOLDS, dtype=bool)), standardized=standardized)
    return as_fit(system.centre, system.weights(strengths[best]), system.bias, strengths[best])


def fold_errors(
    moments: Moments, labels: str, fold: int, strengths: tuple[float, ...], *, standardized: bool = False
) -> np.ndarray:
    """Sum squared errors over one fold of fits on the others: [strength], up to a constant that all share.

    In the eigenbasis the weights of a strength are `rotated` with rows scaled, so that the error is a quadratic form
    in those scales: one product over classes serves all strengths. Zeros where the other folds are empty.
    """
    rest = np.arange(FOLDS) != fold
    if moments.count[rest].sum() == 0:
        return np.zeros(len(strengths))
    system, held = solve(moments.over(labels, rest), standardized=standardized), moments.over(labels, ~rest)
    basis = system.vectors / system.scale[:, None]  # raw centred features @ basis = coordinates
    offset = held.total - held.count * system.centre
    spread = held.gram - np.outer(held.total, system.centre) - np.outer(system.centre, offset)
    targets = 2.0 * held.cross - 2.0 * np.outer(held.per_class, system.centre)  # the one-hot part of the +-1 targets
    moved = system.rotated @ system.bias
    hits = np.einsum("ec,ec->e", system.rotated, basis.T @ targets.T)
    shifted = basis.T @ offset
    quadratic = (basis.T @ spread @ basis) * (system.rotated @ system.rotated.T)
    linear = 2.0 * (shifted * moved - hits + shifted * system.rotated.sum(1))
    factors = np.stack([system.shrinkage(strength) for strength in strengths])
    return np.einsum("se,ef,sf->s", factors, quadratic, factors, optimize=True) + factors @ linear


def solve(total: Total, *, standardized: bool) -> System:
    """Centre, scale and diagonalize the normal equations."""
    centre = total.total / total.count
    gram = total.gram - total.count * np.outer(centre, centre)
    scale = feature_scale(gram, total.count) if standardized else np.ones_like(centre)
    # +-1 targets: 2 x one-hot - 1; centred cross-products need only the one-hot part.
    cross = 2.0 * (total.cross - np.outer(total.per_class, centre)).T
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    return System(
        centre=centre,
        scale=scale,
        values=np.clip(values, 0.0, None),
        vectors=vectors,
        rotated=vectors.T @ (cross / scale[:, None]),
        bias=2.0 * total.per_class / total.count - 1.0,
    )


def feature_scale(gram: np.ndarray, count: float) -> np.ndarray:
    """Give the standard deviation of every feature from the centred Gram matrix; 1 where a feature is constant."""
    variance = np.diag(gram) / count
    return np.sqrt(np.where(variance > 1e-12 * max(variance.max(), 1e-300), variance, 1.0))


def as_fit(centre: np.ndarray, weights: np.ndarray, bias: np.ndarray, strength: float) -> Fit:
    """Turn float64 arrays into a fit in fp32."""
    tensors = [torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)) for array in (centre, weights, bias)]
    return Fit(centre=tensors[0], weights=tensors[1], bias=tensors[2], strength=strength)
