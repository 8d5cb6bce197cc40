"""Claims about class memories on planted numbers: published means must be supported, every single change must not be.

Weights-only claims have one number per arm and are exact; of the others numbers per picture are drawn.
"""

import numpy as np
import pytest

from harness.judging.derived_arms import resolve
from harness.judging.observations import Observations, Pairs, Sample
from harness.judging.verdict import judge
from harness.measurement.plan import Plan
from harness.readouts.members import TheModel
from support.cards import SPECS, plan_for
from support.memory_numbers import CLAIMS, WORLDS

PICTURES = 2000


def mean_of(means, arm):
    name, _, block = arm.partition("@")
    value = means[name]
    return value(int(block)) if callable(value) else value


def draw(plan, means, random):
    """Draw numbers per picture; of arms with a mean for right and one for wrong pictures each from its own."""
    hardness = random.random(PICTURES)
    right = hardness < mean_of(means, "right") if "right" in means else np.ones(PICTURES, dtype=bool)
    samples = {}
    for name, arm in plan.arms.items():
        low, high = arm.readout.low, arm.readout.high
        kind, _, block = name.partition("@")
        if plan.census is not None:
            samples[name] = Sample(np.array([float(mean_of(means, name))]), low, high)
            continue
        if name == "right":
            samples[name] = Sample(right.astype(float), low, high)
            continue
        sides = [f"{kind} {side}" if f"{kind} {side}" in means else kind for side in ("right", "wrong")]
        level = np.where(right, *(mean_of(means, f"{side}@{block}" if block else side) for side in sides))
        samples[name] = Sample((random.random(PICTURES) < level).astype(float), low, high)
    return samples


@pytest.mark.parametrize(
    ("name", "which"),
    [(name, which) for name, (_, _, _, others) in WORLDS.items() for which in ("as published", *others)],
)
def test_a_planted_world_gets_its_verdict(name, which):
    identifier, card, means, others = WORLDS[name]
    plan, spec = plan_for(identifier, card), SPECS[identifier]
    assert isinstance(plan, Plan), plan
    expected = "supported" if which == "as published" else which.partition(":")[0]
    if plan.report_only:
        expected = "reported"
    pairs = Pairs(tuple(range(0, PICTURES, 2)), PICTURES // 2) if plan.exchanges else None
    samples = resolve(draw(plan, {**means, **others.get(which, {})}, np.random.default_rng(2)), plan.derived, pairs)
    if pairs is not None:
        samples = {arm: Sample(pairs.means(one.values), one.low, one.high) for arm, one in samples.items()}
    population = 1 if plan.census == TheModel() else None
    sheet = Observations(samples=samples, bounds=spec.bounds, classes=card.classes, population=population)
    judgement = judge(plan.question, sheet, spec.delta)
    assert judgement.verdict == expected, judgement.reason
    if expected == "vacuous":
        assert judgement.reason.startswith("the control clears")


@pytest.mark.parametrize("identifier", sorted(CLAIMS))
def test_every_claim_is_planted_false_and_vacuous(identifier):
    kinds = {
        which.partition(":")[0] for claim, _, _, others in WORLDS.values() if claim == identifier for which in others
    }
    assert kinds >= {"refuted", "vacuous"}


def test_multiples_of_a_null_are_judged_where_they_ask_for_half_of_the_tokens_at_most():
    for identifier, branch in ((WORLDS["attention keys"][0], "attention"), (WORLDS["MLP keys"][0], "mlp")):
        limit = _claims_module(identifier).HIGHEST_NULL[branch]
        assert limit * SPECS[identifier].bounds["times null"].value == pytest.approx(0.5)


def _claims_module(identifier):
    import sys

    from support.cards import CLAIMS as FUNCTIONS

    return sys.modules[FUNCTIONS[identifier].function.__module__]
