"""Features that tell classes apart a little, with labels and folds: what probes of all families are fitted on."""

from functools import cache

import numpy as np

from harness.probes.moments import Moments
from harness.probes.probe import FOLDS

CLASSES, WIDTH, IMAGES = 4, 9, 300


@cache
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw features [image, feature] that tell classes apart a little, labels and folds."""
    random = np.random.default_rng(0)
    labels = np.arange(IMAGES) % CLASSES
    centres = random.normal(size=(CLASSES, WIDTH))
    mixing = random.normal(size=(WIDTH, WIDTH))
    inputs = (centres[labels] + 2.0 * random.normal(size=(IMAGES, WIDTH))) @ mixing + 3.0
    return inputs, labels, random.permutation(IMAGES) % FOLDS


def moments(rows: slice = slice(None), parts: int = 7) -> Moments:
    """Stream the data in uneven parts."""
    inputs, labels, folds = data()
    streamed = Moments.empty(WIDTH, CLASSES, ("own",))
    for part in np.array_split(np.arange(IMAGES)[rows], parts):
        streamed.add(inputs[part], {"own": labels[part]}, folds[part])
    return streamed
