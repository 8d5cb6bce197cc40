"""Tests of the curve functionals against brute force over all orders and all corners."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from harness.judging import curve_bounds

curve_values = st.lists(st.integers(0, 4), min_size=2, max_size=6)


def brute_force_bounds(below: np.ndarray) -> tuple[float, float]:
    """Return the extremes of scipy's coefficient over all permutations that respect `below`."""
    n = len(below)
    pairs = np.argwhere(below)
    allowed = [p for p in itertools.permutations(range(n)) if all(p[i] < p[j] for i, j in pairs)]
    found = [spearmanr(range(n), p).statistic for p in allowed]
    return min(found), max(found)


def partial_order(n: int, share: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.permutation(n)
    return (values[:, None] < values[None, :]) & (rng.random((n, n)) < share)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=12, unique=True))
def test_spearman_equals_scipy_without_ties(values):
    assert curve_bounds.spearman(values) == pytest.approx(spearmanr(range(len(values)), values).statistic)


@given(curve_values)
@settings(deadline=None)
def test_spearman_with_ties_is_the_average_over_the_orders_that_break_them(values):
    n = len(values)
    strict = [(i, j) for i in range(n) for j in range(n) if values[i] < values[j]]
    ranks = [p for p in itertools.permutations(range(n)) if all(p[i] < p[j] for i, j in strict)]
    assert curve_bounds.spearman(values) == pytest.approx(np.mean([curve_bounds.spearman(p) for p in ranks]))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_spearman_bounds_equal_brute_force_over_all_permutations(n, share):
    for seed in range(3):
        below = partial_order(n, share, seed)
        assert curve_bounds.spearman_bounds(below) == pytest.approx(brute_force_bounds(below))


@given(st.integers(2, 9), st.floats(0, 1), st.integers(0, 10**6))
@settings(deadline=None)
def test_spearman_bounds_beyond_the_cap_contain_the_exact_ones(n, share, seed):
    below = partial_order(n, share, seed)
    exact, rough = curve_bounds.spearman_bounds(below), curve_bounds.spearman_bounds(below, most_ideals=1)
    assert -1 - 1e-12 <= rough[0] <= exact[0] + 1e-12
    assert exact[1] - 1e-12 <= rough[1] <= 1 + 1e-12


def test_spearman_bounds_without_comparisons_are_trivial_even_for_many_points():
    assert curve_bounds.spearman_bounds(np.zeros((40, 40), dtype=bool), most_ideals=1000) == (-1.0, 1.0)
    ordered = np.triu(np.ones((40, 40), dtype=bool), 1)
    assert curve_bounds.spearman_bounds(ordered) == (1.0, 1.0)
    assert curve_bounds.spearman_bounds(ordered.T) == (-1.0, -1.0)


@pytest.mark.parametrize("most_ideals", [1, 10**6])
@given(st.integers(2, 7), st.floats(0, 1), st.integers(0, 10**6), st.floats(-1.2, 1.2))
@settings(deadline=None)
def test_spearman_p_values_equal_a_walk_through_all_levels(most_ideals, n, share, seed, bound):
    rng = np.random.default_rng(seed)
    p = np.where(partial_order(n, share, seed), rng.random((n, n)) ** 4, 0.5 + 0.5 * rng.random((n, n)))
    pairs, expected = n * (n - 1) / 2, [1.0, 1.0]
    levels = sorted({0.0} | {min(1.0, x) for x in (p[~np.eye(n, dtype=bool)] * pairs)}, reverse=True)
    for level in levels:
        below = (p * pairs <= level) & ~np.eye(n, dtype=bool) if level > 0 else np.zeros((n, n), dtype=bool)
        try:
            least, largest = curve_bounds.spearman_bounds(below, most_ideals)
        except ValueError:
            expected = [1.0, 1.0]
            continue
        expected[0] = level if least >= bound - 1e-12 else expected[0]
        expected[1] = level if largest < bound - 1e-12 else expected[1]
    assert curve_bounds.spearman_p(p, bound, most_ideals) == pytest.approx(tuple(expected))


