"""An order in which things that came out alike stand beside one another: leaves of a tree on their verdicts."""

from collections.abc import Sequence

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

UNASKED = ("not applicable", "not run")
UNKNOWN = 0.5  # distance of two that were asked nothing in common


def alike_order(verdicts: Sequence[Sequence[str]]) -> list[int]:
    """Order rows of verdicts [row][place] so that similar ones are neighbours; ties stay in the order given.

    The distance of two rows is the share of places with another verdict, among those where both were asked.
    """
    if len(verdicts) < 3:
        return list(range(len(verdicts)))
    words = {word: number for number, word in enumerate(sorted({word for row in verdicts for word in row}))}
    codes = np.array([[words[word] for word in row] for row in verdicts])
    asked = np.array([[word not in UNASKED for word in row] for row in verdicts])
    both = (asked[:, None] & asked[None]).sum(axis=2)
    differ = ((codes[:, None] != codes[None]) & asked[:, None] & asked[None]).sum(axis=2)
    apart = np.where(both > 0, differ / np.maximum(both, 1), UNKNOWN)
    np.fill_diagonal(apart, 0.0)
    return [int(one) for one in leaves_list(linkage(squareform(apart), "average", optimal_ordering=True))]
