"""What a ledger can afford: pictures needed against budgets, from entries and plans alone."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.fixtures.planted.ledger_worlds import WORLDS as LEDGERS
from harness.interventions.intervention import shuffle_cls
from harness.judging.curve_statements import Rises
from harness.judging.derived_arms import Mix
from harness.judging.statements import Holds, every, some
from harness.measurement.expected_images import expected_images
from harness.measurement.ledger_power import ClaimsFolder, at_margin, images_needed_by
from harness.measurement.plan import Arm, Plan, difference, level
from harness.readouts.members import TheModel
from harness.readouts.weight_ranks import RankShare
from support.cards import CLS, ROOT
from support.records import spec as make_spec

ARMS = {"first": Arm(), "second": Arm()}


def _spec(published: float | None = 0.9, value: float = 0.8, budget: int = 500, direction: str = ">="):
    bound = {"value": value, "direction": direction, "origin": "made up", "published": published}
    return make_spec(bounds={"bound": bound}, budget=budget, published={"value": None, "text": "none"})


def test_where_the_planner_expects_pictures_they_count():
    plan = Plan(arms=ARMS, effect=level("first"))
    assert images_needed_by(_spec(), plan, 1000) == expected_images(_spec(), plan, 1000, 0.01) > 10


def test_a_derived_mean_is_sized_by_hoeffding_at_half_its_margin():
    plan = Plan(arms=ARMS, derived={"half": Mix((("first", 0.5), ("second", 0.5)))}, effect=level("half"))
    needed = images_needed_by(_spec(published=0.9, value=0.8), plan, 1000)
    assert needed == math.ceil(math.log(2 / 0.01) / (2 * 0.05**2)) == 1060


def test_units_of_two_pictures_cost_two():
    arms = {**ARMS, "first": replace(ARMS["first"], intervention=shuffle_cls(0))}
    plan = Plan(arms=arms, derived={"half": Mix((("first", 0.5), ("second", 0.5)))}, effect=level("half"))
    assert images_needed_by(_spec(published=0.9, value=0.8), plan, 1000) == 2 * 1060


def test_all_parts_must_be_afforded_for_all_to_hold_and_one_for_any():
    derived = {"half": Mix((("first", 0.5), ("second", 0.5))), "sum": Mix((("first", 1.0), ("second", 1.0)))}
    parts = [Holds(level("half")), Holds(level("sum"))]  # the sum has twice the range: a quarter of the margin squared
    for effect, needed in ((every(*parts), 4239), (some(*parts), 1060)):
        plan = Plan(arms=ARMS, derived=derived, effect=effect)
        assert images_needed_by(_spec(published=0.9, value=0.8), plan, 1000) == needed


def test_the_range_of_a_derived_mean_scales_its_margin():
    plan = Plan(arms=ARMS, derived={"sum": Mix((("first", 1.0), ("second", 1.0)))}, effect=level("sum"))
    assert images_needed_by(_spec(published=0.9, value=0.7), plan, 1000) == 1060


def test_a_published_value_at_its_bound_is_beyond_any_budget():
    assert images_needed_by(_spec(published=0.8), Plan(arms=ARMS, effect=level("first")), 1000) == math.inf


@pytest.mark.parametrize(
    "effect",
    [
        Rises(("first", "second")),
        Holds(difference("half", "first")),
        every(Rises(("first", "second")), Holds(difference("half", "first"))),
    ],
)
def test_shapes_and_comparisons_of_derived_arms_are_not_checked(effect):
    plan = Plan(arms=ARMS, derived={"half": Mix((("first", 0.5), ("second", 0.5)))}, effect=effect)
    assert images_needed_by(_spec(), plan, 1000) is None


def test_what_nothing_is_published_for_is_not_checked():
    assert images_needed_by(_spec(published=None), Plan(arms=ARMS, effect=level("first")), 1000) is None


def test_a_census_needs_no_sample():
    arms = {"rank": Arm(readout=RankShare(matrix="key", blocks=(0,)))}
    assert images_needed_by(_spec(), Plan(arms=arms, census=TheModel(), effect=level("rank")), 1000) == 0.0


@pytest.mark.parametrize(("direction", "moved"), [(">=", 0.82), ("<=", 0.78)])
def test_a_margin_lies_on_the_good_side(direction, moved):
    assert at_margin(_spec(direction=direction), 0.02, 1000).bounds["bound"].published == pytest.approx(moved)


def test_a_claim_with_a_hundred_pictures_and_a_margin_of_two_points_is_refused():
    needed = images_needed_by(at_margin(_spec(), 0.02, 1000), Plan(arms=ARMS, effect=level("first")), 1000)
    assert needed > 100


def test_a_folder_is_known_by_what_its_files_hold_and_not_by_where_it_is(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "ledger.yaml").write_text("one")
    first = ClaimsFolder.of(tmp_path)
    assert str(tmp_path) not in repr(first)
    (tmp_path / "a" / "ledger.yaml").write_text("two")
    assert ClaimsFolder.of(tmp_path).digest != first.digest


def test_candidates_end_in_a_verdict_and_fit_the_card():
    names = ClaimsFolder.of(ROOT).candidates(CLS, but="cls-last-shuffle-hits-floor")
    assert "cls-early-shuffle-harmless" in names
    assert "cls-last-shuffle-hits-floor" not in names
    assert "lens-curves-agree-across-labs" not in names, "it is reported, not judged"
    assert "distill-token-bypasses-cls" not in names, "this card has no distillation token"


def test_the_planted_ledgers_differ_in_one_claim_by_declared_numbers():
    needs = []
    for world in LEDGERS.values():
        listed = world.claims()["planted-accuracy"]
        plan = listed.function(CLS)
        needs.append(images_needed_by(listed.spec, plan, 1000) / listed.spec.budget)
    assert needs[0] < 0.1
    assert needs[1] > 2
    assert np.isfinite(needs).all()
