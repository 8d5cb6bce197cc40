"""A plan that cannot be measured or judged is refused before any forward pass."""

import pytest

from harness.errors import ClaimsError
from harness.interventions.intervention import isolate_cls, shuffle_cls
from harness.judging.quantities import Difference, Level, Ratio
from harness.judging.statements import Holds, every
from harness.measurement.plan import Arm, Plan, claim, curve, difference, level, propose, ratio
from harness.probes.probe import Probe
from harness.readouts.linear_probes import ProbeAccuracy
from harness.readouts.own_answer import Accuracy
from support.claims import bound, isolation, spec
from support.planted import Planted

CARD = Planted().card


def proposed(plan, **changes):
    return propose(lambda card: plan, spec(**changes), CARD)


def test_a_claim_function_carries_its_id_and_stays_a_function():
    @claim("some-claim")
    def test_something(card):
        return card.depth

    assert test_something.__claim__ == "some-claim"
    assert test_something(CARD) == 6


def test_a_sound_plan_is_given_back_as_it_is():
    plan = isolation()
    assert proposed(plan) is plan


def test_a_bare_quantity_is_compared_with_the_bound_of_its_role():
    plan = Plan(arms={"a": Arm()}, effect=level("a"), control=level("a"), gate=level("a"))
    assert plan.question.effect == Holds(Level("a"), "bound")
    assert plan.question.control == Holds(Level("a"), "bound")
    assert plan.question.gate == Holds(Level("a"), "gate")
    assert plan.question.bound_names() == ("gate", "bound")
    statement = every(Holds(level("a"), "x"), Holds(level("a"), "y"))
    assert Plan(arms={"a": Arm()}, effect=statement).question.effect is statement


def test_words_for_quantities_are_the_quantities():
    assert (level("a"), ratio("a", "b"), difference("a", "b")) == (Level("a"), Ratio("a", "b"), Difference("a", "b"))
    assert curve({2: level("a"), 0: level("b")}).arms() == ("a", "b")


def test_a_claim_that_returns_no_plan_is_refused():
    with pytest.raises(ClaimsError, match="claim 'planted-claim' returned int, not a Plan"):
        proposed(7)


def test_an_arm_that_does_not_exist_is_refused_with_the_nearest_match():
    with pytest.raises(
        ClaimsError, match=r"unknown arm 'shufled' in claim 'planted-claim'\. Did you mean 'shuffled'\?"
    ):
        proposed(Plan(arms={"shuffled": Arm(), "clean": Arm()}, effect=ratio("shufled", "clean")))
    with pytest.raises(ClaimsError, match="unknown arm 'shuffled@9'"):
        proposed(Plan(arms={"clean": Arm()}, effect=level("clean"), curves={"c": curve({9: level("shuffled@9")})}))


def test_an_arm_that_nothing_uses_is_refused():
    with pytest.raises(ClaimsError, match=r"arms \['forgotten'\] are measured but nothing uses them"):
        proposed(Plan(arms={"clean": Arm(), "forgotten": Arm()}, effect=level("clean")))


@pytest.mark.parametrize("part", ["effect", "control", "gate"])
def test_a_bound_that_the_ledger_does_not_hold_is_refused_with_the_nearest_match(part):
    parts = {"effect": level("clean"), part: Holds(level("clean"), "secondry")}
    with pytest.raises(ClaimsError, match=r"unknown bound 'secondry' .* Did you mean 'secondary'\?"):
        proposed(Plan(arms={"clean": Arm()}, **parts), bounds={"bound": bound(0.5), "secondary": bound(0.5)})


@pytest.mark.parametrize(
    "arm",
    [
        Arm(intervention=shuffle_cls(6)),
        Arm(intervention=isolate_cls([6])),
        Arm(readout=Accuracy(layer=6)),
        Arm(readout=ProbeAccuracy(probe=Probe(layer=-2))),
    ],
    ids=repr,
)
def test_a_place_that_the_model_does_not_have_is_refused_naming_claim_and_arm(arm):
    with pytest.raises(ClaimsError, match=r"claim 'planted-claim', arm 'off': .*has blocks 0\.\.5"):
        proposed(Plan(arms={"off": arm}, effect=level("off")))
