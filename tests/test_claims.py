"""The claims that come with the package: each has one ledger entry, and proposes plans that can be run.

What they would conclude is tested in test_claims_planted.py.
"""

import ast
import inspect
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from harness.judging.ledger import LEDGER_NAME, read_ledger
from harness.measurement.plan import Plan
from harness.models.subject import CAPABILITIES
from harness.readouts.linear_probes import ProbeAccuracy
from harness.readouts.own_answer import Accuracy
from support.asked import groups
from support.cards import (
    BEIT,
    CARDS,
    CLAIMS,
    CLIP,
    CLS,
    DEIT,
    DINOV2,
    DINOV2_REG,
    DIST,
    NO_CLASS,
    ORIG,
    ROOT,
    SPECS,
    at_depth,
    make_card,
    plan_for,
)

# Checkpoints that some claims have bounds of their own for.
NAMED = (
    "vit_base_patch14_dinov2",
    "vit_base_patch32_224.augreg_in21k_ft_in1k",
    "vit_large_patch16_224.augreg_in21k_ft_in1k",
    "vit_base_patch16_224_miil.in21k_ft_in1k",
)
POST_NORM = "vit_base_patch16_rpn_224.sw_in1k"
LONGEST_CLAIM = 60  # lines
DEEPEST = 24  # blocks of the deepest published model
BY_SHARE = {f"{curve}, {role}" for curve in ("correlation", "retention") for role in ("vit", "cnn")}  # x is per cent
# Which cards some claims are asked of; of all others they say why not.
PLAIN = {name for name in CARDS if name.startswith(("cls", "orig", "augreg"))}
DISTILLED = {name for name in CARDS if name.startswith(("dist", "deit"))}
APPENDED = {"dinov2", "dinov2, register"}
TRUNKS = APPENDED | {"clip"}
CLASSLESS = {"gap without class token", "gap without class token, rpn"}
POOLING = {"gap with class token", "gap with class token, depth 4, 10 classes", "beit"}
WITH_CLASS_TOKEN = set(CARDS) - CLASSLESS
TOKEN_HEADS = PLAIN | DISTILLED | POOLING | CLASSLESS
APPLIES: Mapping[str, set[str]] = {
    "cls-probe-accuracy-rises-with-depth": PLAIN | DISTILLED | TRUNKS | POOLING | {"map pool"},
    "cls-early-shuffle-harmless": PLAIN | DISTILLED | TRUNKS,
    "cls-early-shuffle-keeps-prediction": PLAIN | DISTILLED,
    "cls-last-shuffle-hits-floor": PLAIN | DISTILLED | TRUNKS,
    "one-block-rebuilds-cls": PLAIN | DISTILLED | TRUNKS | {"beit"},
    "cls-decodable-but-unused-gap": PLAIN | DISTILLED | TRUNKS,
    "distill-token-bypasses-cls": DISTILLED,
    "dinov2-mean-pool-is-partial-bypass": APPENDED,
    "gap-readout-ignores-cls": POOLING | {"clip"},
    "clip-cls-probe-beats-mean-probe": TRUNKS,
    "auxiliary-readout-shape-append-vs-average": DISTILLED | APPENDED,
    "final-head-underreads-intermediate-cls": PLAIN,
    "identifiability-rises-before-accuracy": PLAIN,
    "lens-curves-agree-across-labs": PLAIN,
    "ridge-probe-recovers-head": PLAIN | DISTILLED,
    "cls-isolated-until-last-block": PLAIN | DISTILLED,
    "last-block-every-patch-carries-class": PLAIN,
    "last-block-acts-like-average-pooling": PLAIN,
    "cls-carries-information-before-last-block": PLAIN,
    "image-tokens-class-identifiable-final": TOKEN_HEADS,
    "almost-every-image-has-an-identifiable-token": TOKEN_HEADS,
    "random-init-tokens-at-chance": TOKEN_HEADS,
    "cls-identifiability-rises": PLAIN | DISTILLED,
    "image-token-identifiability-rises": TOKEN_HEADS,
    "cls-leads-image-tokens": PLAIN | DISTILLED,
    "each-block-raises-correct-class-logit-of-most-image-tokens": TOKEN_HEADS,
    "self-only-attention-destroys-image-token-classes": TOKEN_HEADS,
    "image-tokens-do-not-need-cls": PLAIN | DISTILLED | POOLING,
    "class-tokens-lead-context-tokens": TOKEN_HEADS,
    "removing-context-or-object-tokens": TOKEN_HEADS,
    "probe-at-shuffled-layer-collapses": PLAIN | DISTILLED | TRUNKS,
    "later-shuffle-cannot-change-earlier-probe": PLAIN | DISTILLED | TRUNKS | POOLING | {"map pool"},
    "cls-refills-within-one-block": PLAIN | DISTILLED | TRUNKS,
    "cls-refill-complete-within-three-blocks": PLAIN | DISTILLED | TRUNKS,
    "middle-layers-accumulate": PLAIN | DISTILLED | TRUNKS,
    "upstream-shuffle-slightly-helps-last-layer-probe": PLAIN | DISTILLED | TRUNKS,
    "attention-builds-class-more-than-mlp": TOKEN_HEADS,
    "last-mlp-stops-writing-class": TOKEN_HEADS,
    "penultimate-mlp-spike": TOKEN_HEADS,
    "attention-update-class-vs-context": TOKEN_HEADS,
    "residual-top1-is-mostly-composed-early-inherited-late": TOKEN_HEADS,
    "mlp-value-vectors-align-with-classes-late": PLAIN | DISTILLED | POOLING | CLASSLESS,
    "attention-value-vectors-align-only-at-the-end": PLAIN | DISTILLED | POOLING | CLASSLESS,
    "res-post-norm-gap-model-has-no-class-value-vectors": POOLING | CLASSLESS,
    "attention-keys-select-class-values-in-last-block": PLAIN | DISTILLED,
    "mlp-keys-select-class-values-in-penultimate-block": PLAIN | DISTILLED,
    "agreement-higher-on-correct-images": PLAIN | DISTILLED,
    "mlp-output-matches-its-top-memories-only-late": PLAIN | DISTILLED,
    "value-vectors-cluster-semantically": PLAIN | DISTILLED | POOLING | CLASSLESS,
    "golden-class-value-vectors": {"augreg"},
    "featvis-ffn-activation-maximization": set(CARDS),
    "featvis-ffn-vs-qkv": set(CARDS),
    "featvis-regularizers-help": set(CARDS),
    "patch-activation-is-saliency": set(CARDS),
    "progressive-specialization-early-texture-late-object": set(CARDS),
    "top-images-diversify-with-depth": set(CARDS),
    "unit-translation-tolerance": WITH_CLASS_TOKEN,
    "unit-rotation-sensitivity": WITH_CLASS_TOKEN,
    "background-accuracy-needs-correlated-background": set(CARDS) - TRUNKS,
    "spatial-info-preserved-until-last-block": PLAIN,
    "position-embedding-and-shuffle": set(CARDS) - TRUNKS,
    "replace-equals-augment": APPENDED,
    "learned-token-beats-own-cls-at-two-thirds-depth": APPENDED,
    "own-cls-competitive-in-last-two-blocks": APPENDED,
    "mid-depth-internal-readout-is-useful": APPENDED,
    "one-fixed-token-nearly-suffices": APPENDED,
    "readout-draws-are-consistent": APPENDED,
    "readout-entropy-falls-with-depth": APPENDED,
    "layer-readouts-err-together-oracle-gap": APPENDED,
}

