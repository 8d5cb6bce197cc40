"""The nulls of claims about value vectors: closed forms, Monte Carlo, and the table of the catalogue."""

import numpy as np
import pytest

from harness.judging.chance_levels import chance_of_meeting, largest_cosine

# width, then (vectors, expected largest cosine) of attention and MLP: catalogue, section 4.3
CATALOGUE = [
    (768, 768, 0.1146),
    (768, 3072, 0.1271),
    (1024, 1024, 0.1010),
    (1024, 4096, 0.1127),
    (192, 192, 0.197),
    (192, 768, 0.227),
    (384, 384, 0.150),
    (384, 1536, 0.170),
]
MEETINGS = [(768, 3.22), (3072, 0.81), (1024, 2.42), (4096, 0.61), (192, 12.5), (384, 6.4), (1536, 1.6)]  # percent


@pytest.mark.parametrize(("width", "vectors", "expected"), CATALOGUE)
def test_the_largest_cosine_is_that_of_the_catalogue(width, vectors, expected):
    # Its table is off by up to .0011 from this quadrature, with which Monte Carlo agrees to .0001 (test below, and by
    # hand at 768/3072: .1276 +- .0001) and the catalogue's own random nets (.114, .128).
    assert largest_cosine(vectors, width) == pytest.approx(expected, abs=0.0012)


@pytest.mark.parametrize(("vectors", "percent"), MEETINGS)
def test_the_chance_of_meeting_is_that_of_the_catalogue(vectors, percent):
    digits = 2 if percent < 4 and vectors != 1536 else 1
    assert 100 * chance_of_meeting(vectors) == pytest.approx(percent, abs=0.55 * 10**-digits)


@pytest.mark.parametrize("vectors", [1, 2, 7, 300])
def test_in_three_dimensions_a_cosine_is_uniform(vectors):
    # The largest of n uniform numbers on [-1, 1] has mean (n - 1) / (n + 1).
    assert largest_cosine(vectors, 3) == pytest.approx((vectors - 1) / (vectors + 1), abs=1e-6)


@pytest.mark.parametrize("width", [4, 10, 48, 768])
def test_one_vector_points_nowhere_on_average_and_the_better_of_two_as_half_their_mean_distance(width):
    assert largest_cosine(1, width) == pytest.approx(0.0, abs=1e-9)
    # E max(a, b) = E|a - b| / 2 for two independent cosines.
    grid = np.linspace(-1, 1, 1001)
    density = (1 - grid**2) ** ((width - 3) / 2)
    density /= density.sum()
    expected = density @ np.abs(grid[:, None] - grid) @ density / 2
    assert largest_cosine(2, width) == pytest.approx(expected, abs=1e-3)


def test_the_largest_cosine_is_that_of_random_vectors():
    random = np.random.default_rng(0)
    for vectors, width in ((20, 8), (100, 30), (192, 192)):
        drawn = random.standard_normal((60, vectors, width))
        drawn /= np.linalg.norm(drawn, axis=-1, keepdims=True)
        directions = random.standard_normal((60, width, 500))
        largest = (drawn @ (directions / np.linalg.norm(directions, axis=1, keepdims=True))).max(axis=1).mean(axis=1)
        error = largest.std() / 60**0.5
        assert largest_cosine(vectors, width) == pytest.approx(largest.mean(), abs=4 * error)


def test_two_random_sets_meet_as_often_as_told():
    random = np.random.default_rng(1)
    met = [bool(set(random.permutation(30)[:5]) & set(range(5))) for _ in range(20_000)]
    assert chance_of_meeting(30) == pytest.approx(np.mean(met), abs=4 * 0.5 / 20_000**0.5)
    assert chance_of_meeting(9) == 1.0
    assert chance_of_meeting(10, 1) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: largest_cosine(0, 8), "0 vectors in 8 dimensions"),
        (lambda: largest_cosine(8, 1), "8 vectors in 1 dimensions"),
        (lambda: chance_of_meeting(4), "5 of 4 vectors"),
        (lambda: chance_of_meeting(4, 0), "0 of 4 vectors"),
    ],
)
def test_what_has_no_null_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
