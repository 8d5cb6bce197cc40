"""Claims about several models, and claims about members that are no images, through plan, runner and verdict."""

from dataclasses import dataclass

import numpy as np
import pytest

from harness.errors import ClaimsError, NotApplicable
from harness.measurement.observed import Job
from harness.measurement.on_images import OnImages
from harness.measurement.plan import Arm, Plan, difference, level, propose
from harness.measurement.runner import run
from harness.readouts.members import Classes, TheModel
from harness.results.measurements import Store
from support.claims import bench, bound, loaded, spec
from support.planted import Planted, PlantedImages

IMAGES = PlantedImages()


@dataclass(frozen=True)
class Numbered:
    """The number of each member over 10."""

    low = 0.0
    high = 1.0
    shift: float = 0.0

    def numbers(self, place, members):
        place.charge(3.0)
        return np.asarray(members) / 10 + self.shift


@dataclass(frozen=True)
class Crowd:
    """Ten members, three at a time."""

    what = "faces"
    chunk = 3
    count: int = 10

    def members(self, subject):
        return self.count


def versus(**arms):
    return Plan(
        arms={name: Arm(subject=role) for name, role in arms.items()},
        effect=difference(*arms),
    )


def several(**weights):
    store = Store(None)
    return OnImages({role: loaded(Planted(**w), IMAGES, store) for role, w in weights.items()})


def census(plan, identifier="planted-claim", **changes):
    return Job(spec=spec(identifier, **{"budget": 10, **changes}), plan=plan)


def crowd(value, **changes):
    plan = Plan(arms={"n": Arm(readout=Numbered())}, census=Crowd(), effect=level("n"))
    return census(plan, bounds={"bound": bound(value)}, **changes)


def test_arms_of_two_models_are_paired_by_image():
    table = several(first={}, second={})
    job = Job(spec=spec(bounds={"bound": bound(-0.1)}, budget=128), plan=versus(one="first", two="second"))
    outcome = run([job], table)["planted-claim"]
    assert outcome.judgement.effect[0].estimate == 0.0
    assert str(outcome.judgement.verdict) == "supported"


def test_a_model_is_measured_once_for_all_that_it_is_compared_with():
    table = several(first={}, second={})
    run(
        [Job(spec=spec("alone", budget=64), plan=Plan(arms={"clean": Arm()}, effect=level("clean")))],
        OnImages.of(table.models[0]),
    )
    job = Job(spec=spec(bounds={"bound": bound(-0.5)}, budget=64), plan=versus(one="first", two="second"))
    assert run([job], table)["planted-claim"].cost.block_evaluations == 0.0


def test_models_on_other_images_are_not_compared():
    with pytest.raises(ClaimsError, match="compared on the same images"):
        OnImages({"a": loaded(images=IMAGES), "b": loaded(images=PlantedImages(count=64))})


def test_an_arm_of_an_unknown_role_is_refused_with_the_nearest():
    cards = {"vit": Planted().card, "cnn": Planted().card}
    with pytest.raises(ClaimsError, match=r"unknown subject 'vti'.*Did you mean 'vit'"):
        propose(lambda vit, cnn: versus(one="vti", two="cnn"), spec(), cards)


@pytest.mark.parametrize(("value", "verdict"), [(0.44, "supported"), (0.46, "refuted")])
def test_a_census_of_all_members_is_exact(value, verdict):
    outcome = run([crowd(value)], bench())["planted-claim"]
    assert str(outcome.judgement.verdict) == verdict
    assert outcome.judgement.effect[0].estimate == pytest.approx(0.45)
    assert outcome.judgement.effect[0].interval == pytest.approx((0.45, 0.45))
    assert (outcome.what, outcome.members, outcome.images) == ("faces", 10, 10)
    assert outcome.cost.block_evaluations == 4 * 3.0  # a charge per chunk of three


def test_a_census_whose_budget_ends_before_all_members_leaves_close_claims_open():
    outcome = run([crowd(0.44, budget=6)], bench())["planted-claim"]
    assert str(outcome.judgement.verdict) == "inconclusive"
    assert outcome.images == 6


@pytest.mark.parametrize(("direction", "verdict"), [(">=", "supported"), ("<=", "supported")])
def test_a_census_exactly_at_the_bound_holds_in_both_directions(direction, verdict):
    plan = Plan(arms={"n": Arm(readout=Numbered())}, census=Crowd(), effect=level("n"))
    outcome = run([census(plan, bounds={"bound": bound(0.45, direction)})], bench())["planted-claim"]
    assert str(outcome.judgement.verdict) == verdict


def test_an_interrupted_census_goes_on_where_it_stood():
    table = bench()
    run([crowd(0.44, budget=6)], table)
    assert run([crowd(0.44)], table)["planted-claim"].cost.measured_images == 4


def test_the_model_is_a_census_of_one_and_its_number_is_exact():
    plan = Plan(arms={"n": Arm(readout=Numbered(shift=0.3))}, census=TheModel(), effect=level("n"))
    outcome = run([census(plan, bounds={"bound": bound(0.3)})], bench())["planted-claim"]
    assert str(outcome.judgement.verdict) == "supported"
    assert outcome.images == 1


def test_a_census_without_members_does_not_apply():
    plan = Plan(arms={"n": Arm(readout=Numbered())}, census=Crowd(count=0), effect=level("n"))
    with pytest.raises(NotApplicable, match="has no faces"):
        run([census(plan)], bench())


def test_numbers_outside_of_their_range_are_an_error():
    plan = Plan(arms={"n": Arm(readout=Numbered(shift=0.5))}, census=Crowd(), effect=level("n"))
    with pytest.raises(ClaimsError, match=r"read 1.[0-9]+ of member \d; allowed: finite numbers from 0.0 to 1.0"):
        run([census(plan)], bench())


def test_images_and_members_are_not_mixed():
    card = Planted().card
    with pytest.raises(ClaimsError, match="does not read images"):
        propose(lambda _: Plan(arms={"n": Arm(readout=Numbered())}, effect=level("n")), spec(), card)
    with pytest.raises(ClaimsError, match="does not read classes"):
        propose(lambda _: Plan(arms={"n": Arm()}, census=Classes(), effect=level("n")), spec(), card)
