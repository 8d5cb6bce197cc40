"""The claims that come with the package in planted worlds: the mean of every arm is declared, numbers per image are
drawn, and the verdict must be the planted one.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from harness.judging.derived_arms import resolve
from harness.judging.observations import Observations, Sample
from harness.judging.verdict import judge
from harness.measurement.plan import Plan
from harness.models.subject import ModelCard
from support import declared_objects, declared_tokens, declared_writes
from support.cards import CARDS, CLIP, CLS, DEIT, DINOV2, DIST, GAP, ORIG, SPECS, plan_for
from support.restoration_numbers import WORLDS as RESTORATION

Mean = float | Callable[[float], float]  # in units of the range; a function takes layer/depth
Means = Mapping[str, Mean]


def late(low: float, high: float, start: float) -> Callable[[float], float]:
    """Make a curve that is `low` before a fraction of the depth and `high` from it on."""
    return lambda fraction: low if fraction < start else high


def line(first: float, last: float) -> Callable[[float], float]:
    """Make a curve that goes linearly from the first layer to just beyond the last."""
    return lambda fraction: min(1.0, first + (last - first) * fraction)


LAST = 0.9  # a fraction of the depth that only the last of twelve layers has passed
GUESS = 0.001  # chance of 1,000 classes
WORLDS: Mapping[str, tuple[str, ModelCard, Means, Mapping[str, Means]]] = {
    "probe rises": (
        "cls-probe-accuracy-rises-with-depth",
        ORIG,
        {"probe": line(0.05, 0.85), "permuted": GUESS, "clean": 0.8},
        {
            "refuted: no gain": {"probe": 0.5},
            "refuted: falls": {"probe": line(0.85, 0.05)},
            "refuted: one step falls": {"probe": lambda f: 0.05 + 0.8 * f - 0.3 * (0.45 < f < 0.55)},
            "vacuous: permuted labels gain too": {"permuted": line(0.05, 0.85)},
            "vacuous: gate": {"clean": GUESS},
        },
    ),
    "probe rises, few classes": (
        "cls-probe-accuracy-rises-with-depth",
        CARDS["cls, depth 4, 10 classes"],
        {"probe": line(0.1, 1.0), "permuted": 0.1, "clean": 0.9},
        {"refuted: gain below five times chance": {"probe": line(0.3, 0.7)}, "vacuous: gate": {"clean": 0.1}},
    ),
    "early shuffle": (
        "cls-early-shuffle-harmless",
        ORIG,
        {"clean": 0.8, "shuffled": late(0.8, 0.5, 0.75), "class clean": 0.8, "class shuffled": GUESS},
        {
            "refuted: middle blocks need it": {"shuffled": late(0.8, 0.5, 0.4)},
            "vacuous: harmless at the end too": {"class shuffled": 0.8},
            "vacuous: gate": {"clean": GUESS, "shuffled": GUESS, "class clean": GUESS},
        },
    ),
    "early shuffle, trunk": (
        "cls-early-shuffle-harmless",
        DINOV2,
        {"clean": 0.76, "shuffled": late(0.76, 0.2, 0.75), "class clean": 0.72, "class shuffled": GUESS},
        {"refuted: secondary layer": {"shuffled": late(0.76, 0.5, 0.58)}},
    ),
    "early agreement": (
        "cls-early-shuffle-keeps-prediction",
        ORIG,
        {"shuffled": late(0.99, 0.01, LAST), "untrained": 0.3},
        {
            "refuted: prediction changes": {"shuffled": 0.6},
            "vacuous: untrained agrees": {"untrained": 0.99},
            "vacuous: the last block agrees": {"shuffled": 0.99},
        },
    ),
    "last shuffle": (
        "cls-last-shuffle-hits-floor",
        DIST,
        {"clean": 0.8, "shuffled": 0.0005, "whole shuffled": 0.79},
        {
            "refuted: something is left": {"shuffled": 0.1},
            "vacuous: the averaged heads fall too": {"whole shuffled": 0.0005},
            "vacuous: gate": {"clean": GUESS},
        },
    ),
    "last shuffle, few classes": (
        "cls-last-shuffle-hits-floor",
        CARDS["cls, depth 4, 10 classes"],
        {"clean": 0.9, "shuffled": 0.02},
        {"refuted: something is left": {"shuffled": 0.3}, "vacuous: gate": {"clean": 0.1}},
    ),
    "one block, ViT": (
        "one-block-rebuilds-cls",
        ORIG,
        {"clean": 0.8, "shuffled": late(0.75, 0.005, LAST)},
        {
            "refuted: not rebuilt": {"shuffled": late(0.3, 0.005, LAST)},
            "vacuous: nothing to rebuild": {"shuffled": 0.79},
            "vacuous: gate": {"clean": GUESS, "shuffled": GUESS},
        },
    ),
    "one block, DeiT": (
        "one-block-rebuilds-cls",
        DEIT,
        {"clean": 0.83, "shuffled": late(0.1, 0.005, LAST), "averaged clean": 0.83, "averaged shuffled": 0.82},
        {
            "refuted: rebuilt": {"shuffled": late(0.7, 0.005, LAST)},
            "vacuous: the averaged heads fall too": {"averaged shuffled": 0.1},
        },
    ),
    "one block, DINOv2": (
        "one-block-rebuilds-cls",
        DINOV2,
        {"clean": 0.72, "shuffled": late(0.38, 0.005, LAST)},
        {
            "refuted: too much": {"shuffled": late(0.7, 0.005, LAST)},
            "refuted: too little": {"shuffled": late(0.1, 0.005, LAST)},
            "vacuous: as much at the end": {"shuffled": 0.38},
        },
    ),
    "one block, elsewhere": (
        "one-block-rebuilds-cls",
        CLS,
        {"clean": 0.8, "shuffled": late(0.75, 0.005, LAST)},
        {"reported: whatever it is": {"shuffled": 0.1}},
    ),
    "unused": (
        "cls-decodable-but-unused-gap",
        ORIG,
        {"probe": line(0.05, 0.85), "shuffled": late(0.8, 0.005, LAST), "clean": 0.8},
        {
            "refuted: it is used": {"shuffled": 0.3},
            "refuted: nothing to decode": {"probe": late(0.05, 0.8, LAST)},
            "refuted: gap too small": {"probe": late(0.22, 0.99, 0.7)},
            "vacuous: unused at the end too": {"shuffled": 0.8},
            "vacuous: gate": {"clean": GUESS, "shuffled": GUESS},
        },
    ),
    "distillation token": (
        "distill-token-bypasses-cls",
        DEIT,
        {"clean": 0.83, "shuffled": 0.82, "class clean": 0.82, "class shuffled": 0.0005},
        {
            "refuted: no bypass": {"shuffled": 0.3},
            "refuted: the class head does not need it either": {"class shuffled": 0.8},
            "vacuous: gate": {"clean": GUESS, "shuffled": GUESS},
        },
    ),
    "appended mean": (
        "dinov2-mean-pool-is-partial-bypass",
        DINOV2,
        {"clean": 0.76, "shuffled": 0.2, "class clean": 0.72, "class shuffled": 0.0005},
        {
            "refuted: full bypass": {"shuffled": 0.74},
            "refuted: no bypass": {"shuffled": GUESS},
            "refuted: the class half keeps accuracy": {"class shuffled": 0.3},
            "refuted: removing it costs nothing": {"class clean": 0.79},
            "refuted: removing it costs much": {"class clean": 0.4},
            "vacuous: gate": {"clean": GUESS, "shuffled": GUESS},
        },
    ),
    "patch mean": (
        "gap-readout-ignores-cls",
        GAP,
        {
            "clean": 0.8,
            "shuffled": 0.8,
            "same logits": 1.0,
            "class clean": 0.7,
            "class shuffled": GUESS,
            "class same logits": 0.0,
        },
        {
            "refuted: patches read it": {"shuffled": late(0.6, 0.8, 0.5)},
            "refuted: logits change": {"same logits": 0.5},
            "vacuous: the class token does not matter either": {"class shuffled": 0.7, "class same logits": 1.0},
            "vacuous: gate": {"clean": GUESS, "shuffled": GUESS},
        },
    ),
    "two probes": (
        "clip-cls-probe-beats-mean-probe",
        CLIP,
        {"class": 0.6, "patch mean": 0.5},
        {
            "refuted: the mean reads more": {"class": 0.4},
            "vacuous: gate": {"class": GUESS, "patch mean": GUESS},
        },
    ),
    "averaged readout": (
        "auxiliary-readout-shape-append-vs-average",
        DEIT,
        {
            "clean": 0.83,
            "whole": 0.83,
            "class": late(0.828, 0.1, 0.8),
            "untrained whole": GUESS,
            "untrained class": GUESS,
        },
        {
            "refuted: never shows": {"class": 0.828},
            "refuted: shows early": {"class": late(0.7, 0.1, 0.8)},
            "vacuous: untrained shows it": {"untrained whole": 0.5},
            "vacuous: gate": {"clean": GUESS},
        },
    ),
    "appended readout": (
        "auxiliary-readout-shape-append-vs-average",
        DINOV2,
        {"whole": 0.76, "class": 0.72},
        {"reported: whatever it is": {"class": 0.2}},
    ),
    "lens": (
        "final-head-underreads-intermediate-cls",
        ORIG,
        {"probe": line(0.05, 0.85), "lens": lambda f: 0.3 * f if f < LAST else 0.78},
        {
            "refuted: the lens reads as much": {"lens": line(0.05, 0.85)},
            "refuted: the probe leads at the end": {"lens": lambda f: 0.3 * f if f < LAST else 0.6},
            "refuted: the head leads at the end": {"lens": lambda f: 0.3 * f if f < LAST else 0.95},
            "vacuous: gate": {"lens": GUESS},
        },
    ),
    "identifiability": (
        "identifiability-rises-before-accuracy",
        ORIG,
        {"rank": line(0.6, 1.03), "lens": late(0.1, 0.8, 0.8), "untrained": 0.5},
        {
            "refuted: ends low": {"rank": line(0.6, 0.95)},
            "refuted: accuracy is high as early": {"lens": 0.8},
            "refuted: does not rise": {"rank": lambda f: 0.995 - 0.5 * (0.2 < f < LAST)},
            "vacuous: untrained ranks high": {"untrained": 0.95},
            "vacuous: gate": {"lens": GUESS},
        },
    ),
    "two labs": (
        "lens-curves-agree-across-labs",
        ORIG,
        {"rank": line(0.6, 1.0), "untrained": 0.5},
        {"reported: whatever it is": {"rank": 0.5}},
    ),
    "ridge": (
        "ridge-probe-recovers-head",
        ORIG,
        {"head": 0.8, "ridge": 0.8, "permuted": GUESS},
        {
            "refuted: falls short": {"ridge": 0.7},
            "refuted: reads more": {"ridge": 0.9},
            "vacuous: permuted labels match too": {"permuted": 0.8},
            "vacuous: gate": {"head": GUESS, "ridge": GUESS},
        },
    ),
    "isolated": (
        "cls-isolated-until-last-block",
        ORIG,
        {"clean": 0.84, "isolated": late(0.82, GUESS, 1.0), "noise": 0.1},
        {
            "refuted: early blocks need it": {"isolated": late(0.5, GUESS, 1.0)},
            "refuted: late blocks need it": {"isolated": late(0.82, GUESS, LAST)},
            "vacuous: never needed": {"isolated": 0.82},
            "vacuous: gate": {"clean": GUESS, "isolated": GUESS},
        },
    ),
    "every patch": (
        "last-block-every-patch-carries-class",
        ORIG,
        {"clean": 0.84, "patch": 0.78, "patches": late(0.3, 0.76, LAST)},
        {
            "refuted: the average is low": {"patches": 0.3},
            "refuted: no patch is good": {"patch": 0.5},
            "vacuous: the block before too": {"patches": 0.76},
            "vacuous: gate": {"clean": GUESS, "patch": GUESS, "patches": GUESS},
        },
    ),
    "mean patch": (
        "last-block-acts-like-average-pooling",
        ORIG,
        {"clean": 0.84, "mean": late(0.3, 0.83, LAST), "entropy mean": 0.12, "entropy class": 0.05},
        {
            "refuted: the mean is worse": {"mean": late(0.3, 0.6, LAST)},
            "refuted: the mean is more certain": {"entropy mean": 0.01},
            "vacuous: the block before too": {"mean": 0.83},
            "vacuous: gate": {"clean": GUESS, "mean": GUESS},
        },
    ),
    "background": (
        "background-accuracy-needs-correlated-background",
        CARDS["cls, depth 4, 10 classes"],
        {"full": 0.95, "background": 0.1, "foreground": 0.7, "silhouette": 0.8},
        {
            "refuted: the background tells the class": {"background": 0.3},
            "vacuous: the foreground tells no class either": {"foreground": 0.1, "silhouette": 0.1},
            "vacuous: gate": {"full": 0.1},
        },
    ),
    "positions": (
        "position-embedding-and-shuffle",
        ORIG,
        {"clean": 0.84, "none": 0.22, "none, shuffled": 0.22, "random": 0.22, "shuffled": 0.33},
        {
            "refuted: nothing is lost": {"none": 0.83, "none, shuffled": 0.83},
            "refuted: all is lost": {"none": GUESS, "none, shuffled": GUESS},
            "vacuous: the order matters without positions": {"none, shuffled": 0.1},
            "vacuous: gate": {"clean": GUESS},
        },
    ),
    "alone": (
        "cls-carries-information-before-last-block",
        ORIG,
        {"clean": 0.84, "alone": lambda f: 0.0 if f < 0.4 else 0.1 + 0.75 * f, "untrained": GUESS},
        {
            "refuted: early content is enough": {"alone": 0.8},
            "refuted: not enough at the end": {"alone": lambda f: 0.0 if f < 0.4 else 0.3 * f},
            "refuted: falls": {"alone": lambda f: 0.0 if f < 0.4 else 1.2 - 0.7 * f},
            "vacuous: untrained carries it": {"untrained": 0.8},
            "vacuous: gate": {"clean": GUESS, "alone": 0.0},
        },
    ),
    **declared_objects.WORLDS,
    **declared_tokens.WORLDS,
    **declared_writes.WORLDS,
    **RESTORATION,
}
# 1,000 classes (5 x chance is 5 in 1,000) and boxes of many points need more images than the rest.
IMAGES = {"alone": 5000, "unused": 3000}
# The effect and the gate exclude the control in every world, so that it can only confirm that arms are not mixed up.
IMPLIED = {
    "distill-token-bypasses-cls",
    "dinov2-mean-pool-is-partial-bypass",
    "clip-cls-probe-beats-mean-probe",
    "final-head-underreads-intermediate-cls",
}


def mean_of(means: Means, arm: str, depth: int) -> float:
    """Look up the mean of an arm: by its full name, else without its layer ("probe@3") or position ("patch 3")."""
    name, _, layer = arm.partition("@")
    value = means[name] if name in means else means[name.rpartition(" ")[0]]
    return value(int(layer) / depth) if callable(value) else value


def draw(plan: Plan, means: Means, depth: int, images: int) -> dict[str, Sample]:
    """Draw numbers per image: an image is easy or hard in all arms alike, but for 2 % of them arm by arm."""
    if plan.census is not None:
        levels = {name: mean_of(means, name, depth) for name in plan.arms}
        ends = {name: (arm.readout.low, arm.readout.high) for name, arm in plan.arms.items()}
        return {
            name: Sample(np.array([low + (high - low) * levels[name]]), low, high) for name, (low, high) in ends.items()
        }
    random = np.random.Generator(np.random.PCG64(1))
    hardness, samples = random.random(images), {}
    for name, arm in plan.arms.items():
        own = np.where(random.random(images) < 0.02, random.random(images), hardness)
        low, high = arm.readout.low, arm.readout.high
        samples[name] = Sample(low + (high - low) * (own < mean_of(means, name, depth)), low, high)
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
    drawn = draw(plan, {**means, **others.get(which, {})}, card.depth, IMAGES.get(name, 2000))
    sheet = Observations(
        samples=resolve(drawn, plan.derived),
        bounds=spec.bounds,
        classes=card.classes or 1000,
        population=None if plan.census is None else 1,
    )
    judgement = judge(plan.question, sheet, spec.delta)
    assert judgement.verdict == expected, judgement.reason
    if "gate" in which:
        assert judgement.reason.startswith("gate not passed")
    elif expected == "vacuous":
        assert judgement.reason.startswith("the control clears")


@pytest.mark.parametrize("identifier", sorted({world for world, _, _, _ in WORLDS.values()}))
def test_a_claim_with_planted_numbers_has_them_for_every_way_it_can_end(identifier):
    ways = {which.partition(":") for world, _, _, others in WORLDS.values() if world == identifier for which in others}
    kinds = {kind for kind, _, _ in ways}
    if SPECS[identifier].tier == "report-only":
        assert kinds == {"reported"}
        return
    assert {"refuted", "vacuous"} <= kinds
    controls = {detail for kind, _, detail in ways if kind == "vacuous" and detail != " gate"}
    assert bool(controls) == (identifier not in IMPLIED)
