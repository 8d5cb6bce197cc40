"""Tests of the sample-size planner against simulation and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging import betting, sample_size


@pytest.mark.parametrize(
    ("values", "probabilities", "bound", "lo", "hi"),
    [
        ([1, 0], [0.95, 0.05], 0.5, 0, 1),
        ([1, 0], [0.7, 0.3], 0.6, 0, 1),
        ([1, 0], [0.5, 0.5], 0.6, 0, 1),  # decided against the claim
        ([1, 0, -1], [0.15, 0.8, 0.05], 0.0, -1, 1),
    ],
)
def test_the_plan_is_what_simulated_claims_need(values, probabilities, bound, lo, hi):
    planned = sample_size.images_needed(values, probabilities, bound, lo, hi, alpha=0.01)
    images = math.ceil(4 * planned) + 20
    x = np.random.default_rng(0).choice(values, p=probabilities, size=(400, images))
    above = np.dot(values, probabilities) > bound
    logs = betting.log_evidence(x, bound, lo, hi) if above else betting.log_evidence(-x, -bound, -hi, -lo)
    decided = logs >= math.log(1 / 0.01)
    assert decided.any(axis=1).mean() > 0.98
    assert 0.6 < np.where(decided.any(axis=1), decided.argmax(axis=1) + 1, images).mean() / planned < 1.1


def test_the_plan_for_pairs_is_what_simulated_pairs_need():
    planned = sample_size.paired_images_needed([1, 0], [0.95, 0.05], 0.7, 0, 1, alpha=0.01)
    x = np.random.default_rng(1).random((400, math.ceil(2 * planned), 2)) < 0.95
    decided = betting.log_evidence(x.mean(axis=-1), 0.7, 0, 1) >= math.log(1 / 0.01)
    assert decided.any(axis=1).mean() > 0.98
    assert 0.6 < 2 * (decided.argmax(axis=1) + 1).mean() / planned < 1.1
    assert planned > sample_size.images_needed([1, 0], [0.95, 0.05], 0.7, 0, 1, alpha=0.01)


def test_a_mean_at_the_bound_is_never_decided():
    assert sample_size.images_needed([1, 0], [0.5, 0.5], 0.5, 0, 1, 0.05) == math.inf


def test_effects_too_small_for_any_bet_are_never_decided():
    assert sample_size.images_needed([1, 0], [0.5 + 1e-6, 0.5 - 1e-6], 0.5, 0, 1, 0.05) == math.inf


@given(st.floats(0.01, 0.98), st.floats(0.02, 0.98), st.floats(0.001, 0.2))
def test_the_plan_mirrors(share, bound, alpha):
    up = sample_size.images_needed([1, 0], [share, 1 - share], bound, 0, 1, alpha)
    down = sample_size.images_needed([0, 1], [share, 1 - share], 1 - bound, 0, 1, alpha)
    assert up == pytest.approx(down, rel=1e-6) or abs(share - bound) < 1e-6


def test_bounds_at_and_beyond_the_range_are_decided_by_the_first_telling_image():
    assert sample_size.images_needed([1, 0], [0.25, 0.75], 0.0, 0, 1, 0.05) == pytest.approx(4.0)
    assert sample_size.images_needed([1, 0], [0.25, 0.75], -1.0, 0, 1, 0.05) == 1.0
    assert sample_size.images_needed([1, 0], [0.25, 0.75], 1.0, 0, 1, 0.05) == pytest.approx(4 / 3)


def test_hoeffding_matches_the_closed_form():
    assert sample_size.hoeffding_images(0.05, 0.05) == 738
    assert sample_size.hoeffding_images(0.01, 0.01) == 26492


@pytest.mark.parametrize(("retention", "spare"), [(1.0, 0.0), (0.9, 0.05), (0.5, 0.0), (1.1, 0.02)])
def test_paired_outcomes_have_the_given_accuracies(retention, spare):
    values, probabilities = sample_size.bernoulli_pair(0.8, retention, spare, ratio=0.5)
    both, only_b, only_a, _neither = probabilities
    assert probabilities.sum() == pytest.approx(1.0)
    assert (both + only_b, both + only_a) == pytest.approx((0.8, 0.8 * retention))
    assert min(only_a, only_b) == pytest.approx(spare)
    assert values.tolist() == [0.5, -0.5, 1.0, 0.0]
    assert values @ probabilities == pytest.approx(0.8 * retention - 0.5 * 0.8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_size.images_needed([1, 0], [0.5, 0.6], 0.5, 0, 1, 0.05), "add up to 1"),
        (lambda: sample_size.images_needed([2, 0], [0.5, 0.5], 0.5, 0, 1, 0.05), "not all in"),
        (lambda: sample_size.images_needed([1, 0], [1.0], 0.5, 0, 1, 0.05), "one axis"),
        (lambda: sample_size.images_needed([1, 0], [0.5, 0.5], 0.5, 1, 1, 0.05), "lo < hi"),
        (lambda: sample_size.images_needed([1, 0], [0.5, 0.5], 0.5, 0, 1, 1.5), "alpha = 1.5"),
        (lambda: sample_size.hoeffding_images(0.0, 0.1), "eps = 0.0"),
        (lambda: sample_size.bernoulli_pair(0.8, 0.9, 0.3), "no paired outcomes"),
        (lambda: sample_size.bernoulli_pair(0.8, 0.9, -0.1), "no paired outcomes"),
    ],
)
def test_impossible_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
