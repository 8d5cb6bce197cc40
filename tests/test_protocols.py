"""What every claim proposes against a protocol written from the catalogue: edits, readouts, comparisons, blocks.

`tests/protocols/SOURCE.txt` holds them, in the words of `support.protocol`. A plan that differs is red whichever names
it uses; where the protocol was wrong, the catalogue decides and the protocol is mended by hand.
"""

from dataclasses import replace

import pytest

from harness.interventions.intervention import isolate_cls, shuffle_cls
from harness.judging.statements import Holds, every, some
from harness.measurement.plan import Arm, Plan, curve, difference, level, mean_of, mix, ratio
from harness.readouts.locality import WithinShare
from harness.readouts.members import Batches
from harness.readouts.own_answer import PatchAccuracy
from support.asked import MAIN, groups
from support.cards import CLAIMS, SPECS
from support.protocol import told
from support.protocols import FOLDER, STANDING, differs, proposed, written
from support.shapes import shape_of

SOURCES = sorted({claim.path.parent.name for claim in CLAIMS.values()})
EARLY = "cls-early-shuffle-harmless"


@pytest.mark.parametrize("identifier", sorted(CLAIMS))
def test_a_claim_proposes_what_its_protocol_says(identifier):
    protocol = written(CLAIMS[identifier].path.parent.name).get(identifier, {})
    assert STANDING in protocol, f"{identifier} has no protocol in {FOLDER}: write one from its source"
    assert len(protocol) > 1, f"the protocol of {identifier} describes no plan: add one, `-- MODEL` of support.asked"
    for part, text in protocol.items():
        assert proposed(CLAIMS[identifier].function, SPECS[identifier], part) == text, part


def test_protocols_are_about_claims_and_models_that_there_are():
    assert {path.stem for path in FOLDER.glob("*.txt")} == {*SOURCES, "equivalent"}
    for source in SOURCES:
        for claim, parts in written(source).items():
            assert CLAIMS[claim].path.parent.name == source
            assert set(parts) - {STANDING} <= set(groups(SPECS[claim]))


def test_a_plan_that_differs_in_one_block_differs_from_its_protocol():
    def off_by_one(card):
        plan = CLAIMS[EARLY].function(card)
        return replace(plan, arms=plan.arms | {"shuffled@3": Arm(intervention=shuffle_cls(4))})

    protocol = {MAIN: written("cls_information")[EARLY][MAIN]}
    assert not differs(CLAIMS[EARLY].function, SPECS[EARLY], protocol)
    assert differs(off_by_one, SPECS[EARLY], protocol)


def test_names_of_arms_do_not_matter_and_what_they_do_does():
    def plan(one, other, first=3, second=4):
        arms = {one: Arm(intervention=shuffle_cls(first)), other: Arm(intervention=shuffle_cls(second))}
        return told(Plan(arms=arms, effect=ratio(one, other)))

    assert plan("a", "b") == plan("b", "a") == plan("left", "right")
    assert plan("a", "b") != plan("a", "b", 4, 3)
    assert plan("a", "b") == ("effect\n  [bound] <Accuracy; ShuffleClass after 3> / <Accuracy; ShuffleClass after 4>\n")


def test_what_differs_in_numbers_alone_is_told_in_one_line():
    arms = {f"at {b}": Arm(intervention=shuffle_cls(b), readout=PatchAccuracy(layer=b + 1)) for b in (0, 1, 2, 5)}
    holds = [Holds(level(name)) for name in arms]
    plan = Plan(arms=arms, effect=every(*holds[:3]), control=some(*holds), curves={"c": curve({2: level("at 2")})})
    assert told(plan) == (
        "effect\n  every\n    [bound] <PatchAccuracy(layer {1..3}); ShuffleClass after {0..2}>\n"
        "control\n  some\n    [bound] <PatchAccuracy(layer {1,2,3,6}); ShuffleClass after {0,1,2,5}>\n"
        "curve c\n  2: <PatchAccuracy(layer 3); ShuffleClass after 2>\n"
    )


def test_several_numbers_of_one_thing_are_not_taken_for_several_things():
    singles = {f"{b}": Arm(readout=WithinShare((b,))) for b in range(4)}
    whole = {f"{b}": Arm(readout=WithinShare((0, 1, 2, 3))) for b in range(4)}
    texts = [
        told(
            Plan(
                census=Batches(),
                arms=arms,
                effect=level("0"),
                curves={"c": curve({b: level(f"{b}") for b in range(4)})},
            )
        )
        for arms in (singles, whole)
    ]
    assert "{0..3}: <WithinShare(blocks [{0..3}])>" in texts[0]
    assert "{0..3}: <WithinShare(blocks [0..3])>" in texts[1]
    assert "IsolateClass in 0..2>" in told(Plan(arms={"a": Arm(intervention=isolate_cls(range(3)))}, effect=level("a")))


def test_derived_arms_are_told_with_their_weights():
    arms = {"a": Arm(), "b": Arm(weights="untrained")}
    derived = {"gain": mix({"a": 1, "b": -1}, 0.5), "mean": mean_of(["a", "b"]), "twice": mean_of(["a", "a"])}
    plan = Plan(arms=arms, derived=derived, effect=difference("gain", "mean"), control=level("twice"))
    assert "(1 <Accuracy> + -1 <Accuracy; untrained> + 0.5) - mean(<Accuracy>, <Accuracy; untrained>)" in told(plan)
    assert "mean(<Accuracy> (2 x))" in told(plan)


def test_a_shape_is_known_by_what_it_computes():
    assert shape_of(lambda low, high: (float(low[0] - high[1]), float(high[0] - low[1])), 2) == "first - second"
    assert shape_of(lambda low, high: (float(low[1] - high[0]), float(high[1] - low[0])), 2) == "an unknown shape"
