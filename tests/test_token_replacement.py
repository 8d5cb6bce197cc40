"""Tokens that hold something else where they enter blocks, and the moments of prefix tokens: closed forms."""

import numpy as np
import pytest
import torch

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.block_edits import drop_skips, skip_blocks
from harness.interventions.token_merging import merge_tokens
from harness.interventions.token_replacement import ReplaceTokens, ZeroPatches, replace_tokens, zero_patches
from harness.measurement.cost import expected_bill
from harness.measurement.forward import measure_chunk
from harness.measurement.prefix_tree import Bill, Request
from harness.probes.prefix_moments import PrefixFit, PrefixMoments
from harness.probes.training.files import FitPlace
from harness.probes.training.fits import fit_all
from harness.probes.training.linear import Training
from harness.readouts.own_answer import Accuracy
from support.cards import CLS, DINOV2_REG
from support.tiny import DEPTH, PATCHES, WIDTH, RandomImages, tiny_vit

REGISTERED = tiny_vit(reg_tokens=2)
TOKENS = torch.randn(4, 3 + PATCHES, WIDTH, generator=torch.manual_seed(0))
FIT = PrefixFit(mean=torch.randn(DEPTH, 3, WIDTH), std=torch.rand(DEPTH, 3, WIDTH))
CHUNK = Batch(positions=range(4), donors=torch.tensor([1, 0, 3, 2]), labels=None, seed=0, fits={PrefixMoments(): FIT})


def replaced(by, kind="register", tokens=TOKENS, chunk=CHUNK):
    return ReplaceTokens(kind=kind, by=by, block=1).apply(tokens, REGISTERED.card, chunk)


@pytest.mark.parametrize(("kind", "places"), [("class", [0]), ("register", [1, 2])])
@pytest.mark.parametrize("by", ["zero", "mean", "noise", "donor"])
def test_tokens_of_one_kind_are_replaced_and_no_others(kind, places, by):
    before, after = TOKENS.clone(), replaced(by, kind)
    others = [place for place in range(3 + PATCHES) if place not in places]
    assert torch.equal(after[:, others], TOKENS[:, others])
    assert torch.equal(TOKENS, before)
    expected = {"zero": torch.zeros(4, len(places), WIDTH), "donor": TOKENS[[1, 0, 3, 2]][:, places]}
    expected["mean"] = FIT.mean[1, places].expand(4, -1, -1)
    if by != "noise":
        assert torch.equal(after[:, places], expected[by])


def test_noise_has_the_mean_and_spread_of_what_it_replaces():
    many = TOKENS[:1].expand(4000, -1, -1)
    noise = replaced("noise", tokens=many)[:, 1:3]
    torch.testing.assert_close(noise.mean(dim=0), FIT.mean[1, 1:], atol=0.08, rtol=0)
    torch.testing.assert_close(noise.std(dim=0), FIT.std[1, 1:], atol=0.08, rtol=0)


def test_so_many_patches_are_zeros_and_the_same_ones_in_every_block():
    after = ZeroPatches(count=3).apply(TOKENS + 5, REGISTERED.card, CHUNK)
    gone = (after == 0).all(dim=-1)
    assert not gone[:, :3].any()
    assert gone.sum(dim=1).tolist() == [3] * 4
    assert torch.equal(after[~gone], (TOKENS + 5)[~gone])
    again = ZeroPatches(count=3).apply(torch.ones_like(TOKENS), REGISTERED.card, CHUNK)
    assert torch.equal((again == 0).all(dim=-1), gone)


def test_edits_stand_before_every_block_and_name_what_they_read():
    zeros, means, donors = (replace_tokens(REGISTERED.card, "register", by) for by in ("zero", "mean", "donor"))
    assert [(site, edit.block) for site, edit in zeros.edits] == [(-1, 0), (0, 1), (1, 2)]
    assert [(site, edit.block) for site, edit in means.edits] == [(0, 1), (1, 2)]
    assert (zeros.fits, means.fits) == ((), (PrefixMoments(),))
    assert (donors.exchanges, means.exchanges) == (True, False)
    assert [site for site, _ in zero_patches(DINOV2_REG, 4).edits] == list(range(-1, 11))


@pytest.mark.parametrize("folder", [True, False])
def test_moments_are_those_of_numpy_over_all_training_pictures(tmp_path, folder):
    images = RandomImages(count=20)
    training = Training(subject=REGISTERED, images=images, chunks=[range(12), range(12, 20)], seed=0)
    place = FitPlace(folder=tmp_path if folder else None, context="x")
    steps = []
    (fit,) = fit_all([PrefixMoments()], training, place, lambda *step: steps.append(step)).values()
    stream = REGISTERED.start(images.load(range(20), REGISTERED.card.preprocessing))
    for block in range(DEPTH):
        tokens = stream.tokens[:, :3].numpy()
        np.testing.assert_allclose(fit.mean[block], tokens.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(fit.std[block], tokens.std(axis=0), atol=1e-3)
        stream = REGISTERED.step(block, stream)
    assert steps[-1] == ("training images", 20, 20)
    steps.clear()
    (again,) = fit_all([PrefixMoments()], training, place, lambda *step: steps.append(step)).values()
    assert torch.equal(again.mean, fit.mean)
    assert torch.equal(again.std, fit.std)
    assert bool(steps) is not folder


def test_what_is_not_there_is_neither_replaced_nor_averaged():
    with pytest.raises(ClaimsError, match=r"the prefix tokens of 'vit_custom' are \['class'\]"):
        ReplaceTokens(kind="register", by="zero", block=0).apply(TOKENS, CLS, CHUNK)
    with pytest.raises(ClaimsError, match="4 patches are there; allowed: 1 to as many"):
        ZeroPatches(count=5).apply(TOKENS, REGISTERED.card, CHUNK)
    bare = tiny_vit(class_token=False, global_pool="avg")
    training = Training(subject=bare, images=RandomImages(count=8), chunks=[range(8)], seed=0)
    with pytest.raises(ClaimsError, match="no prefix tokens whose mean"):
        fit_all([PrefixMoments()], training, FitPlace(folder=None, context="x"), lambda *step: None)


def test_what_edits_of_blocks_and_registers_cost_is_known_before_a_run():
    subject, images = REGISTERED, RandomImages(count=8)
    fits = {PrefixMoments(): FIT}
    for edit in (
        replace_tokens(subject.card, "register", "mean"),
        skip_blocks([1]),
        drop_skips(range(DEPTH)),
        merge_tokens(subject.card, 1),
    ):
        wanted = [Request(intervention=edit, readout=Accuracy(), claimants=frozenset({"a claim"}))]
        chunk = Batch(positions=range(8), donors=torch.arange(8), labels=torch.from_numpy(images.labels), seed=0)
        bill = Bill()
        measure_chunk(subject, images.load(range(8), subject.card.preprocessing), chunk, wanted, fits, bill)
        assert expected_bill(wanted, subject.card, 8).total == pytest.approx(bill.total)
