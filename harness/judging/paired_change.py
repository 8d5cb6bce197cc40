"""Have outcomes per image changed between two runs? Paired exact tests, with one error for all of them together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import ClaimsError
from harness.judging.betting import mcnemar_exact
from harness.judging.ledger import SMALLEST_CHANGE
from harness.judging.multiplicity import holm

ERROR = 0.01  # chance of any false alarm in one comparison of two runs


@dataclass(frozen=True, kw_only=True)
class Change:
    """What changed between two runs of one arm: on how many images the number fell and rose, where, and its p-value.

    `means` holds the mean before and after; `p` is of "falls and rises are equally likely" among the `units` that
    changed: images, or pairs of images that exchange something.
    """

    images: int
    fell: int
    rose: int
    units: int
    places: tuple[int, ...]
    means: tuple[float, float]
    p: float

    @property
    def count(self) -> int:
        """Count the images that changed."""
        return self.fell + self.rose


def compare(
    before: np.ndarray, after: np.ndarray, *, exchanged: bool = False, smallest: float = SMALLEST_CHANGE
) -> Change:
    """Compare the numbers of the images [image] that both runs measured.

    The exact test of signs among the changed images: for outcomes 0 and 1 this is McNemar's. Where images `exchanged`
    something, neighbours are no independent tests: their changes are added up and the pair is the unit. Raises
    ClaimsError where no image was measured twice. A difference up to `smallest`, of an image or of a pair, is none: a
    shift of all images by less than matters to any verdict would otherwise be evident every night.
    """
    images = min(len(before), len(after))
    if images == 0:
        raise ClaimsError("two runs without an image in common cannot be compared")
    before, after = np.asarray(before[:images], float), np.asarray(after[:images], float)
    difference = after - before
    moved = np.abs(difference) > smallest
    net = np.where(moved, difference, 0.0)
    fell, rose = _signs(net, smallest)
    units = _signs(np.add.reduceat(net, np.arange(0, images, 2)) if exchanged else net, smallest)
    return Change(
        images=images,
        fell=fell,
        rose=rose,
        units=sum(units),
        places=tuple(np.flatnonzero(moved).tolist()),
        means=(float(before.mean()), float(after.mean())),
        p=mcnemar_exact(*units),
    )


def adjusted(changes: Sequence[Change], error: float = ERROR) -> np.ndarray:
    """Adjust the p-values of several changes (Holm), so that none is falsely below `error` but with that chance.

    [m] -> [m]. Arms with so few changed units that no split of them could be significant alone are no tests and get
    1; which these are depends on the number of changes alone, on which each test is conditional (Tarone 1990), so that
    hundreds of unchanged arms do not blunt the rest.
    """
    found = np.ones(len(changes))
    tests = [place for place, change in enumerate(changes) if 2.0 ** (1 - change.units) <= error]
    if tests:
        found[tests] = holm([changes[place].p for place in tests])
    return found


def noticeable(images: int, tests: int, error: float = ERROR) -> float:
    """Give the smallest one-way drift of a mean of 0/1 outcomes that would be noticed beside `tests` like it.

    Returns a share of the images; inf where even all of them would not do.
    """
    flips = int(np.ceil(np.log2(max(tests, 1) / error))) + 1
    return flips / images if flips <= images else float("inf")


def _signs(changes: np.ndarray, smallest: float) -> tuple[int, int]:
    """Count falls and rises; a pair whose two changes cancel is neither."""
    return int((changes < -smallest).sum()), int((changes > smallest).sum())
