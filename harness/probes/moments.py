"""Streamed moments of features and labels: all that ridge regression and LDA need, whatever the number of images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.probes.probe import FOLDS


@dataclass
class Moments:
    """Sufficient statistics of a linear fit per fold, float64.

    `gram` [fold, feature, feature], `total` [fold, feature], `count` [fold], and per kind of label `cross`
    [fold, class, feature], the sum of the features of each class, and `per_class` [fold, class].
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

    @staticmethod
    def bytes(width: int, classes: int, labels: int) -> int:
        """Count the bytes that `empty` takes."""
        return 8 * FOLDS * (1 + width + width * width + labels * classes * (width + 1))

    def add(self, inputs: np.ndarray, targets: Mapping[Any, np.ndarray], folds: np.ndarray) -> None:
        """Add images: inputs [image, feature], targets [image] class indices per kind, folds [image]."""
        order = np.argsort(folds, kind="stable")
        inputs, folds = inputs[order].astype(np.float64), folds[order]
        for fold in map(int, np.unique(folds)):
            part = inputs[slice(*np.searchsorted(folds, (fold, fold + 1)))]
            self.count[fold] += len(part)
            self.total[fold] += part.sum(0)
            self.gram[fold] += part.T @ part
        for kind, labels in targets.items():
            _add_by_class(self.cross[kind], self.per_class[kind], inputs, folds, labels[order])

    def over(self, labels: str, folds: np.ndarray) -> "Total":
        """Sum over the folds that a mask [fold] chooses, for one kind of label."""
        return Total(
            count=float(self.count[folds].sum()),
            total=self.total[folds].sum(0),
            gram=self.gram[folds].sum(0),
            cross=self.cross[labels][folds].sum(0),
            per_class=self.per_class[labels][folds].sum(0),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Lay out for a checkpoint."""
        named = {"count": self.count, "total": self.total, "gram": self.gram}
        named |= {f"cross|{kind}": array for kind, array in self.cross.items()}
        return named | {f"per_class|{kind}": array for kind, array in self.per_class.items()}

    @classmethod
    def from_arrays(cls, named: Mapping[str, np.ndarray]) -> "Moments":
        """Take up from a checkpoint."""
        by_kind = {
            what: {key.split("|")[1]: array for key, array in named.items() if key.startswith(f"{what}|")}
            for what in ("cross", "per_class")
        }
        return cls(count=named["count"], total=named["total"], gram=named["gram"], **by_kind)


@dataclass(frozen=True, kw_only=True)
class Total:
    """Moments summed over folds: `gram` [feature, feature], `total` [feature], `cross` [class, feature]."""

    count: float
    total: np.ndarray
    gram: np.ndarray
    cross: np.ndarray
    per_class: np.ndarray


def _add_by_class(
    cross: np.ndarray, per_class: np.ndarray, inputs: np.ndarray, folds: np.ndarray, labels: np.ndarray
) -> None:
    """Add feature sums per (fold, class): sort once and sum runs, which is many times faster than np.add.at."""
    if not len(inputs):
        return
    cells = folds * cross.shape[1] + labels
    order = np.argsort(cells, kind="stable")
    filled, first, counts = np.unique(cells[order], return_index=True, return_counts=True)
    cross.reshape(-1, cross.shape[2])[filled] += np.add.reduceat(inputs[order], first, axis=0)
    per_class.reshape(-1)[filled] += counts