COMPARING = sorted(name for name, spec in SPECS.items() if spec.subjects)
claims = pytest.mark.parametrize("identifier", sorted(CLAIMS))
lone_claims = pytest.mark.parametrize("identifier", sorted(set(CLAIMS) - set(COMPARING)))


def test_every_ledger_entry_has_one_claim_and_every_claim_an_entry():
    assert set(CLAIMS) == set(SPECS) >= set(APPLIES)


def test_every_need_is_a_capability_or_a_kind_of_data():
    for ledger in ROOT.rglob(LEDGER_NAME):
        assert read_ledger(ledger, frozenset(CAPABILITIES))


@claims
def test_claims_are_small_and_take_only_a_card_or_one_per_role(identifier):
    function = CLAIMS[identifier].function
    assert len(inspect.getsource(function).splitlines()) < LONGEST_CLAIM
    assert list(inspect.signature(function).parameters) == (list(SPECS[identifier].subjects) or ["card"])
    assert function.__name__.startswith("test_")


@claims
def test_claims_hold_no_numbers_that_belong_into_the_ledger(identifier):
    tree = ast.parse(inspect.getsource(CLAIMS[identifier].function).strip())
    numbers = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not {n for n in numbers if isinstance(n, float)}


@claims
def test_published_curves_have_one_value_per_layer_in_order(identifier):
    for name, curves in SPECS[identifier].published.curves.items():
        for curve in curves:
            assert 1 <= len(curve.layers) <= DEEPEST, name
            assert list(curve.layers) == sorted(set(curve.layers)), name
            assert -1 <= curve.layers[0] <= curve.layers[-1] < (DEEPEST if name not in BY_SHARE else 101), name
            assert np.isfinite(curve.values).all(), name


@pytest.mark.parametrize("card", sorted(CARDS))
@lone_claims
def test_a_claim_proposes_a_valid_plan_for_the_readouts_it_is_about_and_no_other(identifier, card):
    plan = plan_for(identifier, CARDS[card])
    assert plan, "a refusal says why"
    if identifier in APPLIES:
        assert isinstance(plan, Plan) == (card in APPLIES[identifier]), plan
    if isinstance(plan, Plan):
        assert plan.report_only or plan.control is not None


