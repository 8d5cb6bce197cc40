"""Who is fitted on what: shots per class, permuted labels and exchanged pairs, fixed by labels and seed."""

import numpy as np

from harness.chunks import chunk_grid
from harness.design import Design
from harness.probes import FOLDS

LABELS = np.random.default_rng(0).integers(0, 5, 83)
GRID = chunk_grid(len(LABELS), 9)


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


def test_permuted_labels_of_few_shots_stay_balanced_and_are_not_the_labels():
    for exchanged in (False, True):
        for shots in (1, 3, 6):
            rows = design().rows(shots, exchanged)
            permuted = design().targets("permuted", shots, exchanged)
            assert np.bincount(permuted[rows]).tolist() == np.bincount(LABELS[rows]).tolist()
            assert (permuted[rows] == LABELS[rows]).mean() < 0.6
            np.testing.assert_array_equal(permuted[rows], design().targets("permuted", 1 + shots, exchanged)[rows])


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
