"""Derived arms: pure functions of measured numbers, image by image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ClaimsError
from harness.interventions.intervention import shuffle_cls
from harness.judging.derived_arms import Covaries, Exceeds, Largest, Mix, OfNeighbour, Product, Same, measured, resolve
from harness.judging.observations import Pairs, Sample
from harness.measurement.observed import Job, lay_out
from harness.measurement.plan import Arm, Plan, level, mean_of, mix, propose
from support.cards import CLS
from support.claims import bound, spec

OUTCOMES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=30)


def sample(values, low=0.0, high=1.0):
    return Sample(np.array(values, float), low, high)


@given(OUTCOMES)
def test_products_and_largest_of_outcomes_are_and_and_or(outcomes):
    a, b = (np.array(side) for side in zip(*outcomes, strict=True))
    found = resolve(
        {"a": sample(a), "b": sample(b)},
        {"both": Product(("a", "b")), "any": Largest(("a", "b")), "same": Same("a", "b")},
    )
    np.testing.assert_array_equal(found["both"].values, a & b)
    np.testing.assert_array_equal(found["any"].values, a | b)
    np.testing.assert_array_equal(found["same"].values, a == b)


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 3)), min_size=1, max_size=20), st.floats(-2, 2), st.floats(-2, 2)
)
def test_a_mix_stays_in_the_range_that_it_declares(numbers, first, second):
    a, b = zip(*numbers, strict=True)
    found = resolve({"a": sample(a, -1, 1), "b": sample(b, 0, 3)}, {"mix": mix({"a": first, "b": second}, 0.5)})["mix"]
    np.testing.assert_allclose(found.values, 0.5 + first * np.array(a) + second * np.array(b))
    assert ((found.low - 1e-9 <= found.values) & (found.values <= found.high + 1e-9)).all()


def test_a_mean_of_arms_is_their_mean():
    found = resolve({"a": sample([0, 1]), "b": sample([1, 1])}, {"mean": mean_of(["a", "b"])})["mean"]
    np.testing.assert_allclose(found.values, [0.5, 1.0])
    assert (found.low, found.high) == (0.0, 1.0)


def test_an_arm_exceeds_another_only_by_more_than_asked():
    found = resolve(
        {"a": sample([0.5, 0.9]), "b": sample([0.5, 0.5])}, {"up": Exceeds("a", "b"), "far": Exceeds("a", "b", 0.4)}
    )
    assert found["up"].values.tolist() == [0.0, 1.0]
    assert found["far"].values.tolist() == [0.0, 0.0]


@given(OUTCOMES)
def test_a_covariance_over_a_variance_is_the_lead_of_one_group_over_the_other(outcomes):
    a, right = (np.repeat(np.array(side, float), 2)[: 2 * len(outcomes)] for side in zip(*outcomes, strict=True))
    right[1::2] = np.roll(right[::2], 1)  # the neighbour in a pair has another number
    a[1::2] = np.roll(a[::2], 1)
    pairs = Pairs(tuple(range(0, len(a), 2)), len(a) // 2)
    arms = {"together": Covaries("a", "right"), "apart": Covaries("right", "right")}
    found = resolve({"a": sample(a), "right": sample(right)}, arms, pairs)
    together, apart = (pairs.means(found[name].values).sum() for name in ("together", "apart"))
    first, second = a[::2] - a[1::2], right[::2] - right[1::2]
    one_right = second != 0
    assert apart == one_right.sum()
    assert together == pytest.approx((first * second)[one_right].sum())  # right picture's a less wrong picture's a
    assert (found["apart"].low, found["apart"].high) == (0.0, 1.0)
    assert (found["together"].low, found["together"].high) == (-1.0, 1.0)


def test_a_lead_that_is_planted_is_found_by_covariances():
    random = np.random.default_rng(0)
    right = (random.random(40_000) < 0.7).astype(float)
    a = (random.random(40_000) < np.where(right == 1, 0.6, 0.2)).astype(float)
    pairs = Pairs(tuple(range(0, 40_000, 2)), 20_000)
    arms = {"together": Covaries("a", "right"), "apart": Covaries("right", "right")}
    found = resolve({"a": sample(a), "right": sample(right)}, arms, pairs)
    assert found["together"].values.mean() / found["apart"].values.mean() == pytest.approx(0.4, abs=0.02)


def test_derived_arms_may_rest_on_derived_ones_in_any_order():
    found = resolve({"a": sample([0, 1])}, {"not not": Mix((("not", -1.0),), 1.0), "not": Mix((("a", -1.0),), 1.0)})
    assert found["not not"].values.tolist() == [0.0, 1.0]
    assert measured({"not not"}, {"not not": Mix((("not", -1.0),)), "not": Mix((("a", -1.0),))}) == {"a"}


def test_derived_arms_in_a_circle_are_refused():
    with pytest.raises(ValueError, match=r"\['x', 'y'\] rest on one another in a circle"):
        resolve({}, {"x": mean_of(["y"]), "y": mean_of(["x"])})


def test_a_neighbours_number_is_exchanged_within_pairs_before_they_are_averaged():
    numbers = {"a": np.array([1.0, 0, 1, 1, 0]), "b": np.array([1.0, 0, 0, 1, 1])}
    plan = Plan(
        arms={"a": Arm(), "b": Arm()},
        derived={"b elsewhere": OfNeighbour("b"), "both": Product(("a", "b elsewhere"))},
        effect=level("both"),
    )
    assert plan.exchanges
    sheet = lay_out(Job(spec=spec(), plan=plan), numbers, classes=2, population=None, pairs=Pairs((0, 2), 2))
    np.testing.assert_allclose(sheet.samples["both"].values, [0.0, 0.5])  # (1*0 + 0*1)/2, (1*1 + 1*0)/2


def test_a_product_of_numbers_that_may_be_negative_is_refused():
    with pytest.raises(ValueError, match="'a', which may be negative"):
        resolve({"a": sample([0], -1, 1)}, {"square": Product(("a", "a"))})


def test_a_mix_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one arm"):
        Mix(())


def test_a_plan_measures_exactly_what_its_derived_arms_rest_on():
    arms = {"clean": Arm(), "shuffled": Arm(intervention=shuffle_cls(0))}
    claim = spec(bounds={"bound": bound(0.5)})
    plan = Plan(arms=arms, derived={"loss": mix({"clean": 1, "shuffled": -1})}, effect=level("loss"))
    assert propose(lambda card: plan, claim, CLS).used() == {"clean", "shuffled"}
    with pytest.raises(ClaimsError, match="are both measured and derived"):
        propose(
            lambda card: Plan(arms=arms, derived={"clean": mean_of(["shuffled"])}, effect=level("clean")), claim, CLS
        )
    with pytest.raises(ClaimsError, match="unknown arm 'shufled'"):
        propose(
            lambda card: Plan(arms=arms, derived={"x": mean_of(["clean", "shufled"])}, effect=level("x")), claim, CLS
        )


def test_without_its_curves_a_plan_keeps_the_arms_of_its_statements():
    plan = Plan(
        arms={"clean": Arm(), "shuffled": Arm(intervention=shuffle_cls(0)), "drawn": Arm(intervention=shuffle_cls(1))},
        derived={"loss": mix({"clean": 1, "shuffled": -1}), "seen": mean_of(["drawn"])},
        effect=level("loss"),
    ).judged_only()
    assert set(plan.arms) == {"clean", "shuffled"}
    assert set(plan.derived) == {"loss"}
