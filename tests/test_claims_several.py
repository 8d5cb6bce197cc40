"""Claims about several models: they fit their roles, and numbers drawn with declared means give the planted verdict."""

import inspect
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from harness.errors import NotApplicable
from harness.judging.derived_arms import resolve
from harness.judging.observations import Observations, Pairs, Sample
from harness.judging.verdict import Judgement, judge
from harness.measurement.plan import Plan, propose
from harness.models.groups import cohorts
from support.cards import CARDS, CLAIMS, CLIP, ORIG, SPECS, make_card

LONGEST_CLAIM = 60  # lines
SEVERAL = sorted(identifier for identifier, spec in SPECS.items() if spec.subjects)
CONCEPTS = "clip-vit-units-are-conceptual"
CONTRAST = "collapse-needs-class-readout"
BACKGROUND, FOREGROUND = "vit-better-than-cnn-on-background-only", "vit-loses-less-than-cnn-without-background"
SMOOTH = "vit-less-sensitive-to-low-pass-than-cnn"


def able(card, *capabilities, **changes):
    return replace(card, capabilities=card.capabilities | set(capabilities), **changes)


def convolutional(name, classes=1000):
    card = make_card("map pool", prefix=(), arch=name, classes=classes)
    can = frozenset({"head", "convolution", "label_trained"})
    return replace(card, capabilities=can, grid=None, units=())


VIT = able(make_card(), "label_trained")
TWIN = able(make_card("patch mean", prefix=()), "label_trained")
CNN = convolutional("resnet50.a1_in1k")
PAIRS = {
    "many classes": {"vit": VIT, "cnn": CNN},
    "published": {
        "vit": able(VIT, arch="vit_base_patch16_384.orig_in21k_ft_in1k"),
        "cnn": convolutional("resnet50.tv_in1k"),
    },
    "few classes": {"vit": able(VIT, classes=10), "cnn": convolutional("tiny_resnet", 10)},
}
SIGHT = {
    "full": 0.8,
    "right": 0.8,
    "permuted": 0.005,
    "vit kept": 0.3,
    "cnn kept": 0.15,
    "swapped": 0.5,
}
CLEAR = SIGHT | {"vit kept": 0.78, "cnn kept": 0.7}
WAVES = {"full": 0.8, "vit low-pass": 0.7, "cnn low-pass": 0.5, "high-pass": 0.3, "noise": 0.4}
# Claim, models, means of the arms by full name or without the role, and the worlds that differ from it in some.
WORLDS: Mapping[str, tuple[str, str, Mapping[str, float], Mapping[str, Mapping[str, float]]]] = {
    "background": (
        BACKGROUND,
        "published",
        SIGHT,
        {
            "refuted: the CNN keeps as much": {"cnn kept": 0.3},
            "refuted: the CNN keeps more": {"cnn kept": 0.5},
            "supported: other accuracies": {"cnn full": 0.7, "cnn right": 0.7},
            "vacuous: other labels do as well": {"vit permuted": 0.3},
            "vacuous: gate": {"cnn right": 0.1},
        },
    ),
    "background, not published": (
        BACKGROUND,
        "many classes",
        SIGHT,
        {
            "supported: the CNN is worse": {"cnn right": 0.7},
            "supported: the ViT is worse": {"vit right": 0.7},
            "vacuous: gate": {"cnn right": 0.1},
        },
    ),
    "background, few classes": (BACKGROUND, "few classes", SIGHT, {}),
    "foreground": (
        FOREGROUND,
        "published",
        CLEAR,
        {
            "refuted: the CNN keeps more": {"cnn kept": 0.8},
            "vacuous: other labels do as well": {"vit permuted": 0.3},
            "vacuous: gate": {"vit right": 0.1},
        },
    ),
    "low-pass": (
        SMOOTH,
        "many classes",
        WAVES,
        {
            "refuted: the CNN keeps as much": {"cnn low-pass": 0.7},
            "vacuous: under high-pass too": {"vit high-pass": 0.6},
            "vacuous: under noise too": {"vit noise": 0.6},
            "supported: other accuracies": {"cnn full": 0.7, "cnn low-pass": 0.4},
            "vacuous: gate": {"cnn full": 0.1},
        },
    ),
    "low-pass, few classes": (SMOOTH, "few classes", WAVES, {}),
}
IMAGES = 8000


def mean_of(means: Mapping[str, float], arm: str) -> float:
    """Look up the mean of an arm: by role and condition, else by the condition alone; radii do not matter."""
    role, _, rest = arm.partition(" ")
    condition = rest.split(" ")[0]
    return means.get(f"{role} {condition}", means.get(condition, 0.0))


