"""Blocks that are left out, cut from their skips or of one branch: held against the modules that they are made of."""

from dataclasses import replace

import pytest
import torch
from timm.models.convnext import ConvNeXt
from torch import nn

from harness.errors import ClaimsError, NotApplicable
from harness.fixtures.families import SMALL_MODELS
from harness.images.batch import Batch
from harness.interventions.attention_masks import SelfOnly
from harness.interventions.block_edits import (
    DropSkip,
    DropWrite,
    SkipBlock,
    branches_of,
    drop_skips,
    drop_writes,
    like_blocks,
    skip_blocks,
)
from harness.interventions.intervention import Intervention
from harness.models.families import adapt
from harness.readouts.spread import token_spread
from support.planted import Planted
from support.tiny import tiny_vit

CHUNK = Batch(positions=range(2), donors=torch.tensor([1, 0]), labels=None, seed=0)


def _subject(name, model=None):
    torch.manual_seed(0)
    model = SMALL_MODELS[name]() if model is None else model
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return adapt(model, name=name, arch=name, pretrained=False)


def _enter(subject):
    return subject.start(torch.randn(2, 3, *subject.card.preprocessing.size, generator=torch.manual_seed(1)))


def _branches(layer, kind):
    """Give what each branch writes, from the modules alone."""
    if kind == "vit":
        return (lambda x: layer.ls1(layer.attn(layer.norm1(x)))), (lambda x: layer.ls2(layer.mlp(layer.norm2(x))))
    return (lambda x: layer.norm1(layer.attn(x))), (lambda x: layer.norm2(layer.mlp(x)))


@pytest.mark.parametrize("kind", ["vit", "res-post-norm"])
@torch.no_grad()
def test_edits_of_a_block_are_those_of_its_modules(kind):
    subject = _subject(kind)
    stream, (attend, transform) = _enter(subject), _branches(subject.model.blocks[1], kind)
    x = stream.tokens
    expected = {
        SkipBlock(): x,
        DropWrite("attention"): x + transform(x),
        DropWrite("mlp"): x + attend(x),
        DropSkip(): transform(attend(x)),
        DropSkip("attention"): attend(x),
    }
    for edit, tokens in expected.items():
        torch.testing.assert_close(edit.run(subject, 1, stream, CHUNK).tokens, tokens, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in SMALL_MODELS if branches_of(_subject(name).card)])
def test_without_one_branch_a_block_adds_the_other_and_is_itself_again_afterwards(name):
    subject = _subject(name)
    stream = _enter(subject)
    before, kept = subject.step(0, stream).tokens, stream.tokens.clone()
    hooks = sum(len(module._forward_hooks) for module in subject.model.modules())
    alone, passed = subject.without(0, stream, "attention", ("mlp write",))
    torch.testing.assert_close(alone.tokens, stream.tokens + passed["mlp write"], atol=1e-5, rtol=1e-5)
    alone, passed = subject.without(0, stream, "mlp", ("attention write", "mlp write"))
    torch.testing.assert_close(passed["attention write"], subject.writes(0, stream).attention)
    torch.testing.assert_close(alone.tokens, stream.tokens + passed["attention write"], atol=1e-5, rtol=1e-5)
    assert not passed["mlp write"].any()
    assert torch.equal(subject.step(0, stream).tokens, before)
    assert torch.equal(stream.tokens, kept)
    assert sum(len(module._forward_hooks) for module in subject.model.modules()) == hooks


def test_a_model_without_a_block_is_one_that_was_built_without_it():
    subject, shorter = tiny_vit(), tiny_vit()
    del shorter.model.blocks[1]
    stream = _enter(subject)
    for block in range(subject.card.depth):
        stream = SkipBlock().run(subject, block, stream, CHUNK) if block == 1 else subject.step(block, stream)
    images = torch.randn(2, 3, *subject.card.preprocessing.size, generator=torch.manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(subject.logits(stream), shorter.model(images))


def test_keys_that_count_several_times_are_that_many_keys():
    subject = tiny_vit()
    stream, times = _enter(subject), torch.tensor([1, 3, 1, 2, 1])
    sizes = times.float().expand(2, -1)
    once = subject.without(0, stream, "mlp", sizes=sizes)[0].tokens
    repeated = subject.without(0, stream.with_tokens(stream.tokens.repeat_interleave(times, dim=1)), "mlp")[0].tokens
    first = torch.cat((torch.zeros(1, dtype=torch.long), times.cumsum(0)[:-1]))
    torch.testing.assert_close(once, repeated[:, first], atol=1e-5, rtol=1e-5)


def test_blocks_that_change_the_shape_of_the_stream_are_never_left_out():
    subject = _subject("convnext", ConvNeXt(depths=(2, 2, 1, 1), dims=(8, 16, 24, 32), num_classes=5))
    refused = [block for block in range(6) if SkipBlock().refusal(subject.card, block)]
    assert refused == [0, 2, 4, 5]
    alike = replace(subject.card, units=subject.card.units[:1] * 6)
    assert [block for block in range(6) if SkipBlock().refusal(alike, block)] == [0]  # what enters it nobody knows
    with pytest.raises(ValueError, match="block 2 of 'convnext' changes the shape"):
        skip_blocks([2]).program(subject.card)
    assert skip_blocks([3]).program(subject.card)[4][0] == SkipBlock()


@pytest.mark.parametrize("edit", [drop_writes([0], "mlp"), drop_skips([0])])
def test_what_is_no_sum_of_two_writes_keeps_both(edit):
    subject = _subject("mixer")
    assert branches_of(subject.card) == ()
    with pytest.raises(ValueError, match="mix tokens by an MLP"):
        edit.program(subject.card)


def test_blocks_of_two_kinds_keep_their_skips():
    subject = _subject("cait")
    with pytest.raises(ValueError, match="of two kinds"):
        drop_skips([0]).program(subject.card)
    with pytest.raises(NotApplicable, match="of two kinds"):
        like_blocks(subject.card)
    assert like_blocks(tiny_vit().card) == range(3)


def test_a_subject_that_cannot_run_one_branch_says_so():
    subject = Planted()
    with pytest.raises(ClaimsError, match="has no method `without`"):
        DropWrite("mlp").run(subject, 0, None, CHUNK)


def test_a_block_has_one_slot():
    assert skip_blocks([2, 1]).key == "SkipBlock()@block1+SkipBlock()@block2"
    with pytest.raises(ValueError, match="one block edit or mask per place"):
        Intervention(masks=((1, SelfOnly()),), blocks=((1, SkipBlock()),))


def test_equal_tokens_do_not_spread_and_opposite_ones_do_nothing_else():
    tokens = torch.randn(3, 1, 5, generator=torch.manual_seed(0))
    assert token_spread(tokens.expand(-1, 4, -1)).amax() < 1e-7
    torch.testing.assert_close(token_spread(torch.cat((tokens, -tokens), dim=1)), torch.ones(3, dtype=torch.float64))
    assert not token_spread(torch.zeros(2, 3, 4)).any()
    pair = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # mean (.5, .5): each lies sqrt(.5) away, and both have length 1
    assert float(token_spread(pair)) == pytest.approx(0.5**0.5)
