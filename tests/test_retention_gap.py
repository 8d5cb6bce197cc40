"""Which of two models keeps more of its own accuracy, against the plain formula and at the declared error."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from harness.judging.derived_arms import resolve
from harness.judging.observations import Observations, Pairs, Sample
from harness.judging.retention_gap import Retention, gap_kept
from harness.measurement.observed import Job
from harness.measurement.plan import Arm, Plan, level
from harness.measurement.runner import run
from harness.readouts.own_answer import TopAccuracy, usual_count
from harness.readouts.reading import Reading
from support.claims import bench, bound, spec

MEANS = {"a": 0.5, "b": 0.9, "c": 0.3, "d": 0.8}
GAP = gap_kept("kept", Retention("a", "b"), Retention("c", "d"))
TRUE = MEANS["a"] / MEANS["b"] - MEANS["c"] / MEANS["d"]


def sheet(seed, count=2000):
    random = np.random.Generator(np.random.PCG64(seed))
    hard = random.random(count)  # one difficulty per image: arms are strongly paired
    samples = {name: Sample((hard < mean).astype(float), 0.0, 1.0) for name, mean in MEANS.items()}
    pairs = Pairs(tuple(range(0, count, 2)), count // 2)
    found = resolve(samples, GAP.derived, pairs)
    means = {name: Sample(pairs.means(one.values), one.low, one.high) for name, one in found.items()}
    return Observations(samples=means, bounds={"bound": bound(0.0)})


def test_the_gap_is_the_difference_of_two_ratios_of_means():
    found = [GAP.quantity.estimate(sheet(seed)) for seed in range(30)]
    assert np.mean(found) == pytest.approx(TRUE, abs=0.005)


def test_the_gap_on_few_images_is_the_formula_multiplied_out():
    a, b, c, d = np.random.Generator(np.random.PCG64(0)).random((4, 2))
    samples = {name: Sample(values, 0.0, 1.0) for name, values in zip("abcd", (a, b, c, d), strict=True)}
    found = resolve(samples, GAP.derived, Pairs((0,), 1))
    expected = (a[0] * d[1] + a[1] * d[0] - c[0] * b[1] - c[1] * b[0]) / (b[0] * d[1] + b[1] * d[0])
    assert np.mean(found["kept: more"].values) / np.mean(found["kept: both"].values) == pytest.approx(expected)


def test_a_gap_beyond_its_bound_is_established_and_one_below_it_refuted():
    for seed in range(5):
        one = sheet(seed)
        assert GAP.quantity.above(one, TRUE - 0.1).true < 0.01
        assert GAP.quantity.above(one, TRUE + 0.1).false < 0.01
        low, high = GAP.quantity.interval(one, 0.01)
        assert low <= TRUE <= high


def test_at_the_very_bound_neither_side_is_established_more_often_than_declared():
    found = [GAP.quantity.above(sheet(seed, 400), TRUE) for seed in range(60)]
    wrong = [min(p.true, p.false) < 0.05 for p in found]
    assert sum(wrong) <= 6


def test_images_that_lend_their_neighbours_a_factor_are_judged_in_pairs():
    plan = Plan(
        arms={name: Arm(readout=TopAccuracy(count=2)) for name in MEANS},
        derived=GAP.derived,
        effect=GAP.quantity,
        gate=level("b"),
    )
    assert plan.exchanges
    outcome = run([Job(spec=spec(bounds={"bound": bound(-0.5), "gate": bound(0.1)}), plan=plan)], bench())
    assert outcome["planted-claim"].pairs is not None


@dataclass(frozen=True)
class Answers(Reading):
    """Random logits of six classes on 50 images, and their labels."""

    random = np.random.Generator(np.random.PCG64(0))
    scores = random.normal(size=(50, 6))
    right = random.integers(0, 6, 50)

    def __init__(self):
        """Hold nothing but these."""

    def logits(self, head):
        return torch.from_numpy(self.scores)

    def labels(self, whose):
        return torch.from_numpy(self.right if whose == "own" else self.right[::-1].copy())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_label_counts_among_the_first_few_as_numpy_sorts_them(count):
    first = np.argsort(-Answers.scores, axis=1)[:, :count]
    for whose, labels in (("own", Answers.right), ("donor", Answers.right[::-1])):
        found = TopAccuracy(count=count, labels=whose).read(Answers())
        np.testing.assert_array_equal(found.numpy(), (first == labels[:, None]).any(axis=1))
    assert TopAccuracy(count=count, labels="donor").exchanges
    assert not TopAccuracy(count=count).exchanges


def test_five_of_few_classes_are_not_counted():
    assert (usual_count(1000), usual_count(100), usual_count(99)) == (5, 5, 1)
    with pytest.raises(ValueError, match="top-0 accuracy; allowed: 1 or more"):
        TopAccuracy(count=0)
