"""Which training images a probe is fitted on, with which labels and in which fold: fixed by labels, grid and seed."""

from collections.abc import Sequence

import numpy as np

from harness.images.sampling import exchange_pairs
from harness.probes.probe import FOLDS, LabelKind

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
        self._squares = {exchanged: _square_labels(labels, ranks, random) for exchanged, ranks in self._ranks.items()}

    def rows(self, shots: int | None, exchanged: bool) -> np.ndarray:
        """Say which images take part: bool [image]."""
        return self._ranks[exchanged] < (UNUSED if shots is None else shots)

    def targets(self, kind: LabelKind, shots: int | None, exchanged: bool) -> np.ndarray:
        """Give the labels to fit on: int [image].

        With shots, labels are drawn so that the first images of all classes, the second ones and so on hold every
        label once: the first k of every class are then k of every label, on the same images as with their own.
        """
        if kind == "own":
            return self._own
        return self._permuted if shots is None else self._squares[exchanged]


def _ranks(labels: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Count the used images of the same class before each: int64 [image], UNUSED for the others."""
    ranks = np.full(len(labels), UNUSED, dtype=np.int64)
    chosen = np.flatnonzero(used)
    order = chosen[np.argsort(labels[chosen], kind="stable")]
    _, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    ranks[order] = np.arange(len(order)) - np.repeat(first, counts)
    return ranks


def _square_labels(labels: np.ndarray, ranks: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Give labels by random Latin squares of class against rank.

    Among the k-th images of all classes every label occurs once, and among the images of one class too, square by
    square: a plain permutation of few classes leaves so much of the label by chance that the control may pass.
    """
    classes, own = np.unique(labels, return_inverse=True)
    size, permuted = len(classes), labels.copy()
    used = np.flatnonzero(ranks < UNUSED)
    for square in range(ranks[used].max(initial=-1) // size + 1):
        row, column, symbol = (random.permutation(size) for _ in range(3))
        mine = used[ranks[used] // size == square]
        permuted[mine] = classes[symbol[(row[own[mine]] + column[ranks[mine] % size]) % size]]
    return permuted
