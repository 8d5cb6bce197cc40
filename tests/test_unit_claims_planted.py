"""The claims about units with declared numbers: every member of the census is drawn, and the verdict must be right."""

import numpy as np
import pytest

from harness.judging.derived_arms import resolve
from harness.judging.observations import Observations, Sample
from harness.judging.verdict import judge
from harness.measurement.plan import Plan
from harness.readouts.members import TheModel
from support.cards import SPECS, plan_for
from support.unit_numbers import CLAIMS, IMPLIED, WORLDS

MEMBERS = 192
BATCHES = 14


def mean_of(means, arm):
    """Look up the mean of an arm by its full name, else without its block, else by its first word."""
    name, _, block = arm.partition("@")
    value = means[name] if name in means else means[name.split()[0]]
    return value(int(block)) if callable(value) else value


def sheet_for(plan, spec, means):
    random, samples = np.random.default_rng(0), {}
    alone = isinstance(plan.census, TheModel)
    ranks = (random.permutation(MEMBERS) + 0.5) / MEMBERS
    for name, arm in plan.arms.items():
        mean = mean_of(means, name)
        values = (ranks < mean).astype(float)
        if alone or plan.typical:
            values = np.full(1 if alone else BATCHES, mean)
        samples[name] = Sample(values, arm.readout.low, arm.readout.high)
    population = None if plan.typical else 1 if alone else MEMBERS
    return Observations(
        samples=resolve(samples, plan.derived),
        bounds=spec.bounds,
        classes=1000,
        population=population,
        typical=plan.typical,
    )


@pytest.mark.parametrize(
    ("name", "which"),
    [(name, which) for name, (_, _, _, others) in WORLDS.items() for which in ("supported", *others)],
)
def test_declared_numbers_get_their_verdict(name, which):
    identifier, card, means, others = WORLDS[name]
    plan, spec = plan_for(identifier, card), SPECS[identifier]
    assert isinstance(plan, Plan), plan
    judgement = judge(plan.question, sheet_for(plan, spec, {**means, **others.get(which, {})}), spec.delta)
    assert judgement.verdict == which.partition(":")[0], judgement.reason


@pytest.mark.parametrize("identifier", CLAIMS)
def test_every_claim_about_units_has_numbers_for_every_way_it_can_end(identifier):
    kinds = {
        which.partition(":")[0] for claim, _, _, others in WORLDS.values() if claim == identifier for which in others
    }
    assert kinds == ({"refuted"} if identifier in IMPLIED else {"refuted", "vacuous"})


def test_small_models_are_asked_of_two_early_blocks_and_others_of_all_but_the_last():
    _, small, *_ = WORLDS["driven, small"]
    _, large, *_ = WORLDS["driven"]
    assert plan_for("featvis-ffn-activation-maximization", small).census.blocks == (4,)
    assert plan_for("featvis-ffn-activation-maximization", large).census.blocks == tuple(range(11))
    assert plan_for("featvis-regularizers-help", small).arms["regularized"].readout.recipe.steps == 100
    assert plan_for("featvis-regularizers-help", large).arms["regularized"].readout.recipe.steps == 400
