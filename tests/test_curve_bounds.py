"""Tests of the curve functionals against brute force over all orders and all corners."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from harness.judging import curve_bounds

curve_values = st.lists(st.integers(0, 4), min_size=2, max_size=6)


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


def pairs_of(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    i, j = np.triu_indices(n, k=1)
    return i, j, j - i


def square(evidence: np.ndarray, n: int) -> np.ndarray:
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n, k=1)] = evidence
    return matrix


def evidence_by_brute_force(evidence: np.ndarray, n: int) -> np.ndarray:
    """Give the least weighted mean over all permutations, by weight of the pairs that they invert."""
    i, j, gaps = pairs_of(n)
    found = np.full(gaps.sum(), np.inf)
    for ranks in map(np.array, itertools.permutations(range(n))):
        inverted = ranks[i] > ranks[j]
        if weight := int(gaps[inverted].sum()):
            found[weight - 1] = min(found[weight - 1], (gaps * evidence)[inverted].sum() / weight)
    return found


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("seed", range(4))
def test_the_evidence_against_orders_equals_brute_force_over_all_permutations(n, seed):
    evidence = np.exp(np.random.default_rng(seed).normal(0, 4, n * (n - 1) // 2))
    exact = evidence_by_brute_force(evidence, n)
    assert curve_bounds.evidence_of_orders(square(evidence, n)) == pytest.approx(exact)
    sets = curve_bounds.evidence_of_sets(evidence, pairs_of(n)[2])
    assert (sets <= exact * (1 + 1e-9)).all(), "sets of pairs include those of orders"
    assert sets[-1] == pytest.approx(exact[-1]), "only the reversal inverts everything"


@pytest.mark.parametrize("seed", range(6))
def test_orders_that_contradict_what_is_sure_are_left_out_and_would_have_been_as_evident(seed):
    n, sure = 6, 50.0
    evidence = np.exp(np.random.default_rng(seed).normal(3, 5, n * (n - 1) // 2))
    exact, pruned = evidence_by_brute_force(evidence, n), curve_bounds.evidence_of_orders(square(evidence, n), sure)
    assert np.minimum(pruned, sure) == pytest.approx(np.minimum(exact, sure))


def test_too_many_down_sets_are_not_searched():
    assert curve_bounds.evidence_of_orders(np.ones((8, 8)), most=200) is None
    assert curve_bounds.evidence_of_orders(np.ones((8, 8)), most=300) is not None


def test_the_evidence_of_sets_takes_the_cheapest_pairs_and_parts_of_the_next():
    found = curve_bounds.evidence_of_sets(np.array([5.0, 2.0, 11.0]), np.array([1, 2, 1]))
    assert found == pytest.approx([2.0, 2.0, 9 / 3, 20 / 4])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tolerant", [False, True])
def test_the_p_values_of_a_rise_are_those_of_the_least_refuted_order(seed, tolerant):
    n, random = 5, np.random.default_rng(seed)
    logs = random.normal(2, 3, (2, n * (n - 1) // 2, 3))
    total = (n**3 - n) // 6
    for bound in (-0.5, 0.0, 0.3, 0.85, 0.9, 0.95):
        most = int((1 - bound) * total / 2 + 1e-9)
        wanted = []
        for one, weight in ((logs[0], most + 1), (logs[1], total - most)):
            best = 1.0
            for look in np.exp(one).T:
                against = evidence_by_brute_force(look, n)[weight - 1 :].min()
                if tolerant:
                    against = curve_bounds.evidence_of_sets(look, pairs_of(n)[2])[weight - 1]
                best = max(best, against)
            wanted.append(1 / best)
        found = np.array(curve_bounds.rise_p(*logs, bound, tolerant))
        if not tolerant:  # what no level decides is not searched
            found, wanted = (
                np.minimum(found, 1 / curve_bounds.LEAST_TRIED),
                np.minimum(wanted, 1 / curve_bounds.LEAST_TRIED),
            )
        assert found == pytest.approx(np.array(wanted), rel=1e-6, abs=1 / curve_bounds.SURE)


@pytest.mark.parametrize("n", [3, 12, 24])
def test_a_fully_ordered_curve_is_supported_and_a_reversed_one_refuted_whatever_the_number_of_points(n):
    up, down = np.full((n * (n - 1) // 2, 1), 7.0), np.full((n * (n - 1) // 2, 1), -9.0)
    assert curve_bounds.rise_p(up, down, 0.9) == pytest.approx((np.exp(-7.0), 1.0)), (
        "not divided by the number of pairs"
    )
    assert curve_bounds.rise_p(down, up, 0.9) == pytest.approx((1.0, np.exp(-7.0)))
    assert curve_bounds.rise_interval(up, down, (0.01, 0.01)) == (1.0, 1.0)
    assert curve_bounds.rise_interval(down, up, (0.01, 0.01)) == (-1.0, -1.0)
    assert curve_bounds.rise_interval(down, down, (0.01, 0.01)) == (-1.0, 1.0)


def test_the_end_of_a_curve_may_stay_open_where_no_order_of_it_misses_the_bound():
    n = 24
    i = pairs_of(n)[0]
    logs = np.where(i >= n - 6, 0.0, 20.0)[
        :, None
    ]  # six saturated points: reversed, they cost 2 (6^3 - 6) / (24^3 - 24)
    exact = 1 - 2 * (6**3 - 6) / (n**3 - n)
    low, high = curve_bounds.rise_interval(logs, -logs, (0.01, 0.01))
    assert low == pytest.approx(exact, abs=3e-3)
    assert high == 1.0
    assert curve_bounds.rise_p(logs, -logs, 0.96)[0] < 1e-4
    assert curve_bounds.rise_p(logs, -logs, 0.98)[0] > 0.1


def test_bounds_outside_of_the_scale_need_no_images():
    nothing = np.zeros((6, 1))
    assert curve_bounds.rise_p(nothing, nothing, -1.0) == (0.0, 1.0)
    assert curve_bounds.rise_p(nothing, nothing, 1.01) == (1.0, 0.0)
    assert curve_bounds.rise_p(nothing, nothing, 0.5) == (1.0, 1.0)


def test_a_fall_within_the_tolerance_is_none():
    levels = [0.1, 0.5, 0.9992, 0.9997, 0.9990]
    assert curve_bounds.spearman(levels) == pytest.approx(0.7)
    assert curve_bounds.spearman(levels, 1e-4) == pytest.approx(0.7)
    assert curve_bounds.spearman(levels, 3e-4) == pytest.approx(0.9), "one fall of .0007 is left"
    assert curve_bounds.spearman(levels, 1e-3) == 1.0
    assert curve_bounds.spearman(levels[::-1], 1e-3) == pytest.approx(-0.6), "small rises do not count as falls either"


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
        (lambda: curve_bounds.rise_p(np.zeros((4, 1)), np.zeros((4, 1)), 0.5), "evidence on 4 pairs"),
        (lambda: curve_bounds.area_bounds([0, 1], [1, 0]), "low <= high"),
        (lambda: curve_bounds.argmax_candidates([0], [1]), "n >= 2"),
        (lambda: curve_bounds.max_jump_bounds([0, 1], [1, 2, 3]), "low <= high"),
    ],
)
def test_impossible_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
