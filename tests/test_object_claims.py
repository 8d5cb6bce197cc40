"""The claims about objects and context: which masks and which blocks their statements are about."""

from harness.judging.derived_arms import measured
from support.cards import CARDS, ORIG, plan_for


def masks(plan, statement):
    names = measured(set(statement.arms()), plan.derived)
    return {name: plan.arms[name].readout.whose for name in names}


def test_the_effect_reads_the_pictures_own_masks_and_the_control_those_of_the_neighbours():
    plan = plan_for("class-tokens-lead-context-tokens", ORIG)
    assert set(masks(plan, plan.question.effect).values()) == {"own"}
    assert set(masks(plan, plan.question.control).values()) == {"donor"}
    assert plan.exchanges
    update = plan_for("attention-update-class-vs-context", CARDS["augreg, patches of 32"])
    assert set(masks(update, update.question.effect).values()) == {"own"}
    assert set(masks(update, update.question.control).values()) == {"own", "donor"}


def test_judged_are_the_blocks_of_the_source_on_a_model_of_twelve():
    lead = plan_for("class-tokens-lead-context-tokens", ORIG)
    layers = {arm.partition("@")[2] for arm in lead.question.effect.arms() if "@" in arm}
    assert layers == {"8", "9", "10", "11"}
    update = plan_for("attention-update-class-vs-context", CARDS["augreg, patches of 32"])
    assert set(update.question.effect.arms()) == {*(f"own@{layer}" for layer in (3, 4, 5, 6, 7, 11)), "both"}
    assert not update.report_only
    assert plan_for("attention-update-class-vs-context", ORIG).report_only


def test_removals_keep_one_sort_of_patches_or_as_many_drawn_ones():
    arms = plan_for("removing-context-or-object-tokens", ORIG).arms
    kept = {name: arm.intervention.masks[0][1] for name, arm in arms.items() if arm.intervention.masks}
    assert {name: (mask.keep, mask.random) for name, mask in kept.items()} == {
        "object alone": ("object", False),
        "context alone": ("context", False),
        "object drawn": ("object", True),
    }
    assert all(len(arms[name].intervention.masks) == ORIG.depth for name in kept)
