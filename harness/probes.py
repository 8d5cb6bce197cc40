"""Probes: ridge readouts fitted on training images, in closed form from streamed Gram matrices.

One pass over the training images serves all layers and feature kinds: per fold the count, feature sum, Gram matrix
and per-class feature sums are enough for every regularization strength and for cross-validation. Memory does not
grow with the number of images.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from harness.subject import Stream, Subject

Kind = Literal["class", "patch mean", "class+patch mean"]
FOLDS = 5
# Regularization relative to the mean feature variance (one alpha is not one regularization across layers).
STRENGTHS = tuple(10.0**exponent for exponent in (-6, -5, -4, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1))


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A probe to be fitted: which features after which block, and whose labels.

    `normed` applies the head's own norm first. `labels="permuted"` fits on labels permuted among the training
    images, the control that must fail.
    """

    layer: int
    kind: Kind = "class"
    normed: bool = False
    labels: Literal["own", "permuted"] = "own"

    @property
    def inputs(self) -> tuple[int, str, bool]:
        """Name what the probe reads: probes with equal inputs share their Gram matrix."""
        return (self.layer, self.kind, self.normed)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted probe: scores = (features - centre) @ weights + bias, [feature, class] and [class]."""

    centre: Tensor
    weights: Tensor
    bias: Tensor
    strength: float

    def scores(self, inputs: Float[Tensor, "image feature"]) -> Float[Tensor, "image class"]:
        """Score images for all classes."""
        return (inputs.to(self.weights) - self.centre) @ self.weights + self.bias


@dataclass
class Moments:
    """Streamed sufficient statistics of ridge regression per fold, float64.

    `gram` [fold, feature, feature], `total` [fold, feature], `count` [fold], and per kind of label `cross`
    [fold, class, feature] and `per_class` [fold, class].
    """

    count: np.ndarray
    total: np.ndarray
    gram: np.ndarray
    cross: dict[str, np.ndarray] = field(default_factory=dict)
    per_class: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def empty(cls, width: int, classes: int, labels: tuple[str, ...]) -> "Moments":
        """Start with nothing seen."""
        return cls(
            count=np.zeros(FOLDS),
            total=np.zeros((FOLDS, width)),
            gram=np.zeros((FOLDS, width, width)),
            cross={kind: np.zeros((FOLDS, classes, width)) for kind in labels},
            per_class={kind: np.zeros((FOLDS, classes)) for kind in labels},
        )

    def add(self, inputs: np.ndarray, targets: dict[str, np.ndarray], folds: np.ndarray) -> None:
        """Add images: inputs [image, feature], targets [image] class indices per kind, folds [image]."""
        inputs = inputs.astype(np.float64)
        for fold in np.unique(folds):
            rows = folds == fold
            part = inputs[rows]
            self.count[fold] += len(part)
            self.total[fold] += part.sum(0)
            self.gram[fold] += part.T @ part
            for kind, labels in targets.items():
                np.add.at(self.cross[kind][fold], labels[rows], part)
                np.add.at(self.per_class[kind][fold], labels[rows], 1.0)


def features(probe: Probe, subject: Subject, stream: Stream) -> Float[Tensor, "image feature"]:
    """Read what a probe reads from a stream, fp32."""
    tokens = subject.normed(stream) if probe.normed else stream.tokens
    parts = []
    if probe.kind in ("class", "class+patch mean"):
        parts.append(tokens[:, subject.card.prefix.index("class")])
    if probe.kind in ("patch mean", "class+patch mean"):
        parts.append(tokens[:, len(subject.card.prefix) :].mean(dim=1))
    return torch.cat(parts, dim=-1).float()


def fit_ridge(moments: Moments, labels: str = "own", strengths: tuple[float, ...] = STRENGTHS) -> Fit:
    """Fit multi-output ridge on +-1 one-hot targets with intercept; strength by 5-fold squared error.

    The penalty is strength x images x mean feature variance. Source of the recipe: lrast, lab note 2026-01-20
    (ridge on +-1 targets, cross-validated by squared error), with a seeded grid instead of random draws.
    """
    errors = np.zeros(len(strengths))
    for fold in map(int, np.flatnonzero(moments.count)):
        rest = np.arange(FOLDS) != fold
        if moments.count[rest].sum() == 0:
            continue
        solved = _solve(moments, labels, rest, strengths)
        errors += [_squared_error(moments, labels, fold, *solution) for solution in solved]
    best = int(np.argmin(errors))
    centre, weights, bias = _solve(moments, labels, np.ones(FOLDS, dtype=bool), (strengths[best],))[0]
    as_tensor = lambda array: torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))  # noqa: E731
    return Fit(centre=as_tensor(centre), weights=as_tensor(weights), bias=as_tensor(bias), strength=strengths[best])


def _solve(
    moments: Moments, labels: str, folds: np.ndarray, strengths: tuple[float, ...]
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Solve for all strengths from one eigendecomposition: (centre, weights [feature, class], bias [class])."""
    count = moments.count[folds].sum()
    centre = moments.total[folds].sum(0) / count
    gram = moments.gram[folds].sum(0) - count * np.outer(centre, centre)
    # +-1 targets: 2 x one-hot - 1; centred cross-products need only the one-hot part.
    per_class = moments.per_class[labels][folds].sum(0)
    cross = 2.0 * (moments.cross[labels][folds].sum(0) - np.outer(per_class, centre)).T
    bias = 2.0 * per_class / count - 1.0
    values, vectors = np.linalg.eigh(gram)
    values = np.clip(values, 0.0, None)
    scale = values.mean()
    rotated = vectors.T @ cross
    return [(centre, vectors @ (rotated / (values + max(s * scale, 1e-12))[:, None]), bias) for s in strengths]


def _squared_error(
    moments: Moments, labels: str, fold: int, centre: np.ndarray, weights: np.ndarray, bias: np.ndarray
) -> float:
    """Sum squared errors over the images of one fold, from its moments alone."""
    count, total, gram = moments.count[fold], moments.total[fold], moments.gram[fold]
    per_class, cross = moments.per_class[labels][fold], moments.cross[labels][fold]
    offset = bias - centre @ weights  # prediction = x @ weights + offset
    predicted = np.einsum("fc,fc->", weights, gram @ weights) + 2.0 * total @ weights @ offset + count * offset @ offset
    # sum over images of y . prediction with y = 2 onehot - 1
    hit = 2.0 * (np.einsum("cf,fc->", cross, weights) + per_class @ offset)
    everything = (total @ weights).sum() + count * offset.sum()
    return float(predicted - 2.0 * (hit - everything))