@lone_claims
def test_a_claim_is_asked_of_some_card(identifier):
    cards = [*CARDS.values(), *groups(SPECS[identifier]).values()]
    assert any(isinstance(plan_for(identifier, card), Plan) for card in cards)


@pytest.mark.parametrize("depth", range(1, 13))
@lone_claims
def test_a_claim_fits_every_depth_or_says_that_the_model_is_too_shallow(identifier, depth):
    for card in CARDS.values():
        plan = plan_for(identifier, at_depth(card, depth))
        shallow = isinstance(plan, str) and plan.endswith(f"; there are {depth}")  # needs more blocks than there are
        deep = plan_for(identifier, at_depth(card, max(card.depth, 12)))
        assert depth < 3 or shallow or isinstance(plan, Plan) == isinstance(deep, Plan), plan


@lone_claims
def test_every_bound_of_the_ledger_is_used_for_some_model(identifier):
    named = [make_card(arch=arch) for arch in NAMED] + [make_card("patch mean", prefix=(), arch=POST_NORM)]
    asked = [*CARDS.values(), *named, *groups(SPECS[identifier]).values()]
    plans = [plan_for(identifier, card) for card in asked]
    used = {name for plan in plans if isinstance(plan, Plan) for name in plan.question.bound_names()}
    assert used == set(SPECS[identifier].bounds)


@lone_claims
def test_claims_without_train_in_their_needs_fit_probes_for_no_plain_head(identifier):
    plan = plan_for(identifier, ORIG)
    if isinstance(plan, Plan) and "train" not in SPECS[identifier].needs:
        assert not [arm for arm in plan.arms.values() if arm.fits]


def test_the_layers_of_a_twelve_block_model_are_those_of_the_source():
    def judged(identifier, card=ORIG):
        return {finding.removeprefix("shuffled@") for finding in plan_for(identifier, card).question.effect.arms()}

    assert judged("cls-early-shuffle-harmless") == {*map(str, range(8)), "clean"}
    assert judged("cls-decodable-but-unused-gap") >= {"4", "7", "probe@4", "probe@7"}
    assert not judged("cls-decodable-but-unused-gap") & {"3", "8"}
    lens = {arm for arm in judged("final-head-underreads-intermediate-cls") if arm.startswith("lens")}
    assert lens == {f"lens@{layer}" for layer in (*range(3, 10), 11)}
    isolated = judged("cls-isolated-until-last-block")
    assert isolated == {*(f"isolated@{k}" for k in (*range(1, 10), 11)), "clean"}
    alone = judged("cls-carries-information-before-last-block")
    assert alone == {*(f"alone@{k}" for k in (3, *range(6, 12))), "clean"}
    early = judged("auxiliary-readout-shape-append-vs-average", DEIT)
    assert {arm for arm in early if arm.startswith("whole")} == {f"whole@{layer}" for layer in (*range(6), 10)}


def test_named_checkpoints_have_their_own_bounds_and_others_are_reported():
    def bounds(card):
        plan = plan_for("one-block-rebuilds-cls", card)
        return set(plan.question.bound_names()) - {"gate"}, bool(plan.report_only)

    assert bounds(ORIG) == ({"vit orig"}, False)
    assert bounds(BEIT) == ({"beit"}, False)
    assert bounds(DEIT) == ({"deit distilled"}, False)
    assert bounds(DINOV2) == ({"dinov2 least", "dinov2 most"}, False)
    assert bounds(CLS)[1]
    assert bounds(DINOV2_REG)[1]


def test_the_first_part_of_identifiability_depends_on_checkpoint_and_number_of_classes():
    def bounds(card):
        return set(plan_for("identifiability-rises-before-accuracy", card).question.bound_names())

    assert "high" in bounds(ORIG)
    assert "high, augreg" in bounds(CARDS["augreg"])
    assert "high, few classes" in bounds(CARDS["cls, 100 classes"])


def test_trunks_without_a_head_are_read_by_the_probe_that_their_family_is_published_with():
    def readout(card, arm):
        return plan_for("cls-early-shuffle-harmless", card).arms[arm].readout

    assert readout(DINOV2, "clean").probe.kind == "class+patch mean"
    assert readout(DINOV2, "class clean").only_class
    assert readout(CLIP, "clean").probe.kind == "class"
    assert isinstance(readout(CLIP, "clean"), ProbeAccuracy)
    assert readout(DIST, "clean") == Accuracy()
    assert readout(DIST, "class clean") == Accuracy(head="class")


def test_a_gain_that_cannot_be_had_is_not_asked_for():
    assert "5 classes" in plan_for("cls-probe-accuracy-rises-with-depth", make_card(classes=5))
    assert isinstance(plan_for("cls-probe-accuracy-rises-with-depth", make_card(classes=6)), Plan)


