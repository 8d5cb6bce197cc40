"""What is settled is measured no further, and the verdict stands on what there was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.interventions.intervention import shuffle_cls
from harness.judging.curve_bounds import area_bounds
from harness.judging.curve_statements import Rises, Shape
from harness.judging.observations import Observations, Sample
from harness.judging.quantities import Difference, Level, Ratio
from harness.judging.settled import open_arms
from harness.judging.statements import AtLeast, Holds, Statement, every, some, weigh
from harness.judging.verdict import Question, Verdict, decide
from harness.measurement import sequential
from harness.measurement.plan import Arm, Plan, curve, level
from harness.measurement.runner import run
from harness.readouts.own_answer import Accuracy
from support.claims import bench, bound, job
from support.planted import PlantedImages

DELTA = 0.01
BOUNDS = {"bound": bound(0.5), "rises": bound(0.9)}
PARTS = tuple(Holds(Level(arm)) for arm in "abc")
CONTROL = Holds(Level("control"))


def sheet(**means: tuple[float, int]) -> Observations:
    """Lay out arms of zeros and ones that alternate as evenly as their mean allows, each on its own images."""
    samples = {}
    for arm, (mean, images) in means.items():
        values = np.diff(np.floor(np.arange(images + 1) * mean + 0.5)) > 0
        samples[arm] = Sample(values.astype(float), 0.0, 1.0)
    return Observations(samples=samples, bounds=BOUNDS)


CLEAR, FAILS, OPEN = (1.0, 64), (0.0, 64), (0.5, 64)


@pytest.mark.parametrize(
    ("effect", "means", "needed"),
    [
        (every(*PARTS), {"a": CLEAR, "b": OPEN, "c": CLEAR}, "b"),
        (every(*PARTS), {"a": CLEAR, "b": OPEN, "c": OPEN}, "bc"),
        (every(*PARTS), {"a": FAILS, "b": OPEN, "c": OPEN}, ""),
        (some(*PARTS), {"a": FAILS, "b": OPEN, "c": FAILS}, "b"),
        (some(*PARTS), {"a": CLEAR, "b": OPEN, "c": OPEN}, ""),
        (AtLeast(2, PARTS), {"a": CLEAR, "b": OPEN, "c": OPEN}, "bc"),
        (AtLeast(2, PARTS), {"a": CLEAR, "b": CLEAR, "c": OPEN}, ""),
        (AtLeast(2, PARTS), {"a": FAILS, "b": FAILS, "c": OPEN}, ""),
        (every(some(*PARTS[:2]), PARTS[2]), {"a": CLEAR, "b": OPEN, "c": OPEN}, "c"),
        (Holds(Difference("a", "b")), {"a": CLEAR, "b": OPEN}, "ab"),
    ],
)
def test_an_effect_needs_the_arms_of_its_open_parts_alone(effect, means, needed):
    assert open_arms(Question(effect=effect), sheet(**means), DELTA) == frozenset(needed)


@pytest.mark.parametrize(("whole", "mean", "side"), [(some(*PARTS), 1.0, "true"), (every(*PARTS), 0.0, "false")])
def test_a_part_that_alone_would_settle_the_whole_must_do_so_at_its_share_of_the_level(whole, mean, side):
    between = [
        images
        for images in range(2, 30)
        if DELTA / len(PARTS) < getattr(weigh(PARTS[0], sheet(a=(mean, images))), side) <= DELTA
    ]
    assert between
    for images in between:
        found = sheet(a=(mean, images), b=OPEN, c=OPEN)
        assert "a" in open_arms(Question(effect=whole), found, DELTA)
    assert not open_arms(Question(effect=whole), sheet(a=(mean, 64), b=OPEN, c=OPEN), DELTA)


def test_a_curve_is_not_settled_by_a_look_that_comes_once():
    rises = Rises(("a", "b"), "rises")
    for images, needed in ((80, {"a", "b"}), (96, set())):  # the regular looks are those after 64 and 96 images
        late = np.arange(images) >= 64
        samples = {"a": Sample(np.zeros(images), 0.0, 1.0), "b": Sample(late.astype(float), 0.0, 1.0)}
        found = Observations(samples=samples, bounds=BOUNDS)
        assert weigh(rises, found).true <= DELTA
        assert open_arms(Question(effect=rises), found, DELTA) == needed


@pytest.mark.parametrize(
    ("gate", "effect", "control", "needed"),
    [
        (CLEAR, OPEN, FAILS, {"a"}),
        (OPEN, CLEAR, FAILS, {"gate"}),
        (CLEAR, CLEAR, OPEN, {"control"}),
        (OPEN, FAILS, OPEN, {"gate"}),  # refuted, if only the gate is passed: the control says nothing any more
        (FAILS, OPEN, OPEN, set()),
        (CLEAR, OPEN, CLEAR, {"a"}),
        (CLEAR, FAILS, OPEN, set()),
    ],
)
def test_gate_and_control_are_dropped_once_they_are_settled(gate, effect, control, needed):
    asked = Question(effect=PARTS[0], control=CONTROL, gate=Holds(Level("gate")))
    assert open_arms(asked, sheet(gate=gate, a=effect, control=control), DELTA) == needed


def test_what_is_only_reported_stays_open():
    asked = Question(effect=every(*PARTS), report_only=True)
    assert open_arms(asked, sheet(a=CLEAR, b=CLEAR, c=CLEAR), DELTA) == set("abc")


def test_pairs_of_arms_are_read_on_the_images_that_both_have():
    short, long = sheet(a=(1.0, 10), b=(0.5, 40)), sheet(a=(1.0, 10), b=(0.5, 10))
    for quantity in (Difference("a", "b"), Difference("b", "a"), Ratio("b", "a")):
        assert quantity.estimate(short) == quantity.estimate(long)
        assert quantity.interval(short, DELTA) == quantity.interval(long, DELTA)
        assert quantity.above(short, 0.2) == quantity.above(long, 0.2)
    curve_of = Rises(("a", "b"), "rises")
    assert curve_of.findings(short) == curve_of.findings(long)
    assert curve_of.findings(short)[0].units == 10


numbers = st.lists(st.sampled_from([0.1, 0.3, 0.45, 0.5, 0.55, 0.7, 0.9]), min_size=3, max_size=3)
wholes = st.sampled_from(
    [
        every(*PARTS),
        some(*PARTS),
        AtLeast(2, PARTS),
        every(PARTS[0], Holds(Difference("b", "c"), "none"), PARTS[1]),
        every(Rises(("a", "b", "c"), "rises"), PARTS[2]),
        some(Shape(("a", "b"), area_bounds), PARTS[1], PARTS[2]),
    ]
)


def follow(asked: Question, arms: dict[str, np.ndarray], drops: bool) -> tuple[Verdict, int, int]:
    """Look after every 32 images: the verdict, the images until then, and the numbers that it took."""
    bounds, needed = {**BOUNDS, "none": bound(0.0)}, frozenset(arms)
    images = dict.fromkeys(arms, 0)
    for look in range(32, len(arms["a"]) + 1, 32):
        images |= dict.fromkeys(needed, look)
        samples = {arm: Sample(values[: images[arm]], 0.0, 1.0) for arm, values in arms.items()}
        seen = Observations(samples=samples, bounds=bounds)
        verdict, _ = decide(asked, seen, DELTA)
        if verdict is not Verdict.INCONCLUSIVE:
            break
        if drops:
            needed &= open_arms(asked, seen, DELTA)
            assert needed, "something is open while there is no verdict"
    return verdict, look, sum(images.values())


@settings(max_examples=25, deadline=None)
@given(effect=wholes, means=numbers, control=st.sampled_from([0.1, 0.45, 0.8]), seed=st.integers(0, 10_000))
def test_dropping_costs_no_verdict_and_takes_fewer_numbers(effect: Statement, means, control, seed):
    random = np.random.default_rng(seed)
    arms = {
        arm: (random.random(384) < mean).astype(float)
        for arm, mean in zip(("a", "b", "c", "control"), [*means, control], strict=True)
    }
    asked = Question(effect=effect, control=CONTROL)
    whole, until, all_numbers = follow(asked, arms, drops=False)
    verdict, reached, taken = follow(asked, arms, drops=True)
    assert taken <= all_numbers
    # Evidence that was dropped may have turned later: rarer than delta, and never in these examples.
    assert (verdict, reached) == (whole, until)


def test_a_run_measures_no_further_what_is_settled_and_tells_the_images_of_every_arm():
    arms = {f"shuffled@{k}": Arm(intervention=shuffle_cls(k)) for k in (0, 3)}
    arms["seen"] = Arm(intervention=shuffle_cls(5), readout=Accuracy())
    plan = Plan(
        arms={"clean": Arm(), **arms},
        effect=every(Holds(level("clean"), "low"), Holds(level("shuffled@0")), Holds(level("shuffled@3"))),
        curves={"shuffled": curve({0: level("shuffled@0"), 3: level("shuffled@3"), 5: level("seen")})},
    )
    images = PlantedImages(count=512, wrong=0.1)
    bounds = {"low": bound(0.2), "bound": bound(0.9)}
    (outcome,) = run([job(plan, bounds=bounds, budget=512)], bench(images=images)).values()
    assert outcome.images == 512
    assert outcome.arm_images == {"clean": 32, "shuffled@0": 512, "shuffled@3": 512, "seen": sequential.SHOWN}
    pairs = {images: len(outcome.pairs.within(images).first) for images in (32, sequential.SHOWN, 512)}
    assert outcome.curve_units == {"shuffled": (pairs[512], pairs[512], pairs[sequential.SHOWN])}
    assert [found.units for found in outcome.judgement.effect] == [pairs[32], pairs[512], pairs[512]]
    assert outcome.cost.block_evaluations < 512 * 3 * 6
