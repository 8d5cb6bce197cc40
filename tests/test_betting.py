"""Tests of the betting tests and intervals: closed forms, invariances and independent twins."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from harness.judging import betting

unit_values = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)
bounds = st.floats(0.02, 0.98)


def coin_flips(share: float, shape, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < share).astype(float)


def log_evidence_in_fractions(x, bound, lo, population=None) -> float:
    """Return the last log e-value, one image and one bet at a time in exact arithmetic."""
    wealth = [Fraction(float(w)) for w in betting.WEIGHTS]
    seen = Fraction(0)
    for t, value in enumerate(map(Fraction, map(float, x))):
        mean = Fraction(bound)
        if population is not None:
            mean = (population * mean - seen) / (population - t)
        wealth = [
            w * (1 + Fraction(float(g)) * (value - mean) / (mean - Fraction(lo)))
            for w, g in zip(wealth, betting.FRACTIONS, strict=True)
        ]
        seen += value
    return math.log(sum(wealth))


def test_the_bets_are_fractions_and_the_weights_a_distribution():
    assert ((betting.FRACTIONS > 0) & (betting.FRACTIONS < 1)).all()
    assert (np.diff(betting.FRACTIONS) > 0).all()
    assert math.isclose(betting.WEIGHTS.sum(), 1.0)
    assert (betting.WEIGHTS > 0).all()


def test_one_success_multiplies_wealth_by_the_closed_form():
    expected = betting.WEIGHTS @ (1 + betting.FRACTIONS * (1 - 0.3) / 0.3)
    assert np.allclose(np.exp(betting.log_evidence([1.0], 0.3, 0, 1)), expected)


@given(st.lists(st.floats(-1, 2), min_size=1, max_size=8), st.floats(-0.9, 1.9))
@settings(max_examples=25, deadline=None)
def test_evidence_equals_a_second_implementation_in_exact_fractions(x, bound):
    assert np.isclose(betting.log_evidence(x, bound, -1, 2)[-1], log_evidence_in_fractions(x, bound, -1))


def test_evidence_without_replacement_equals_a_second_implementation_in_exact_fractions():
    x = np.random.default_rng(1).random(12)
    for bound in (0.3, 0.5, 0.7):
        ours = betting.log_evidence(x, bound, 0, 1, population=40)[-1]
        assert np.isclose(ours, log_evidence_in_fractions(x, bound, 0, population=40))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_expected_wealth_at_the_bound_is_exactly_one(share):
    outcomes = np.array([[(k >> i) & 1 for i in range(8)] for k in range(256)], dtype=float)
    chances = (share**outcomes * (1 - share) ** (1 - outcomes)).prod(axis=1)
    assert np.isclose(chances @ np.exp(betting.log_evidence(outcomes, share, 0, 1)[:, -1]), 1.0)


def test_expected_wealth_at_the_bound_without_replacement_is_one_over_all_orders():
    population = [1, 1, 0, 0, 0, 1, 0]
    subsets = np.array([[(k >> i) & 1 for i in range(7)] for k in range(128)], dtype=float)
    orders = subsets[subsets.sum(axis=1) == sum(population)]  # each equally likely
    for seen in (1, 2):  # later the null becomes certain in some orders and their wealth is written off
        e = np.exp(betting.log_evidence(orders[:, :seen], 3 / 7, 0, 1, population=7)[:, -1])
        assert np.isclose(e.mean(), 1.0)


@given(unit_values, bounds, bounds)
@settings(deadline=None)
def test_evidence_falls_as_the_bound_rises(x, one, other):
    low, high = sorted((one, other))
    for population in (None, len(x) + 5):
        at_low = betting.log_evidence(x, low, 0, 1, population)
        assert (at_low >= betting.log_evidence(x, high, 0, 1, population) - 1e-9).all()


@given(unit_values, bounds)
@settings(deadline=None)
def test_below_mirrors_above(x, bound):
    assert np.isclose(betting.p_below(x, bound, 0, 1), betting.p_above(1 - x, 1 - bound, 0, 1), rtol=1e-6)


@given(unit_values, bounds, st.floats(-5, 5), st.floats(0.1, 10))
@settings(deadline=None)
def test_shifting_and_scaling_the_range_changes_nothing(x, bound, shift, scale):
    moved = betting.p_above(shift + scale * x, shift + scale * bound, shift, shift + scale)
    assert np.isclose(moved, betting.p_above(x, bound, 0, 1), rtol=1e-5)


@given(unit_values, bounds, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_images_does_not_change_the_last_evidence(x, bound, random):
    shuffled = x.tolist()
    random.shuffle(shuffled)
    assert np.isclose(betting.log_evidence(x, bound, 0, 1)[-1], betting.log_evidence(shuffled, bound, 0, 1)[-1])


@given(unit_values)
@settings(deadline=None)
def test_the_last_evidence_never_speaks_against_the_sample_mean(x):
    for sign, lo in ((1, 0), (-1, -1)):
        values = sign * x
        if lo < values.mean() < lo + 1:
            assert betting.log_evidence(values, values.mean(), lo, lo + 1)[-1] <= 1e-6


def test_leading_axes_and_pieces_do_not_change_the_numbers(monkeypatch):
    x = np.random.default_rng(2).random((3, 4, 50))
    one_by_one = np.array([[betting.log_evidence(row, 0.4, 0, 1) for row in block] for block in x])
    monkeypatch.setattr(betting, "PIECE", 24 * 7)
    assert np.allclose(betting.log_evidence(x, 0.4, 0, 1), one_by_one)
    assert betting.p_above(x, 0.4, 0, 1).shape == (3, 4)


def test_no_images_are_no_evidence():
    assert betting.p_above([], 0.5, 0, 1) == 1.0
    assert betting.p_above([], -1.0, 0, 1) == 1.0
    assert betting.p_below(np.zeros((3, 0)), 0.5, 0, 1).tolist() == [1.0, 1.0, 1.0]
    assert betting.mean_interval([], -1, 2, 0.05) == (-1.0, 2.0)
    assert betting.ratio_interval([], [], 0.05) == (0.0, math.inf)


@pytest.mark.parametrize(
    ("x", "bound", "above", "below"),
    [
        ([0.0, 0.0], 0.0, 1.0, 1.0),  # the null "mean <= lo" says: all values are lo
        ([0.0, 0.1], 0.0, 0.0, 1.0),
        ([0.0, 0.0], -0.5, 0.0, 1.0),  # no mean is that low
        ([1.0, 1.0], 1.0, 1.0, 1.0),
        ([1.0, 0.9], 1.0, 1.0, 0.0),
        ([1.0, 1.0], 1.5, 1.0, 0.0),
    ],
)
def test_bounds_at_and_beyond_the_range_are_decided_by_logic(x, bound, above, below):
    assert (betting.p_above(x, bound, 0, 1), betting.p_below(x, bound, 0, 1)) == (above, below)


def test_a_clear_effect_is_decided_within_fifty_images():
    decided = betting.log_evidence(coin_flips(0.95, (500, 50)), 0.5, 0, 1) >= math.log(1 / 0.01)
    assert decided.any(axis=-1).mean() > 0.99
    assert decided.argmax(axis=-1).mean() + 1 < 15


def test_the_p_value_only_falls_as_images_arrive():
    x = coin_flips(0.6, 80)
    ps = [float(betting.p_above(x[:n], 0.5, 0, 1)) for n in range(81)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(ps))


def test_the_anytime_p_value_is_weaker_than_the_exact_binomial_one_and_of_the_same_order():
    for seed in range(5):
        x = coin_flips(0.7, 400, seed)
        anytime = float(betting.p_above(x, 0.5, 0, 1))
        fixed = float(binom.sf(x.sum() - 1, 400, 0.5))
        assert fixed <= anytime
        assert math.log(anytime) < 0.65 * math.log(fixed)


@given(unit_values, st.floats(0.05, 0.95))
@settings(deadline=None)
def test_a_whole_population_is_judged_exactly(x, bound):
    mean = x.mean()
    if abs(mean - bound) > 1e-6:
        assert betting.p_above(x, bound, 0, 1, population=len(x)) == (0.0 if mean > bound else 1.0)
        assert betting.p_below(x, bound, 0, 1, population=len(x)) == (0.0 if mean < bound else 1.0)
    low, high = betting.mean_interval(x, 0, 1, 0.05, population=len(x))
    assert low == high == pytest.approx(mean)


def test_a_whole_population_at_the_bound_rejects_neither_direction():
    x = [1, 0, 1, 1, 0, 1, 0, 1, 1, 1]
    assert betting.p_above(x, 0.7, 0, 1, population=10) == betting.p_below(x, 0.7, 0, 1, population=10) == 1.0


def test_what_the_seen_images_settle_is_certain_before_the_last_image():
    x = np.array([1.0] * 6)
    assert betting.p_above(x, 0.5, 0, 1, population=10) == 0.0
    assert np.isneginf(betting.log_evidence(1 - x, 0.5, 0, 1, population=10)[-1])


def test_without_replacement_needs_fewer_images_than_with():
    x = coin_flips(0.6, 450)
    assert betting.p_above(x, 0.5, 0, 1, population=500) < betting.p_above(x, 0.5, 0, 1)
    inner, outer = betting.mean_interval(x, 0, 1, 0.05, population=500), betting.mean_interval(x, 0, 1, 0.05)
    assert inner[1] - inner[0] < 0.6 * (outer[1] - outer[0])


@given(unit_values, st.floats(0.001, 0.5))
@settings(deadline=None, max_examples=40)
def test_the_interval_is_where_neither_direction_is_rejected(x, alpha):
    low, high = betting.mean_interval(x, 0, 1, alpha)
    assert low == 0 or betting.p_above(x, low, 0, 1) <= alpha / 2
    assert high == 1 or betting.p_below(x, high, 0, 1) <= alpha / 2
    if high - low > 1e-6:
        assert betting.p_above(x, low + 1e-7, 0, 1) > alpha / 2
        assert betting.p_below(x, high - 1e-7, 0, 1) > alpha / 2


@pytest.mark.parametrize("population", [None, 400])
def test_intervals_are_nested_and_contain_the_sample_mean(population):
    for seed in range(5):
        x = 2 * coin_flips(0.7, 400, seed) - 1
        ends = [betting.mean_interval(x[:n], -1, 1, 0.05, population) for n in range(0, 400, 50)]
        rounding = 2 * betting.ROOT_TOLERANCE
        lows, highs = np.transpose(ends)
        assert (np.diff(lows) >= -rounding).all()
        assert (np.diff(highs) <= rounding).all()
        means = [x[:n].mean() for n in range(50, 400, 50)]
        assert (lows[1:] <= means).all()
        assert (means <= highs[1:]).all()


def test_the_interval_contains_the_clopper_pearson_one_and_is_at_most_twice_as_wide():
    for seed in range(5):
        x = coin_flips(0.8, 300, seed)
        low, high = betting.mean_interval(x, 0, 1, 0.05)
        exact = betting.clopper_pearson(int(x.sum()), 300, 0.05)
        assert low <= exact[0]
        assert exact[1] <= high
        assert high - low < 2 * (exact[1] - exact[0])


def paired_outcomes(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    b = coin_flips(0.8, n, seed)
    return b * coin_flips(0.9, n, seed + 100), b


@pytest.mark.parametrize("population", [None, 500])
def test_the_ratio_interval_is_where_neither_direction_is_rejected(population):
    a, b = paired_outcomes(300)
    low, high = betting.ratio_interval(a, b, 0.05, population=population)
    assert low < a.sum() / b.sum() < high
    for r, inside in ((low * 0.999, False), (low * 1.001, True), (high * 0.999, True), (high * 1.001, False)):
        p_values = (f(a - r * b, 0.0, -r, 1.0, population) for f in (betting.p_above, betting.p_below))
        assert (min(map(float, p_values)) > 0.025) == inside


@given(st.integers(0, 99), st.floats(0.05, 5), st.floats(1.001, 5), st.sampled_from([None, 60]))
@settings(deadline=None)
def test_the_ratio_evidence_is_monotone_in_the_ratio(seed, r, step, population):
    a, b = np.random.default_rng(seed).random((2, 40))
    above, below = (
        [betting.p_above(a - q * b, 0, -q, 1, population) for q in (r, r * step)],
        [betting.p_below(a - q * b, 0, -q, 1, population) for q in (r, r * step)],
    )
    assert above[0] <= above[1] + 1e-12
    assert below[0] >= below[1] - 1e-12


def test_the_ratio_interval_scales_with_its_units_and_is_exact_for_a_population():
    a, b = paired_outcomes(200)
    low, high = betting.ratio_interval(a, b, 0.05)
    assert betting.ratio_interval(6 * a, 2 * b, 0.05, a_max=6, b_max=2) == pytest.approx((3 * low, 3 * high))
    assert betting.ratio_interval(a, b, 0.05, population=200) == pytest.approx((a.sum() / b.sum(),) * 2)


def test_a_ratio_with_nothing_below_it_has_no_upper_end():
    ones, zeros = np.ones(50), np.zeros(50)
    assert betting.ratio_interval(ones, zeros, 0.05)[1] == math.inf
    assert betting.ratio_interval(zeros, ones, 0.05)[0] == 0.0
    assert betting.ratio_interval(ones, zeros, 0.05, population=50) == (math.inf, math.inf)
    assert betting.ratio_interval(zeros, zeros, 0.05, population=50) == (0.0, math.inf)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (480, 500)])
def test_clopper_pearson_agrees_with_scipy_and_statsmodels(k, n):
    ours = betting.clopper_pearson(k, n, 0.05)
    assert ours == pytest.approx(tuple(binomtest(k, n).proportion_ci(0.95, method="exact")))
    assert ours == pytest.approx(proportion_confint(k, n, 0.05, method="beta"), abs=1e-12)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (3, 3), (1, 9), (20, 7)])
def test_mcnemar_agrees_with_statsmodels(only_a, only_b):
    theirs = mcnemar([[50, only_a], [only_b, 9]], exact=True).pvalue
    assert betting.mcnemar_exact(only_a, only_b) == pytest.approx(1.0 if only_a + only_b == 0 else theirs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: betting.p_above([0.1, np.nan], 0.5, 0, 1), r"value nan at index \(1,\)"),
        (lambda: betting.p_above([[0.1, 0.2], [1.2, 0.0]], 0.5, 0, 1), r"value 1.2 at index \(1, 0\)"),
        (lambda: betting.p_below([-0.1], 0.5, 0, 1), r"at index \(0,\)"),
        (lambda: betting.p_above([0.1], 0.5, 1, 0), "allowed are finite lo < hi"),
        (lambda: betting.p_above([0.1], math.nan, 0, 1), "bound = nan"),
        (lambda: betting.p_above(0.1, 0.5, 0, 1), "no axis of images"),
        (lambda: betting.p_above([0.1, 0.2], 0.5, 0, 1, population=1), "2 images from a population of 1"),
        (lambda: betting.mean_interval([0.1], 0, 1, 1.0), "alpha = 1.0"),
        (lambda: betting.mean_interval([[0.1]], 0, 1, 0.1), "one axis of images"),
        (lambda: betting.ratio_interval([0.1], [0.1, 0.2], 0.1), "needs pairs"),
        (lambda: betting.clopper_pearson(5, 4, 0.1), "successes = 5"),
        (lambda: betting.mcnemar_exact(-1, 4), "only_a = -1"),
    ],
)
def test_impossible_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_values_outside_of_the_range_by_rounding_are_accepted():
    assert betting.p_above([1 + 5e-10, -5e-10], 0.5, 0, 1) == betting.p_above([1, 0], 0.5, 0, 1)
