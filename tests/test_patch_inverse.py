"""Linear inverses: ridge regression against scikit-learn, moments in any order, cells of pictures, what comes back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from harness.fixtures.planted.inversion_worlds import forgetter, objects
from harness.fixtures.planted.pixel_keepers import DETAILS, LOOKS, WIDTH, basis
from harness.images.cells import cells_of, put_together, shown
from harness.probes import patch_inverse
from harness.probes.patch_inverse import PatchInverses, inverse_after
from harness.probes.probe import FOLDS
from harness.probes.regression import PairMoments, _Sums, fit_regression, fold_errors

PLACES, FEATURES, TARGETS = 3, 5, 4
MIX = torch.randn(FEATURES, FEATURES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
MAP = torch.randn(FEATURES, TARGETS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def drawn(pictures: int, seed: int = 0, noise: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw inputs of unequal scale away from zero, and targets that are linear in them but for noise."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(pictures, PLACES, FEATURES, generator=random, dtype=torch.float64) @ MIX + 7.0
    return x, x @ MAP + noise * torch.randn(pictures, PLACES, TARGETS, generator=random, dtype=torch.float64) - 2.0


def moments_of(x: torch.Tensor, y: torch.Tensor, cuts: tuple[int, ...] = ()) -> PairMoments:
    moments = PairMoments.empty(x.shape[2], y.shape[2], x.device)
    for start, stop in zip((0, *cuts), (*cuts, len(x)), strict=True):
        moments.add(x[start:stop], y[start:stop], start)
    return moments


def by_scikit_learn(x: np.ndarray, y: np.ndarray, strength: float) -> tuple[Ridge, np.ndarray, np.ndarray]:
    """Fit on standardized rows; the penalty is the strength times the rows, each of unit variance in every feature."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    return Ridge(alpha=strength * len(x), solver="svd").fit((x - centre) / scale, y), centre, scale


@pytest.mark.parametrize("strength", [1e-3, 0.1, 10.0])
def test_a_regression_is_that_of_scikit_learn(strength):
    x, y = drawn(20)
    found = fit_regression(moments_of(x, y), (strength,))
    expected, centre, scale = by_scikit_learn(x.flatten(0, 1).numpy(), y.flatten(0, 1).numpy(), strength)
    np.testing.assert_allclose(found.weights, expected.coef_.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.bias, expected.intercept_, rtol=1e-5)
    fresh, _ = drawn(4, seed=5)
    told = found.targets(found.standardized(fresh))
    np.testing.assert_allclose(
        told.flatten(0, 1), expected.predict((fresh.flatten(0, 1).numpy() - centre) / scale), rtol=1e-4, atol=1e-3
    )


def test_the_strength_is_that_of_the_least_error_on_pictures_left_out():
    strengths = (1e-4, 1e-2, 0.1, 0.3, 1.0, 10.0)
    x, y = drawn(12, noise=20.0)
    # Folds differ in what they hold and in their targets, so that centres of those left out are not those of the fit.
    folds = np.arange(len(x)) % FOLDS
    x += torch.from_numpy(folds)[:, None, None]
    y += 4.0 * torch.from_numpy(folds)[:, None, None]
    by_row, rows, targets = np.repeat(folds, PLACES), x.flatten(0, 1).numpy(), y.flatten(0, 1).numpy()
    moments = moments_of(x, y)
    sums = _Sums(*(getattr(moments, name).numpy() for name in ("count", "x", "y", "xx", "xy")))
    total = np.zeros(len(strengths))
    for fold in range(FOLDS):
        rest, held, errors = by_row != fold, by_row == fold, np.zeros(len(strengths))
        for place, strength in enumerate(strengths):
            fit, centre, scale = by_scikit_learn(rows[rest], targets[rest], strength)
            errors[place] = ((fit.predict((rows[held] - centre) / scale) - targets[held]) ** 2).sum()
        found = fold_errors(sums, fold, strengths)
        np.testing.assert_allclose(found - found[0], errors - errors[0], rtol=1e-6, atol=1e-6)
        total += errors
    best = int(total.argmin())
    assert 0 < best < len(strengths) - 1
    assert fit_regression(moments, strengths).strength == strengths[best]


def test_a_constant_feature_has_no_say():
    x, y = drawn(10)
    x[..., 2] = 4.0
    found = fit_regression(moments_of(x, y))
    assert found.weights.isfinite().all()
    assert found.weights[2].abs().max() < 1e-10
    assert found.scale[2] == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 11), st.sets(st.integers(1, 10)))
def test_moments_are_the_same_however_pictures_are_cut(pictures, cuts):
    x, y = drawn(pictures)
    inner = tuple(sorted(cut for cut in cuts if cut < pictures))
    for name in ("count", "x", "y", "xx", "xy"):
        whole, cut = getattr(moments_of(x, y), name), getattr(moments_of(x, y, inner), name)
        torch.testing.assert_close(whole, cut)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_pictures_are_put_together_of_their_cells(rows, columns, down, across):
    size = (rows * down, columns * across)
    pixels = torch.randn(2, 3, *size)
    cells = cells_of(pixels, (rows, columns))
    unfolded = torch.nn.functional.unfold(pixels, (down, across), stride=(down, across)).mT
    assert torch.equal(cells, unfolded)
    assert torch.equal(put_together(cells, (rows, columns), size), pixels)


def test_what_a_model_keeps_of_pixels_comes_back_and_nothing_else():
    model, train, test = forgetter(True, True, 1), objects(1, count=96, split=1), objects(1, count=32)
    with torch.inference_mode():
        numbers = PatchInverses().collect(model, [train.load(range(s, s + 32), LOOKS) for s in (0, 32, 64)])
        images = test.load(range(32), LOOKS)
        cells = cells_of(shown(images, LOOKS), model.card.grid)
        stream, rows = model.start(images), torch.from_numpy(basis()).float()
        for block in range(-1, model.card.depth):
            stream = stream if block < 0 else model.step(block, stream)
            fit = inverse_after(block, numbers)
            back = fit.targets(fit.standardized(stream.tokens))
            coordinates, apart = back @ rows.T, (cells - back) @ rows.T
            kept = torch.from_numpy(model.kept[block + 1]).bool()
            assert apart[..., kept].abs().max() < 0.01
            # Details are noise beside one another: what is forgotten comes back as nothing.
            forgotten = ~kept[DETAILS]
            assert coordinates[..., DETAILS][..., forgotten].std() < 0.15 * cells.std() if forgotten.any() else True
    np.testing.assert_allclose(numbers["picture"], train.pixels.mean(axis=0), atol=1e-5)
    assert numbers["weights -1"].shape == (WIDTH, WIDTH)


def test_no_more_pictures_are_read_than_are_needed(monkeypatch):
    monkeypatch.setattr(patch_inverse, "PICTURES", 40)
    model, train = forgetter(False, False, 2), objects(2, count=64, split=1)
    chunks = iter([train.load(range(s, s + 16), LOOKS) for s in range(0, 64, 16)])
    with torch.inference_mode():
        numbers = PatchInverses().collect(model, chunks)
    assert len(list(chunks)) == 1
    np.testing.assert_allclose(numbers["picture"], train.pixels[:40].mean(axis=0), atol=1e-5)
