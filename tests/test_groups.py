"""Whom a claim about several models is asked of."""

from dataclasses import replace

import pytest

from harness.models.groups import cohorts, lone, models_of
from support.cards import CLS, GAP, NO_CLASS

CARDS = {"a": replace(CLS, name="a"), "b": replace(NO_CLASS, name="b"), "c": replace(CLS, name="c")}
ROLES = {"reader": ("class_readout",), "pooler": ("patch_mean_readout",)}


def test_every_ordered_set_of_models_that_fits_the_roles_is_a_cohort():
    found, why = cohorts(ROLES, CARDS)
    assert [cohort.label for cohort in found] == ["a vs b", "c vs b"]
    assert found[0].roles == {"reader": "a", "pooler": "b"}
    assert why == ""


def test_a_model_is_never_compared_with_itself():
    found, _ = cohorts({"one": (), "other": ()}, {"a": CLS, "c": CLS})
    assert [cohort.label for cohort in found] == ["a vs c", "c vs a"]
    assert cohorts({"one": (), "other": ()}, {"a": CLS}) == (
        [],
        "it compares 2 different models, one and other; give more with --model",
    )


def test_roles_that_no_model_can_take_are_told_with_the_reason():
    found, why = cohorts(ROLES, {"a": CLS, "c": CLS})
    assert not found
    assert why.startswith("none of the models of this run can be its 'pooler' (a: the model's own head does not read")


def test_labels_tell_their_models():
    assert models_of("a vs b") == {"a", "b"}
    assert models_of(lone("a").label) == {"a"}


@pytest.mark.parametrize("card", [CLS, GAP])
def test_one_model_has_the_nameless_role(card):
    assert lone(card.name).roles == {"": card.name}
