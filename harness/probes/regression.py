"""Ridge regression of several numbers at once, from second moments that are added up picture by picture."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from harness.probes.probe import FOLDS
from harness.probes.ridge import STRENGTHS, System, feature_scale


@dataclass
class PairMoments:
    """Sums over rows of inputs x and targets y by fold, float64: all that ridge regression needs of them."""

    count: Tensor
    x: Float[Tensor, "fold feature"]
    y: Float[Tensor, "fold target"]
    xx: Float[Tensor, "fold feature feature"]
    xy: Float[Tensor, "fold feature target"]

    @classmethod
    def empty(cls, features: int, targets: int, device: torch.device) -> "PairMoments":
        """Start with nothing seen."""
        shapes = ((), (features,), (targets,), (features, features), (features, targets))
        return cls(*(torch.zeros(FOLDS, *shape, dtype=torch.float64, device=device) for shape in shapes))

    def add(self, x: Float[Tensor, "image place feature"], y: Float[Tensor, "image place target"], first: int) -> None:
        """Add pictures, the first of which is number `first`: all places of one are in one fold."""
        for fold in range(FOLDS):
            rows = slice((fold - first) % FOLDS, None, FOLDS)
            inputs, targets = (part[rows].flatten(0, 1).double() for part in (x, y))
            self.count[fold] += len(inputs)
            self.x[fold] += inputs.sum(dim=0)
            self.y[fold] += targets.sum(dim=0)
            self.xx[fold] += inputs.mT @ inputs
            self.xy[fold] += inputs.mT @ targets


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A fitted map: targets = (x - centre) / scale @ weights + bias, fp32; `strength` relative to the mean variance."""

    centre: Float[Tensor, "feature"]
    scale: Float[Tensor, "feature"]
    weights: Float[Tensor, "feature target"]
    bias: Float[Tensor, "target"]
    strength: float

    def standardized(self, x: Float[Tensor, "*row feature"]) -> Float[Tensor, "*row feature"]:
        """Centre and scale inputs as those of the fit were."""
        return (x.float() - self.centre.to(x.device)) / self.scale.to(x.device)

    def targets(self, standardized: Float[Tensor, "*row feature"]) -> Float[Tensor, "*row target"]:
        """Map standardized inputs."""
        return standardized @ self.weights.to(standardized.device) + self.bias.to(standardized.device)


def fit_regression(moments: PairMoments, strengths: tuple[float, ...] = STRENGTHS) -> Regression:
    """Fit ridge regression on standardized inputs, with intercept; the strength by squared error over held-out folds.

    The penalty is strength x rows x mean variance of the inputs, as in `harness.probes.ridge`. A fold without rows is
    not held out.
    """
    sums = _Sums(*(getattr(moments, name).cpu().numpy() for name in ("count", "x", "y", "xx", "xy")))
    filled, every = np.flatnonzero(sums.count), np.ones(FOLDS, dtype=bool)
    best = 0
    if len(strengths) > 1 and len(filled) > 1:
        errors = sum(fold_errors(sums, int(fold), strengths) for fold in filled)
        best = int(np.argmin(errors))
    system = _solve(sums.over(every))
    arrays = (system.centre, system.scale, system.weights(strengths[best]) * system.scale[:, None], system.bias)
    parts = [torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)) for array in arrays]
    return Regression(centre=parts[0], scale=parts[1], weights=parts[2], bias=parts[3], strength=strengths[best])


@dataclass(frozen=True)
class _Sums:
    """Moments by fold, or summed over folds, as arrays."""

    count: np.ndarray
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray

    def over(self, folds: np.ndarray) -> "_Sums":
        return _Sums(*(part[folds].sum(axis=0) for part in (self.count, self.x, self.y, self.xx, self.xy)))


def fold_errors(sums: _Sums, fold: int, strengths: tuple[float, ...]) -> np.ndarray:
    """Sum squared errors over one fold of fits on the others: [strength], up to a constant that all share.

    In the eigenbasis the weights of a strength are `rotated` with rows scaled, so the error is a quadratic form in
    those scales.
    """
    rest = np.arange(FOLDS) != fold
    system, held = _solve(sums.over(rest)), sums.over(~rest)
    basis, centre = system.vectors / system.scale[:, None], system.centre
    offset = held.x - held.count * centre
    spread = held.xx - np.outer(held.x, centre) - np.outer(centre, offset)
    cross = held.xy - np.outer(centre, held.y) - np.outer(offset, system.bias)
    quadratic = (basis.T @ spread @ basis) * (system.rotated @ system.rotated.T)
    linear = -2.0 * np.einsum("et,et->e", system.rotated, basis.T @ cross)
    factors = np.stack([system.shrinkage(strength) for strength in strengths])
    return np.einsum("se,ef,sf->s", factors, quadratic, factors, optimize=True) + factors @ linear


def _solve(total: _Sums) -> System:
    """Centre, scale and diagonalize the normal equations."""
    centre, bias = total.x / total.count, total.y / total.count
    gram = total.xx - total.count * np.outer(centre, centre)
    scale = feature_scale(gram, float(total.count))
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    cross = total.xy - np.outer(total.x, bias)
    rotated = vectors.T @ (cross / scale[:, None])
    values = np.clip(values, 0.0, None)
    return System(centre=centre, scale=scale, values=values, vectors=vectors, rotated=rotated, bias=bias)