def test_a_fine_patch_grid_is_sampled_evenly():
    plan = plan_for("last-block-every-patch-carries-class", replace(CLS, grid=(37, 37)))
    positions = [arm.readout.position for name, arm in plan.arms.items() if name.startswith("patch ")]
    assert len(positions) == 685
    assert positions[:3] == [0, 2, 4]


def test_bounds_in_units_of_chance_follow_the_number_of_classes():
    floor = SPECS["cls-last-shuffle-hits-floor"].bounds["floor"]
    assert (floor.at(1000), floor.at(100), floor.at(10)) == (0.01, 0.01, 0.1)
    gain = SPECS["cls-probe-accuracy-rises-with-depth"].bounds
    assert (gain["gain"].at(1000), gain["gain"].at(10)) == (0.4, 0.5)
    assert gain["gain, few classes"].at(100) == pytest.approx(0.05)
    early = SPECS["cls-carries-information-before-last-block"].bounds["early"]
    assert early.at(1000) == pytest.approx(0.005)


def test_the_largest_gap_is_bounded_exactly_over_a_box():
    functional = plan_for("cls-decodable-but-unused-gap", ORIG).question.effect.parts[1].functional
    random = np.random.Generator(np.random.PCG64(0))
    low = random.uniform(0.1, 0.9, 8)
    high = low + random.uniform(0.0, 0.3, 8)

    def gap(point):
        return max(point[:4] - (1 - point[4:]))

    corners = [np.where([(corner >> bit) & 1 for bit in range(8)], high, low) for corner in range(256)]
    assert functional(low, high) == pytest.approx((min(map(gap, corners)), max(map(gap, corners))))
    published = np.array([0.272, 0.313, 0.352, 0.407]) / 0.793
    retention = np.array([1.0, 0.998, 0.998, 0.996])
    assert functional(np.r_[published, retention], np.r_[published, retention])[0] == pytest.approx(0.51, abs=0.005)


def test_kendalls_tau_is_that_of_an_independent_implementation():
    from scipy.stats import kendalltau

    functional = plan_for("lens-curves-agree-across-labs", ORIG).question.effect.functional
    values = np.random.Generator(np.random.PCG64(0)).random(12)
    assert functional(values, values) == pytest.approx((kendalltau(range(12), values).statistic,) * 2)
    low, high = functional(values - 0.1, values + 0.1)
    assert -1.0 <= low < high <= 1.0


def test_who_writes_the_class_is_judged_from_the_second_block_on_and_spikes_for_two_checkpoints():
    writes = plan_for("attention-builds-class-more-than-mlp", ORIG)
    assert {arm for arm in writes.arms if arm.startswith("mlp@")} == {f"mlp@{layer}" for layer in range(1, 12)}
    assert writes.derived["mlp"].arms() == tuple(f"mlp@{layer}" for layer in range(1, 12))
    assert "attention class@3" in writes.arms
    assert "attention class@3" not in plan_for("attention-builds-class-more-than-mlp", NO_CLASS).arms
    last = plan_for("last-mlp-stops-writing-class", ORIG).derived["mlp before"]
    assert last.arms() == tuple(f"mlp@{layer}" for layer in range(1, 11))
    composed = plan_for("residual-top1-is-mostly-composed-early-inherited-late", ORIG).derived["composed"]
    assert composed.arms() == tuple(f"none@{layer}" for layer in range(1, 8))
    spike = plan_for("penultimate-mlp-spike", CARDS["augreg"])
    assert set(spike.question.effect.arms()) == {"mlp@9", "mlp@10", "mlp@11"}
    assert not spike.report_only
    assert plan_for("penultimate-mlp-spike", ORIG).report_only
    larger = replace(CARDS["augreg"], preprocessing=replace(ORIG.preprocessing, size=(384, 384)))
    assert plan_for("penultimate-mlp-spike", larger).report_only


def test_some_bounds_on_writes_hold_for_base_size_or_for_named_checkpoints_alone():
    def bounds(identifier, card):
        return set(plan_for(identifier, card).question.bound_names())

    assert "attention, base size" in bounds("attention-builds-class-more-than-mlp", ORIG)
    assert "attention, base size" not in bounds("attention-builds-class-more-than-mlp", CLS)
    assert "fall" in bounds("last-mlp-stops-writing-class", ORIG)
    assert "fall, MIIL and L/16" in bounds("last-mlp-stops-writing-class", CARDS["cls, as MIIL"])
    assert "mlp, augreg base" in bounds("residual-top1-is-mostly-composed-early-inherited-late", CARDS["augreg"])
    assert "mlp, augreg base" not in bounds("residual-top1-is-mostly-composed-early-inherited-late", ORIG)
