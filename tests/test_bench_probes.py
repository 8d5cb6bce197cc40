"""How long ridge probes take: all blocks, strengths and folds from moments, beside scikit-learn fit by fit.

Run with `pytest tests/test_bench_probes.py --benchmark-only`; nothing asserts a time.
"""

import time

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from harness.probes.moments import Moments
from harness.probes.probe import FOLDS
from harness.probes.ridge import STRENGTHS, fit_ridge

BLOCKS, CLASSES, IMAGES, WIDTH = 12, 1000, 10_000, 192
ROWS = 512
DIRECT_FITS = 2  # of BLOCKS x STRENGTHS x FOLDS that scikit-learn would make; the others are counted, not run


def features() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw features [image, feature] in fp32, labels and folds of one block."""
    random = np.random.default_rng(0)
    labels = random.permutation(IMAGES) % CLASSES
    centres = random.normal(size=(CLASSES, WIDTH))
    inputs = (centres[labels] + 2.0 * random.normal(size=(IMAGES, WIDTH))).astype(np.float32)
    return inputs, labels, random.permutation(IMAGES) % FOLDS


def from_moments(inputs: np.ndarray, labels: np.ndarray, folds: np.ndarray):
    moments = Moments.empty(WIDTH, CLASSES, ("own",))
    for start in range(0, IMAGES, ROWS):
        rows = slice(start, start + ROWS)
        moments.add(inputs[rows], {"own": labels[rows]}, folds[rows])
    return fit_ridge(moments)


def direct_seconds(inputs: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> float:
    """Time one fit and its squared error on the held-out fold by scikit-learn, the mean of a few."""
    targets = 2.0 * np.eye(CLASSES)[labels] - 1.0
    start = time.perf_counter()
    for fold in range(DIRECT_FITS):
        rest, held = folds != fold, folds == fold
        alpha = STRENGTHS[6] * rest.sum() * inputs[rest].var(axis=0).mean()
        model = Ridge(alpha=alpha).fit(inputs[rest].astype(np.float64), targets[rest])
        assert ((model.predict(inputs[held]) - targets[held]) ** 2).mean() < 1.0
    return (time.perf_counter() - start) / DIRECT_FITS


@pytest.mark.benchmark(group="probes")
def test_ridge_probes_of_twelve_blocks_and_a_thousand_classes(benchmark):
    inputs, labels, folds = features()
    fits = benchmark.pedantic(
        lambda: [from_moments(inputs, labels, folds) for _ in range(BLOCKS)], rounds=1, iterations=1
    )
    assert len({fit.strength for fit in fits}) == 1
    if benchmark.disabled:
        return
    one = direct_seconds(inputs, labels, folds)
    direct = one * BLOCKS * (len(STRENGTHS) * FOLDS + 1)
    benchmark.extra_info |= {
        "size": f"{BLOCKS} blocks x {CLASSES} classes, {IMAGES} images of width {WIDTH}, "
        f"{len(STRENGTHS)} strengths x {FOLDS} folds + 1 fit each, after the features exist",
        "straightforward way": f"sklearn Ridge, one fit per block, strength and fold; {DIRECT_FITS} of them timed",
        "seconds per straightforward fit": one,
        "straightforward seconds, extrapolated": direct,
        "ratio": direct / benchmark.stats.stats.mean,
    }


@pytest.mark.benchmark(group="moments")
def test_adding_features_to_moments(benchmark):
    inputs, labels, folds = (array[:ROWS] for array in features())
    moments = Moments.empty(WIDTH, CLASSES, ("own",))
    benchmark(moments.add, inputs, {"own": labels}, folds)
    assert moments.count.sum() > 0
