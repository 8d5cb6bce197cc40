"""Who is fitted on what: shots per class, permuted labels and exchanged pairs, fixed by labels and seed."""

import numpy as np
import pytest

from harness.images.sampling import batch_ranges
from harness.probes.probe import FOLDS
from harness.probes.training.design import Design

LABELS = np.random.default_rng(0).integers(0, 5, 83)
GRID = batch_ranges(len(LABELS), 9)


def design(seed: int = 0) -> Design:
    return Design(LABELS, GRID, seed)


def by_hand(shots: int, exchanged: bool) -> list[bool]:
    """Count the images of each class as they come, leaving out pairs of one class and images without a partner."""
    seen, taken = dict.fromkeys(range(5), 0), []
    for chunk in GRID:
        for place in chunk:
            partner = chunk.start + ((place - chunk.start) ^ 1)
            usable = not exchanged or (partner in chunk and LABELS[partner] != LABELS[place])
            label = int(LABELS[place])
            taken.append(usable and seen[label] < shots)
            seen[label] += usable
    return taken


def test_shots_are_the_first_images_of_every_class():
    for exchanged in (False, True):
        for shots in (1, 2, 7, 1000):
            assert design().rows(shots, exchanged).tolist() == by_hand(shots, exchanged)
        assert design().rows(None, exchanged).tolist() == by_hand(1000, exchanged)


def test_permuted_labels_of_few_shots_hold_every_label_equally_often_and_tell_nothing_of_the_class():
    labels = np.random.default_rng(1).permutation(np.arange(100) % 5)
    drawn = Design(labels, batch_ranges(100, 10), 0)
    for shots in (1, 3, 5, 10, 20):
        rows = drawn.rows(shots, False)
        permuted = drawn.targets("permuted", shots, False)[rows]
        assert np.bincount(permuted).tolist() == [shots] * 5
        if shots % 5 == 0:
            together = [[((labels[rows] == c) & (permuted == p)).sum() for p in range(5)] for c in range(5)]
            assert np.unique(together).tolist() == [shots // 5]
        np.testing.assert_array_equal(permuted, drawn.targets("permuted", 20, False)[rows])


def test_one_permuted_shot_per_class_keeps_one_label_on_average():
    """As in any random permutation: neither all labels nor none, which would teach the opposite."""
    labels = np.arange(8)
    kept = [
        (Design(labels, batch_ranges(8, 8), seed).targets("permuted", 1, False) == labels).sum() for seed in range(400)
    ]
    assert np.mean(kept) == pytest.approx(1.0, abs=0.2)


def test_permuted_labels_of_exchanged_images_lie_on_those_that_take_part():
    rows, permuted = design().rows(4, True), design().targets("permuted", 4, True)
    assert (permuted[rows] == LABELS[rows]).mean() < 0.6
    assert set(permuted[rows]) == set(LABELS)


def test_everything_is_fixed_by_the_seed():
    one, same, other = design(), design(), design(1)
    for kind, shots in (("permuted", None), ("permuted", 3)):
        first = one.targets(kind, shots, False)
        np.testing.assert_array_equal(first, same.targets(kind, shots, False))
        assert not np.array_equal(first, other.targets(kind, shots, False))
    np.testing.assert_array_equal(one.folds, same.folds)
    assert np.ptp(np.bincount(one.folds, minlength=FOLDS)) <= 1


def test_own_labels_are_the_labels():
    assert design().targets("own", 3, True) is LABELS
