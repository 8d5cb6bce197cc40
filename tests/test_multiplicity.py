"""Tests of adjusted p-values, e-values and composite claims."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from harness.judging import multiplicity

p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize("p", [[0.3], [0.04, 0.01, 0.03], [0.01, 0.01, 1.0, 0.0], [0.9, 0.5, 0.001, 0.02]])
def test_holm_agrees_with_statsmodels(p):
    assert multiplicity.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@given(p_lists, st.floats(0.01, 0.5))
def test_e_bh_rejects_the_largest_set_that_supports_itself(p, alpha):
    e = multiplicity.p_to_e(p)
    sizes = [k for k in range(len(p) + 1) if (e >= len(p) / (alpha * max(k, 1))).sum() >= k]
    rejected = multiplicity.e_bh(e, alpha)
    assert rejected.sum() == max(sizes)
    assert not rejected.any() or e[rejected].min() > e[~rejected].max(initial=-1)


def test_e_bh_counts_as_in_the_closed_form():
    assert multiplicity.e_bh([50, 30, 1], 0.1).tolist() == [True, True, False]
    assert multiplicity.e_bh([29, 14, 1], 0.1).tolist() == [False, False, False]
    assert multiplicity.e_bh([], 0.1).tolist() == []


def test_calibrated_p_values_are_e_values():
    below = quad(lambda s: multiplicity.p_to_e(np.exp(-s)) * np.exp(-s), 0, 600, limit=500)[0]  # p = exp(-s)
    beyond = 1 / 600  # the integrand is 1 / s^2 but for a term in exp(-s)
    assert below + beyond == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("p", [1e-300, 1e-8, 0.01, 0.5, 0.9])
def test_the_calibrator_is_the_published_formula(p):
    assert multiplicity.p_to_e(p) == pytest.approx((1 - p + p * np.log(p)) / (p * np.log(p) ** 2), rel=1e-9)


def test_the_calibrator_is_defined_at_both_ends_and_falls():
    p = np.concatenate([[0.0], np.geomspace(1e-300, 1, 2000), 1 - np.geomspace(1e-12, 0.1, 500)[::-1]])
    e = multiplicity.p_to_e(np.sort(p))
    assert e[0] == np.inf
    assert e[-1] == pytest.approx(0.5)
    assert (np.diff(e[1:]) <= 1e-12 * e[2:]).all()


def test_every_needs_all_parts_and_is_refuted_by_one():
    assert multiplicity.every([0.01, 0.2, 0.03], [1.0, 0.004, 1.0]) == pytest.approx((0.2, 0.012))
    assert multiplicity.every([0.01, 0.2], [0.9, 0.8]) == (0.2, 1.0)


def test_one_part_is_its_own_composite():
    assert multiplicity.every([0.3], [0.4]) == multiplicity.some([0.3], [0.4]) == (0.3, 0.4)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6))
def test_some_is_the_negation_of_every_negation(parts):
    trues, falses = zip(*parts, strict=True)
    assert multiplicity.some(trues, falses) == multiplicity.every(falses, trues)[::-1]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6))
def test_at_least_all_is_every_and_at_least_one_is_some(parts):
    trues, falses = zip(*parts, strict=True)
    assert multiplicity.at_least(len(parts), trues, falses) == multiplicity.every(trues, falses)
    assert multiplicity.at_least(1, trues, falses) == multiplicity.some(trues, falses)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6), st.data())
def test_at_least_some_hold_unless_at_least_the_others_fail(parts, data):
    trues, falses = zip(*parts, strict=True)
    count = data.draw(st.integers(1, len(parts)))
    negation = multiplicity.at_least(len(parts) - count + 1, falses, trues)
    assert multiplicity.at_least(count, trues, falses) == negation[::-1]


def test_a_majority_that_does_not_hold_is_established_no_more_often_than_declared():
    random = np.random.default_rng(0)
    # Two of five parts hold (their p-values are tiny), three are true nulls: "at least three" is false.
    p = np.concatenate([np.zeros((20_000, 2)), random.random((20_000, 3))], axis=1)
    found = np.array([multiplicity.at_least(3, row, np.ones(5))[0] for row in p])
    assert (found <= 0.05).mean() < 0.053
    assert (found <= 0.05).mean() > 0.03


CLEAR, AT_BOUND = 100, 37


def joint_errors(delta: float, runs: int, seed: int, shared: float) -> tuple[float, float, float]:
    """Simulate clear claims beside claims at their bound: the rates of any wrong verdict among those that hold jointly.

    Given are the rates of Holm over all claims asked and over decided ones alone, and the mean share of wrong verdicts
    by e-BH. The p-value of the wrong side is uniform, the worst that is valid; `shared` ties the claims to one another.
    """
    random = np.random.default_rng(seed)
    wrong_all = wrong_decided = 0
    false_share = 0.0
    for _ in range(runs):
        scores = shared**0.5 * random.normal() + (1 - shared) ** 0.5 * random.normal(size=AT_BOUND)
        p = np.concatenate([np.full(CLEAR, 1e-9), norm.sf(scores)])
        decided, wrong = p <= delta, np.arange(p.size) >= CLEAR
        held, found = multiplicity.hold_jointly(p, decided, delta)
        wrong_all += (held & wrong).any()
        false_share += (found & wrong).sum() / max(found.sum(), 1)
        wrong_decided += (multiplicity.holm(p[decided]) <= delta)[wrong[decided]].any()
    return wrong_all / runs, wrong_decided / runs, false_share / runs


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_the_joint_line_errs_rarely_over_all_claims_asked_and_often_over_decided_ones(shared):
    runs, delta = 2000, 0.05
    over_all, over_decided, false_share = joint_errors(delta, runs, 1, shared)
    allowed = delta + 2 * (delta * (1 - delta) / runs) ** 0.5
    assert over_all <= allowed
    assert false_share <= allowed
    assert over_decided > 2 * delta


def test_undecided_claims_count_as_asked_and_hold_nothing():
    p, decided = [1e-4, 4e-3, 0.02, 0.6], [True, True, False, False]
    held, found = multiplicity.hold_jointly(p, decided, 0.01)
    assert held.tolist() == [True, False, False, False], ".004 times three that are left is above .01"
    assert not found[2:].any()
    assert multiplicity.hold_jointly(p[:2], decided[:2], 0.01)[0].all(), "as if the others had not been asked"
    assert not multiplicity.hold_jointly([0.001], [False], 0.01)[0].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: multiplicity.at_least(0, [0.1], [0.1]), "at least 0 of 1 parts"),
        (lambda: multiplicity.at_least(3, [0.1, 0.2], [0.1, 0.2]), "at least 3 of 2 parts"),
        (lambda: multiplicity.hold_jointly([0.1, 0.2], [True], 0.1), "2 p-values and 1 decisions"),
        (lambda: multiplicity.holm([0.1, 1.1]), r"numbers in \[0, 1\]"),
        (lambda: multiplicity.holm([[0.1]]), "one axis"),
        (lambda: multiplicity.e_bh([-1.0], 0.1), "numbers >= 0"),
        (lambda: multiplicity.e_bh([1.0], 0.0), "alpha = 0.0"),
        (lambda: multiplicity.p_to_e([np.nan]), r"numbers in \[0, 1\]"),
        (lambda: multiplicity.every([], []), "one each per part"),
        (lambda: multiplicity.some([0.1], [0.1, 0.2]), "one each per part"),
    ],
)
def test_impossible_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
