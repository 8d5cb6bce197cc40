"""Filters keep the frequencies that they name, and shuffles move every patch without changing any."""

import numpy as np
import pytest
import torch
from scipy.ndimage import rotate

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.pixel_filters import (
    PHASES,
    HighPass,
    LowPass,
    PhaseNoise,
    Roll,
    Rotate,
    ShufflePatches,
    phase_noise,
)

CHUNK = Batch(positions=range(4), donors=torch.tensor([1, 0, 3, 2]), labels=None, seed=3)
OTHER = Batch(positions=range(4, 8), donors=torch.tensor([1, 0, 3, 2]), labels=None, seed=3)


def pictures(rows: int = 12, columns: int = 12) -> torch.Tensor:
    return 0.4 + 0.2 * torch.rand(4, 3, rows, columns, generator=torch.Generator().manual_seed(0))


def circle(rows: int, columns: int, radius: float) -> np.ndarray:
    """Mark the frequencies within a circle, on numpy's full grid: a second implementation."""
    down, right = np.meshgrid(np.fft.fftfreq(rows), np.fft.fftfreq(columns), indexing="ij")
    return np.hypot(down, right) <= radius * 0.5


@pytest.mark.parametrize(("rows", "columns"), [(12, 12), (8, 14), (9, 7)])
@pytest.mark.parametrize("radius", [0.3, 0.8])
def test_low_and_high_pass_are_the_two_sides_of_a_circle_in_the_spectrum(rows, columns, radius):
    pixels = pictures(rows, columns)
    spectrum = np.fft.fft2(pixels.double().numpy())
    kept = np.fft.ifft2(spectrum * circle(rows, columns, radius)).real
    np.testing.assert_allclose(LowPass(radius).apply(pixels, CHUNK), kept, atol=1e-5)
    mean = pixels.double().numpy().mean(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(HighPass(radius).apply(pixels, CHUNK), pixels.double().numpy() - kept + mean, atol=1e-5)


def test_noise_has_the_power_that_the_low_pass_removes_at_every_frequency_and_other_phases():
    pixels = pictures()
    noise = phase_noise(pixels, 0.4, CHUNK.generator(1)).double().numpy()
    spectrum, drawn = np.fft.fft2(pixels.double().numpy()), np.fft.fft2(noise)
    np.testing.assert_allclose(np.abs(drawn), np.abs(spectrum) * ~circle(12, 12, 0.4), atol=1e-4)
    removed = pixels.double().numpy() - LowPass(0.4).apply(pixels, CHUNK).double().numpy()
    np.testing.assert_allclose((noise**2).sum(), (removed**2).sum(), rtol=1e-4)
    assert abs(np.corrcoef(noise.ravel(), removed.ravel())[0, 1]) < 0.2
    added = phase_noise(pixels, 0.4, CHUNK.generator(PHASES))
    assert torch.equal(PhaseNoise(0.4).apply(pixels, CHUNK), (pixels + added).clamp(0, 1))


@pytest.mark.parametrize("kind", [PhaseNoise, ShufflePatches])
def test_what_is_random_is_fixed_by_the_chunk_and_differs_between_chunks(kind):
    edit = kind(0.5) if kind is PhaseNoise else kind(4)
    once = edit.apply(pictures(), CHUNK)
    assert torch.equal(once, edit.apply(pictures(), CHUNK))
    assert not torch.equal(once, edit.apply(pictures(), OTHER))


@pytest.mark.parametrize("kind", [LowPass, HighPass, PhaseNoise])
@pytest.mark.parametrize("radius", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_a_radius_that_leaves_nothing_or_everything_is_no_intervention(kind, radius):
    with pytest.raises(ValueError, match="use the clean arm"):
        kind(radius)


def test_shuffled_patches_are_the_same_patches_in_another_order_for_every_picture():
    pixels = pictures()
    shuffled = ShufflePatches(4).apply(pixels, CHUNK)
    orders = []
    for before, after in zip(pixels, shuffled, strict=True):
        tiles = [[image[:, r : r + 4, c : c + 4] for r in (0, 4, 8) for c in (0, 4, 8)] for image in (before, after)]
        order = [[torch.equal(tile, other) for other in tiles[0]].index(True) for tile in tiles[1]]
        assert sorted(order) == list(range(9))
        orders.append(tuple(order))
    assert len(set(orders)) > 1
    for size in (5, 0, 24):
        with pytest.raises(ClaimsError, match="do not tile"):
            ShufflePatches(size).apply(pixels, CHUNK)


def test_pictures_are_moved_and_turned():
    pixels = pictures(12, 10)
    np.testing.assert_array_equal(Roll(3, -2).apply(pixels, CHUNK), np.roll(pixels.numpy(), (3, -2), axis=(2, 3)))
    square = pictures()
    np.testing.assert_array_equal(Rotate(90).apply(square, CHUNK), np.rot90(square.numpy(), 1, axes=(2, 3)))
    np.testing.assert_array_equal(Rotate(180).apply(pixels, CHUNK), np.rot90(pixels.numpy(), 2, axes=(2, 3)))


@pytest.mark.parametrize(("rows", "columns"), [(13, 13), (12, 16)])
def test_an_oblique_turn_is_that_of_scipy_within_the_picture(rows, columns):
    pixels = pictures(rows, columns)
    turned = Rotate(30).apply(pixels, CHUNK).numpy()
    by_scipy = rotate(pixels.numpy(), 30, axes=(3, 2), reshape=False, order=1, mode="constant")
    inside = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(turned[inside], by_scipy[inside], atol=1e-4)