def test_a_fully_ordered_curve_is_supported_and_a_reversed_one_refuted():
    up = np.where(np.triu(np.ones((5, 5), dtype=bool), 1), 1e-6, 1.0)
    assert curve_bounds.spearman_p(up, 0.9) == pytest.approx((1e-5, 1.0))
    assert curve_bounds.spearman_p(up.T, 0.9)[0] == 1.0
    assert curve_bounds.spearman_p(up.T, 0.9)[1] <= 1e-5


def test_bounds_outside_of_the_scale_need_no_images():
    nothing = np.ones((4, 4))
    assert curve_bounds.spearman_p(nothing, -1.0) == (0.0, 1.0)
    assert curve_bounds.spearman_p(nothing, 1.01) == (1.0, 0.0)
    assert curve_bounds.spearman_p(nothing, 0.5) == (1.0, 1.0)


def test_contradicting_comparisons_establish_nothing_from_their_level_on():
    p = np.ones((3, 3))
    p[0, 1] = p[1, 0] = 1e-9  # both directions: an error of the comparisons
    p[0, 2] = p[1, 2] = 1e-3
    assert curve_bounds.spearman_p(p, 0.4) == (1.0, 1.0)


boxes = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3)), min_size=2, max_size=5).map(
    lambda rows: (np.array([r[0] for r in rows], float), np.array([r[0] + r[1] for r in rows], float))
)


@given(boxes, st.integers(0, 10**6))
@settings(deadline=None)
def test_box_bounds_contain_every_curve_in_the_box(box, seed):
    low, high = box
    inside = low + (high - low) * np.random.default_rng(seed).random((50, low.size))
    area, jump = curve_bounds.area_bounds(low, high), curve_bounds.max_jump_bounds(low, high)
    areas, jumps = (inside[:, 1:] + inside[:, :-1]).mean(axis=1) / 2, np.diff(inside).max(axis=1)
    assert area[0] - 1e-9 <= areas.min()
    assert areas.max() <= area[1] + 1e-9
    assert jump[0] - 1e-9 <= jumps.min()
    assert jumps.max() <= jump[1] + 1e-9
    assert set(inside.argmax(axis=1)) <= set(curve_bounds.argmax_candidates(low, high))


@given(boxes)
@settings(deadline=None)
def test_box_bounds_are_reached(box):
    low, high = box
    corners = np.array(list(itertools.product(*zip(low, high, strict=True))))
    area, jump = curve_bounds.area_bounds(low, high), curve_bounds.max_jump_bounds(low, high)
    assert area == pytest.approx((np.trapezoid(low), np.trapezoid(high)) / np.float64(low.size - 1))
    assert jump[1] == pytest.approx(np.diff(corners).max())
    steepest = [high[0]]
    for j in range(1, low.size):  # as high as the box and the least jump allow
        steepest.append(min(high[j], steepest[-1] + jump[0]))
    assert (np.array(steepest) >= low - 1e-9).all()
    assert np.diff(steepest).max() <= jump[0] + 1e-9
    peaks = {i for i in range(low.size) for c in corners if c[i] == c.max()}
    assert set(curve_bounds.argmax_candidates(low, high)) == peaks


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: curve_bounds.spearman([1.0]), "at least two numbers"),
        (lambda: curve_bounds.spearman([1.0, np.nan]), "at least two numbers"),
        (lambda: curve_bounds.spearman_bounds([[0, 1], [1, 0]]), "without a cycle"),
        (lambda: curve_bounds.spearman_bounds(np.zeros((2, 3))), r"below has shape \(2, 3\)"),
        (lambda: curve_bounds.spearman_p(np.full((3, 3), 1.5), 0.5), r"numbers in \[0, 1\]"),
        (lambda: curve_bounds.area_bounds([0, 1], [1, 0]), "low <= high"),
        (lambda: curve_bounds.argmax_candidates([0], [1]), "n >= 2"),
        (lambda: curve_bounds.max_jump_bounds([0, 1], [1, 2, 3]), "low <= high"),
    ],
)
def test_impossible_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
