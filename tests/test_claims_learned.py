"""The claims about learned readouts of single blocks: which blocks, which models, and what their arithmetic says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from harness.errors import ClaimsError
from harness.fixtures.planted.query_model import CONTENT, LOUD, NEVER, ODD, QUERY, QueryBlock, QueryModel
from harness.fixtures.planted.query_pictures import CLASSES, CUES, QueryPictures, Shown
from harness.fixtures.planted.query_worlds import WORLDS
from harness.judging.derived_arms import resolve
from harness.judging.observations import Pairs, Sample
from harness.measurement.plan import Plan
from harness.models.subject import CAPABILITIES
from harness.probes.learned_token import Recipe
from harness.readouts.learned_tokens import LearnedAccuracy
from support.cards import CLIP, CLS, DINOV2, GAP, SPECS, at_depth, make_card, plan_for

CODES = {f"B{number}" for number in range(7, 15)}
CLAIMS = sorted(name for name, spec in SPECS.items() if spec.source.key == "multiple_readouts" and spec.code in CODES)
MAE = replace(make_card(arch="vit_base_patch16_224.mae"), capabilities=DINOV2.capabilities)
claims = pytest.mark.parametrize("identifier", CLAIMS)


def read_blocks(plan):
    return {int(name.partition("@")[2]) for name in plan.arms if "@" in name}


@claims
def test_the_claims_are_about_class_tokens_of_models_taught_by_pictures_alone(identifier):
    assert isinstance(plan_for(identifier, DINOV2), Plan)
    assert isinstance(plan_for(identifier, MAE), Plan)
    assert plan_for(identifier, CLS) == plan_for(identifier, CLIP) == CAPABILITIES["self_supervised"]
    assert isinstance(plan_for(identifier, GAP), str)


@claims
def test_the_blocks_of_twelve_are_those_of_the_source(identifier):
    blocks = read_blocks(plan_for(identifier, DINOV2)) or {10}  # the unanimity of draws is about one block
    assert blocks <= {8, 9, 10, 11}
    deep = read_blocks(plan_for(identifier, at_depth(DINOV2, 24))) or {22}
    assert deep <= {16, 19, 22, 23}


@claims
def test_models_too_shallow_for_four_blocks_are_told_so(identifier):
    assert isinstance(plan_for(identifier, at_depth(DINOV2, 11)), Plan)
    assert plan_for(identifier, at_depth(DINOV2, 10)).endswith("there are 10")


@claims
def test_every_learned_readout_is_trained_by_the_recipe_of_the_ledger(identifier):
    arms = plan_for(identifier, DINOV2).arms.values()
    fits = {fit for arm in arms for fit in arm.fits}
    learned = {arm.readout.readout.recipe for arm in arms if isinstance(arm.readout, LearnedAccuracy)}
    assert learned == {RECIPE}
    assert fits


def test_a_claim_that_is_not_thought_to_carry_over_is_judged_for_dinov2_alone():
    name = "own-cls-competitive-in-last-two-blocks"
    assert not plan_for(name, DINOV2).report_only
    assert "DINOv2" in plan_for(name, MAE).report_only


def test_what_readouts_share_is_fitted_once():
    fits = [fit for name in CLAIMS for arm in plan_for(name, DINOV2).arms.values() for fit in arm.fits]
    drawn = {fit for fit in fits if getattr(fit, "draws", False) and fit.learns == "all"}
    assert len(drawn) == 8  # replace and augment at four blocks
    vectors = {fit for fit in fits if getattr(fit, "mode", "") == "deterministic" and fit.learns == "all"}
    assert len(vectors) == 4


def test_concordance_is_that_of_an_independent_rank_correlation():
    plan = plan_for("readout-entropy-falls-with-depth", DINOV2)
    random = np.random.Generator(np.random.PCG64(0))
    common = random.random(400)
    samples = {name: Sample(np.clip(common + 0.3 * random.random(400), 0, 7), 0.0, 7.0) for name in plan.arms}
    pairs = Pairs(tuple(range(0, 400, 2)), 200)
    found = resolve(samples, plan.derived, pairs)["entropy ordered alike 8, 10"].values
    one, other = samples["entropy@8"].values, samples["entropy@10"].values
    taus = [kendalltau(one[i : i + 2], other[i : i + 2]).statistic for i in pairs.first]
    assert pairs.means(found) == pytest.approx((np.array(taus) + 1) / 2)


def test_means_over_near_and_far_blocks_leave_no_pair_out():
    derived = plan_for("readout-entropy-falls-with-depth", DINOV2).derived
    assert [name[-5:].strip() for name in derived["near"].arms()] == ["8, 9", "9, 10", "0, 11"]
    assert len(derived["far"].arms()) == 3


def test_the_published_numbers_satisfy_the_claim_about_joint_errors():
    functional = plan_for("layer-readouts-err-together-oracle-gap", DINOV2).question.effect.parts[0].functional
    published = np.array([0.4828, 0.1148])
    assert functional(published, published) == pytest.approx((0.368, 0.368))
    assert functional(published - 0.1, published + 0.1) == pytest.approx((0.168, 0.568))


def test_conditional_shares_are_those_of_a_table_of_counts():
    plan = plan_for("layer-readouts-err-together-oracle-gap", DINOV2)
    random = np.random.Generator(np.random.PCG64(1))
    samples = {name: Sample((random.random(300) < 0.6).astype(float), 0.0, 1.0) for name in plan.arms}
    found = resolve(samples, plan.derived, Pairs(tuple(range(0, 300, 2)), 150))
    first, last = (samples[f"right@{b}"].values.astype(bool) for b in (8, 11))
    assert found["own and last"].values.mean() / last.mean() == pytest.approx(first[last].mean())
    assert found["own, not last"].values.mean() / (~last).mean() == pytest.approx(first[~last].mean())
    assert found["any"].values.mean() == np.any([samples[f"right@{b}"].values for b in range(8, 12)], axis=0).mean()


def first_token(model, block, change=None, count=64):
    """Give what leaves a block at the first token, and the classes that the cues show."""
    pictures = QueryPictures(shown=Shown(right=(0.9, 0.6, 0.2, 0.1)), seed=3, count=count)
    images = pictures.load(range(count), model.card.preprocessing)
    stream = model.start(images)
    for before in range(block):
        stream = model.step(before, stream)
    if change is not None:
        stream = stream.with_tokens(change(stream.tokens))
    return model.step(block, stream).tokens[:, 0], images[:, 0, 0].long()


@pytest.mark.parametrize("cue", range(CUES))
def test_the_class_token_of_a_planted_model_reads_the_cue_that_it_asks_for(cue):
    model = QueryModel(blocks=(QueryBlock(own=0), QueryBlock(own=cue)))
    read, shown = first_token(model, 1)
    asked = np.exp(6.0 * 10.0 / 10.2)  # of three others that have a logit of 0
    weights = np.where(np.arange(CUES) == cue, asked, 1.0) / (asked + CUES - 1)
    expected = LOUD * np.einsum("k,nkc->nc", weights, np.eye(CLASSES)[shown])
    np.testing.assert_allclose(read[:, CONTENT], expected, atol=1e-4)


def test_another_token_in_its_place_reads_what_it_asks_for_itself():
    model = QueryModel(blocks=(QueryBlock(own=0), QueryBlock(own=0)))

    def asking_for_the_last(tokens):
        tokens = tokens.clone()
        tokens[:, 0] = 0.0
        tokens[:, 0, QUERY.start + CUES - 1] = 1.0
        return tokens

    read, shown = first_token(model, 1, asking_for_the_last)
    assert torch.equal(read[:, CONTENT].argmax(-1), shown[:, -1])


def test_scrambled_tokens_read_one_class_too_high():
    model = QueryModel(blocks=(QueryBlock(own=0), QueryBlock(own=0, scrambles=0.5)))
    plain, shown = first_token(model, 0)
    for digits, off in ((0.25, 1), (0.75, 0)):

        def marked(tokens, digits=digits):
            tokens = tokens.clone()
            tokens[:, 0, ODD] = digits / 1e4
            return tokens

        read, _ = first_token(model, 1, marked)
        assert torch.equal(read[:, CONTENT].argmax(-1), (shown[:, 0] + off) % CLASSES)
    assert torch.equal(plain[:, CONTENT].argmax(-1), shown[:, 0])


def test_planted_models_take_no_mask_and_have_no_sites():
    model = QueryModel(blocks=(QueryBlock(own=0, pull=(0.0, 0.0, 0.0, 0.0, NEVER)),))
    stream = model.start(torch.zeros(2, 2, 1, CUES))
    with pytest.raises(ClaimsError, match="takes no mask"):
        model.step(0, stream, torch.ones(CUES + 1, CUES + 1, dtype=torch.bool))
    with pytest.raises(ClaimsError, match="has no sites"):
        model.watch(0, stream, ("units",))


def test_cues_err_as_declared():
    drawn = QueryPictures(shown=Shown(right=(0.5, 0.6, 0.7, 0.8), alike=1.0), seed=0, count=20_000)
    shown = drawn.load(range(20_000), None)[:, 0, 0].long().numpy()
    right = shown == drawn.labels[:, None]
    np.testing.assert_allclose(right.mean(axis=0), (0.5, 0.6, 0.7, 0.8), atol=0.015)
    assert (right[:, :-1] <= right[:, 1:]).all(), "one difficulty for all"
    wrong = ~right.any(axis=1)
    assert (shown[wrong] == shown[wrong, :1]).all(), "one wrong class for all"
    turned = replace(drawn, shown=replace(drawn.shown, turned=True))
    right = turned.load(range(20_000), None)[:, 0, 0].long().numpy() == turned.labels[:, None]
    assert (right[:, 0] & ~right[:, 3]).any() is not None
    assert right[~right[:, 3], 0].all(), "the first finds easy what the others find hard"


def test_adjacent_cues_share_their_brightness_more_often():
    drawn = QueryPictures(shown=Shown(right=(0.9,) * CUES, walks=0.7), seed=0, count=5000)
    light = drawn.load(range(5000), None)[:, 1, 0].numpy()
    assert 0.4 <= light.min() < light.max() <= 1.0
    assert (light[:, 0] == light[:, 1]).mean() == pytest.approx(0.7, abs=0.02)
    assert (light[:, 0] == light[:, 2]).mean() == pytest.approx(0.49, abs=0.03)


def test_worlds_are_drawn_anew_for_every_seed_and_split():
    world = WORLDS["blocks err together"]
    prints = {world.test_images(seed).fingerprint for seed in (0, 1)} | {world.train_images(0).fingerprint}
    assert len(prints) == 3
    wrong = world.subjects(0)[""].untrained(0)
    assert wrong.weights_hash() != world.subjects(0)[""].weights_hash()


RECIPE = Recipe(images=2000, epochs=10, rate=1e-2)