def judged(identifier: str, pair: str, means: Mapping[str, float]) -> tuple[Plan, Judgement]:
    spec, cards = SPECS[identifier], PAIRS[pair]
    plan = propose(CLAIMS[identifier].function, spec, cards)
    random = np.random.Generator(np.random.PCG64(1))
    hard, samples = random.random(IMAGES), {}
    for name in plan.arms:
        own = np.where(random.random(IMAGES) < 0.02, random.random(IMAGES), hard)
        samples[name] = Sample((own < mean_of(means, name)).astype(float), 0.0, 1.0)
    pairs = Pairs(tuple(range(0, IMAGES, 2)), IMAGES // 2) if plan.exchanges else None
    found = resolve(samples, plan.derived, pairs)
    if pairs:
        found = {name: Sample(pairs.means(one.values), one.low, one.high) for name, one in found.items()}
    sheet = Observations(samples=found, bounds=spec.bounds, classes=next(iter(cards.values())).classes)
    return plan, judge(plan.question, sheet, spec.delta)


@pytest.mark.parametrize(
    ("name", "which"),
    [(name, which) for name, (_, _, _, others) in WORLDS.items() for which in ("supported: as planted", *others)],
)
def test_numbers_with_declared_means_get_the_planted_verdict(name, which):
    identifier, pair, means, others = WORLDS[name]
    plan, judgement = judged(identifier, pair, {**means, **others.get(which, {})})
    expected = "reported" if plan.report_only else which.partition(":")[0]
    assert judgement.verdict == expected, judgement.reason
    if "gate" in which:
        assert judgement.reason.startswith("gate not passed")
    elif expected == "vacuous":
        assert judgement.reason.startswith("the control clears")


@pytest.mark.parametrize("identifier", SEVERAL)
def test_claims_about_several_models_are_small_and_take_their_roles(identifier):
    function = CLAIMS[identifier].function
    assert len(inspect.getsource(function).splitlines()) < LONGEST_CLAIM
    assert tuple(inspect.signature(function).parameters) == tuple(SPECS[identifier].subjects)


@pytest.mark.parametrize("identifier", [BACKGROUND, FOREGROUND, SMOOTH])
def test_vits_are_compared_with_cnns_and_not_with_one_another(identifier):
    named = {"a vit": VIT, "another": able(ORIG, "label_trained"), "a cnn": CNN, "a tower": CLIP}
    found, why = cohorts(SPECS[identifier].subjects, named)
    assert [cohort.label for cohort in found] == ["a vit vs a cnn", "another vs a cnn"]
    assert not why
    found, why = cohorts(SPECS[identifier].subjects, {"a vit": VIT, "plain": CARDS["cls"]})
    assert not found
    assert "'cnn'" in why


@pytest.mark.parametrize("identifier", [BACKGROUND, FOREGROUND, SMOOTH])
def test_every_bound_about_pairs_is_used_for_some_pair(identifier):
    plans = [propose(CLAIMS[identifier].function, SPECS[identifier], cards) for cards in PAIRS.values()]
    assert {name for plan in plans for name in plan.question.bound_names()} == set(SPECS[identifier].bounds)


@pytest.mark.parametrize("classes", [10, 1000])
def test_a_class_token_vit_is_compared_with_an_average_pool_twin_of_its_size_alone(classes):
    vit, twin = replace(VIT, classes=classes), replace(TWIN, classes=classes)
    named = {"vit": vit, "twin": twin, "cnn": CNN, "distilled": CARDS["dist"]}
    found, _ = cohorts(SPECS[CONTRAST].subjects, named)
    assert [cohort.label for cohort in found] == ["vit vs twin"]
    plan = propose(CLAIMS[CONTRAST].function, SPECS[CONTRAST], {"vit": vit, "twin": twin})
    assert set(plan.question.bound_names()) == set(SPECS[CONTRAST].bounds)
    reference = (0,) if classes == 10 else tuple(range(11))
    assert plan.arms["vit before"].readout.blocks == plan.arms["twin untrained before"].readout.blocks == reference
    shallow = replace(twin, depth=6, units=twin.units[:6])
    with pytest.raises(NotApplicable, match="12 and 6 blocks"):
        propose(CLAIMS[CONTRAST].function, SPECS[CONTRAST], {"vit": vit, "twin": shallow})


def test_a_caption_model_is_compared_with_classifiers_that_have_as_many_units():
    tower = able(make_card(), "caption_trained")
    named = {"tower": tower, "classifier": VIT, "twin": TWIN, "cnn": CNN}
    found, _ = cohorts(SPECS[CONCEPTS].subjects, named)
    assert [cohort.label for cohort in found] == ["tower vs classifier", "tower vs twin"]
    function, spec = CLAIMS[CONCEPTS].function, SPECS[CONCEPTS]
    for other in (VIT, TWIN):
        plan = propose(function, spec, {"captions": tower, "labels": other})
        assert set(plan.question.bound_names()) == set(spec.bounds)
        assert {arm.weights for name, arm in plan.arms.items() if "untrained" in name} == {"untrained"}
    with pytest.raises(NotApplicable, match="units of other numbers"):
        propose(function, spec, {"captions": tower, "labels": replace(VIT, depth=6, units=VIT.units[:6])})


@pytest.mark.parametrize("identifier", [BACKGROUND, FOREGROUND, SMOOTH])
def test_small_pairs_alone_are_asked_for_equal_accuracies_and_they_are_only_reported(identifier):
    function, spec = CLAIMS[identifier].function, SPECS[identifier]
    plans = {name: propose(function, spec, cards) for name, cards in PAIRS.items()}
    matched = {name: "match, least" in plan.question.bound_names() for name, plan in plans.items()}
    assert matched == {"many classes": False, "published": False, "few classes": True}
    assert [name for name, plan in plans.items() if plan.report_only] == ["few classes"]


def test_many_classes_are_read_by_their_first_five():
    function, spec = CLAIMS[BACKGROUND].function, SPECS[BACKGROUND]
    counts = {"few classes": 1, "published": 5}
    for pair, count in counts.items():
        assert propose(function, spec, PAIRS[pair]).arms["vit kept"].readout.count == count


def test_models_of_other_input_sizes_are_not_compared_under_filters():
    small = replace(CNN, preprocessing=replace(CNN.preprocessing, size=(160, 160)))
    plan = propose(CLAIMS[SMOOTH].function, SPECS[SMOOTH], {"vit": VIT, "cnn": small})
    assert "one input size" in plan.report_only
