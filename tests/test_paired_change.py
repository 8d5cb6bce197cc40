"""Changes of outcomes per image: exact p-values, one error for all arms together, and nothing from nothing."""

from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

from harness.errors import ClaimsError
from harness.judging.betting import mcnemar_exact
from harness.judging.ledger import SMALLEST_CHANGE
from harness.judging.paired_change import ERROR, Change, adjusted, compare, noticeable

BITS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@given(BITS)
def test_outcomes_of_zero_and_one_are_compared_by_mcnemars_exact_test(pairs):
    before, after = (np.array(side, float) for side in zip(*pairs, strict=True))
    table = [[((before == b) & (after == a)).sum() for a in (0, 1)] for b in (0, 1)]
    found = compare(before, after)
    assert found.p == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-9)
    assert found.places == tuple(np.flatnonzero(before != after))
    assert (found.fell, found.rose) == (table[1][0], table[0][1])


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_graded_outcomes_are_compared_by_the_exact_test_of_signs(values, seed):
    before = np.array(values)
    after = before + np.random.default_rng(seed).choice([-0.5, 0.0, 0.25], len(before))
    found = compare(before, after)
    if found.count:
        assert found.p == pytest.approx(binomtest(found.rose, found.count, 0.5).pvalue, rel=1e-9)
    else:
        assert found.p == 1.0
    assert found.means == (pytest.approx(before.mean()), pytest.approx(after.mean()))


def test_the_p_value_is_the_share_of_sign_patterns_that_are_at_least_as_uneven():
    found = compare(np.zeros(9), np.array([1, 1, 1, 1, 1, 1, -1, 0, 0.0]))
    uneven = [abs(sum(signs)) >= 5 for signs in product((-1, 1), repeat=7)]
    assert found.p == pytest.approx(np.mean(uneven))


def test_less_than_matters_is_no_change_and_beyond_it_is():
    numbers = np.linspace(0, 5, 100)
    assert compare(numbers, numbers + 0.9 * SMALLEST_CHANGE).count == 0
    assert compare(numbers, numbers + 1.1 * SMALLEST_CHANGE).rose == 100


def test_a_shift_of_all_images_by_less_than_matters_rings_on_no_night_and_a_real_one_does():
    numbers = np.random.default_rng(0).random(2000)
    assert compare(numbers, numbers + 2e-4).p == 1.0
    assert compare(numbers, numbers + 2e-4, smallest=1e-4).p < 1e-100, "as the ledger of a claim may ask"
    assert compare(numbers, numbers - 5e-3).p < 1e-100
    noise = np.random.default_rng(1).normal(0, 2e-4, 2000)
    assert compare(numbers, numbers + 2e-4 + noise).count < 5


def test_changes_of_a_pair_that_add_up_to_less_than_matters_are_none():
    before = np.zeros(40)
    after = np.tile([0.01, -0.0095], 20)
    assert compare(before, after, exchanged=True).units == 0
    assert compare(before, after).units == 40


def test_only_images_that_both_measured_are_compared_and_none_is_an_error():
    assert compare(np.zeros(10), np.ones(4)).images == 4
    with pytest.raises(ClaimsError, match="without an image in common"):
        compare(np.zeros(0), np.ones(4))


@cache
def change(fell: int, rose: int, images: int = 2000) -> Change:
    before = np.repeat([1.0, 0.0, 0.0], [fell, rose, images - fell - rose])
    after = np.repeat([0.0, 1.0, 0.0], [fell, rose, images - fell - rose])
    return compare(before, after)


def test_holm_is_taken_over_the_arms_that_could_be_significant_and_unchanged_arms_do_not_blunt_it():
    drifted = change(14, 0)
    assert adjusted([drifted])[0] == pytest.approx(2.0**-13)
    quiet = [change(0, 0), change(3, 0), change(0, 7)]
    assert adjusted([*quiet * 400, drifted])[-1] == pytest.approx(2.0**-13)
    assert (adjusted([*quiet * 400, drifted])[:-1] == 1.0).all()
    assert adjusted([change(5, 5)] * 99 + [drifted])[-1] == pytest.approx(100 * 2.0**-13)
    assert len(adjusted([])) == 0


def test_a_drift_of_three_points_is_evident_on_six_hundred_images_beside_a_thousand_changed_arms():
    arms = [change(6, 6, 600)] * 999 + [change(18, 0, 600)]
    assert adjusted(arms)[-1] <= ERROR
    assert noticeable(600, 1000) <= 0.03 < noticeable(599, 1000) + 0.0001


def test_what_is_said_to_be_noticeable_is_noticed_and_less_is_not():
    for images, tests in ((64, 1), (320, 50), (2000, 1400)):
        flips = round(noticeable(images, tests) * images)
        rest = [change(6, 6, images)] * (tests - 1)
        assert adjusted([*rest, change(flips, 0, images)])[-1] <= ERROR
        assert adjusted([*rest, change(flips - 1, 0, images)])[-1] > ERROR
    assert noticeable(7, 1) == float("inf")


def test_false_alarms_stay_below_the_declared_error():
    """Images flip at random, as rounding at the border of two classes makes them: 2000 nights of 30 arms."""
    random, nights = np.random.default_rng(0), 2000
    alarms = 0
    for _ in range(nights):
        counts = random.poisson(random.choice([0.0, 2.0, 12.0, 40.0], 30))
        rises = random.binomial(counts, 0.5)
        found = [change(int(n - r), int(r), 200) for n, r in zip(counts, rises, strict=True)]
        alarms += bool((adjusted(found) <= ERROR).any())
    assert alarms / nights <= ERROR + 3 * np.sqrt(ERROR / nights)


def test_neighbours_that_exchange_are_one_unit():
    before, after = np.zeros(8), np.array([1.0, 1, 1, -1, 0, 1, 0, 0])
    alone, paired = compare(before, after), compare(before, after, exchanged=True)
    assert (paired.fell, paired.rose) == (alone.fell, alone.rose) == (1, 4)
    assert (alone.units, paired.units) == (5, 2)  # the second pair cancels out, the last has not changed
    assert paired.p == mcnemar_exact(0, 2)


def test_pairs_that_change_together_are_no_more_evidence_than_single_images():
    after = np.repeat([1.0, 1, 1, 1, 1], 2)
    assert compare(np.zeros(10), after, exchanged=True).p == compare(np.zeros(5), after[::2]).p
    assert compare(np.zeros(10), after).p < compare(np.zeros(10), after, exchanged=True).p


def test_an_odd_last_image_is_a_unit_of_its_own():
    assert compare(np.zeros(3), np.ones(3), exchanged=True).units == 2
