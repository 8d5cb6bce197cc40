"""Which training images a probe is fitted on, with which labels and in which fold: fixed by labels, grid and seed."""

from collections.abc import Sequence

import numpy as np

from harness.chunks import exchange_pairs
from harness.probes import FOLDS, LabelKind

UNUSED = np.iinfo(np.int64).max


class Design:
    """The layout of one set of training images [image] in measuring order.

    `exchanged` speaks of images that exchange class tokens: there pairs of one class and a last image without a
    partner are left out, as their tokens would tell the label.
    """

    def __init__(self, labels: np.ndarray, chunks: Sequence[range], seed: int) -> None:
        random = np.random.Generator(np.random.PCG64([seed, 7]))
        self.folds = random.permutation(len(labels)) % FOLDS
        self._own, self._permuted = labels, random.permutation(labels)
        first = exchange_pairs(labels, chunks)
        paired = np.zeros(len(labels), dtype=bool)
        paired[np.concatenate([first, first + 1])] = True
        self._ranks = {exchanged: _ranks(labels, paired if exchanged else np.ones_like(paired)) for exchanged in (0, 1)}
        keys = random.permutation(len(labels))
        self._shells = {exchanged: _permute_shells(labels, ranks, keys) for exchanged, ranks in self._ranks.items()}

    def rows(self, shots: int | None, exchanged: bool) -> np.ndarray:
        """Say which images take part: bool [image]."""
        return self._ranks[exchanged] < (UNUSED if shots is None else shots)

    def targets(self, kind: LabelKind, shots: int | None, exchanged: bool) -> np.ndarray:
        """Give the labels to fit on: int [image].

        With shots, labels are permuted among the first images of all classes, among the second ones and so on: the
        first k of every class then still hold k of every class, and are the same images as with their own labels.
        """
        if kind == "own":
            return self._own
        return self._permuted if shots is None else self._shells[exchanged]


def _ranks(labels: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Count the used images of the same class before each: int64 [image], UNUSED for the others."""
    ranks = np.full(len(labels), UNUSED, dtype=np.int64)
    chosen = np.flatnonzero(used)
    order = chosen[np.argsort(labels[chosen], kind="stable")]
    _, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    ranks[order] = np.arange(len(order)) - np.repeat(first, counts)
    return ranks


def _permute_shells(labels: np.ndarray, ranks: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Permute labels among images of equal rank, in the order of random keys."""
    permuted = labels.copy()
    permuted[np.argsort(ranks, kind="stable")] = labels[np.lexsort((keys, ranks))]
    return permuted
