"""Token merging against loops over tokens, and its identity: equal tokens may be merged without a trace."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from harness.errors import ClaimsError
from harness.fixtures.families import SMALL_MODELS
from harness.images.batch import Batch
from harness.interventions.token_merging import (
    MergeTokens,
    merge_tokens,
    merged,
    merges_per_block,
    pair_off,
    spread_out,
)
from harness.models.families import adapt
from harness.models.subject import Stream
from support.cards import CLS, DIST, make_card
from support.tiny import tiny_vit

CHUNK = Batch(positions=range(3), donors=torch.tensor([1, 0, 2]), labels=None, seed=0)
GRID = {"patch_size": 4}  # of 16 pixels: 4 x 4 patches


def _looped(tokens, keys, sizes, prefix, count):
    """Merge the tokens of one picture as the authors' words say, pair by pair."""
    evens = [place for place in range(0, len(tokens), 2)]
    odds = [place for place in range(1, len(tokens), 2) if place >= prefix]
    wishes = []
    for place in evens:
        if place >= prefix:
            likeness, partner = max((float(cosine_similarity(keys[place], keys[odd], dim=0)), -odd) for odd in odds)
            wishes.append((likeness, place, -partner))
    wishes = sorted(wishes, reverse=True)[: min(count, (len(tokens) - prefix) // 2)]
    sums = {place: tokens[place] * sizes[place] for place in range(len(tokens))}
    counts = dict(enumerate(sizes.tolist()))
    for _, place, partner in wishes:
        sums[partner], counts[partner] = sums[partner] + sums.pop(place), counts[partner] + counts.pop(place)
    left = [*range(prefix), *[p for p in evens if p in sums and p >= prefix], *odds]
    return torch.stack([sums[place] / counts[place] for place in left]), torch.tensor([counts[p] for p in left])


@pytest.mark.parametrize(("prefix", "places", "count"), [(1, 17, 4), (2, 18, 5), (0, 16, 3), (3, 20, 2), (1, 10, 30)])
def test_pairs_merge_as_in_a_loop_over_them(prefix, places, count):
    generator = torch.Generator().manual_seed(places)
    tokens, keys = (torch.randn(3, places, 6, generator=generator) for _ in range(2))
    sizes = torch.randint(1, 4, (3, places), generator=generator).float()
    unit = torch.nn.functional.normalize(keys, dim=-1)
    left, goes = pair_off(unit[:, ::2] @ unit[:, 1::2].transpose(1, 2), prefix, count)
    found = merged(tokens, sizes, left, goes)
    for image in range(3):
        expected = _looped(tokens[image], keys[image], sizes[image], prefix, count)
        torch.testing.assert_close(found[0][image], expected[0], atol=1e-5, rtol=1e-5)
        assert torch.equal(found[1][image], expected[1])
    torch.testing.assert_close(found[0][:, :prefix], tokens[:, :prefix])


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, {"class_token": False, "global_pool": "avg"}, {"reg_tokens": 2}])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_equal_tokens_merge_without_a_trace(count, changes):
    """Pictures of one patch again and again, and no positions: the answer stays, for any number of merged tokens."""
    subject = tiny_vit(**GRID, **changes)
    subject.model.pos_embed.zero_()
    images = torch.randn(3, 3, 4, 4, generator=torch.manual_seed(0)).repeat(1, 1, 4, 4)
    stream = subject.start(images)
    for block, edit in merge_tokens(subject.card, count).blocks:
        stream = edit.run(subject, block, stream, CHUNK)
    assert stream.tokens.shape[1] == len(subject.card.prefix) + subject.card.patches
    torch.testing.assert_close(subject.logits(stream), subject.model(images), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_one_block_merges_keys_averaged_over_heads_between_its_branches():
    subject = tiny_vit(**GRID)
    stream, layer = subject.start(torch.randn(3, 3, 16, 16, generator=torch.manual_seed(0))), subject.model.blocks[0]
    x = stream.tokens
    keys = layer.attn.qkv(layer.norm1(x)).chunk(3, dim=-1)[1].unflatten(-1, (2, 6)).mean(dim=2)
    attended = x + layer.attn(layer.norm1(x))
    found = MergeTokens(count=3).run(subject, 0, stream, CHUNK)
    for image in range(3):
        tokens, sizes = _looped(attended[image], keys[image], torch.ones(17), 1, 3)
        expected = tokens + layer.mlp(layer.norm2(tokens))
        torch.testing.assert_close(found.tokens[image], expected, atol=1e-5, rtol=1e-5)
        assert torch.equal(found.sizes[image], sizes)


@pytest.mark.parametrize(("pairs", "drop"), [("unlike", False), ("random", False), ("alike", True)])
def test_rivals_merge_other_tokens_and_as_many(pairs, drop):
    subject = tiny_vit(**GRID)
    stream = subject.start(torch.randn(3, 3, 16, 16, generator=torch.manual_seed(0)))
    alike = MergeTokens(count=4).run(subject, 0, stream, CHUNK)
    other = MergeTokens(count=4, pairs=pairs, drop=drop).run(subject, 0, stream, CHUNK)
    assert other.tokens.shape == alike.tokens.shape == (3, 13, 12)
    assert not torch.allclose(other.tokens, alike.tokens)
    assert other.sizes.sum(dim=1).tolist() == [13 if drop else 17] * 3


def test_merged_tokens_are_spread_out_by_their_sizes():
    stream = Stream(torch.tensor([[[1.0], [2.0], [3.0]]]), None, torch.tensor([[1.0, 1.0, 3.0]]))
    assert spread_out(stream).tokens.flatten().tolist() == [1, 2, 3, 3, 3]
    assert spread_out(stream).sizes is None


def test_a_lone_token_is_left_alone():
    card = tiny_vit(**GRID, class_token=False, global_pool="avg", depth=6).card
    assert [block for block, _ in merge_tokens(card, 8).blocks] == [0, 1, 2, 3]  # 8, 4, 2, 1 are left
    assert len(merge_tokens(tiny_vit(**GRID, depth=6).card, 8).blocks) == 6
    left, goes = pair_off(torch.zeros(2, 1, 0), 0, 1)
    assert left.tolist() == [[0], [0]]
    assert goes.shape == (2, 2, 0)


def test_four_fifths_of_the_patches_go():
    assert merges_per_block(make_card(grid=(14, 14))) == 13
    assert merges_per_block(CLS) == 1
    assert merges_per_block(make_card(grid=(1, 1))) == 1


def test_tokens_that_went_missing_in_between_are_noticed():
    subject = tiny_vit(**GRID)
    stream = subject.start(torch.randn(3, 3, 16, 16, generator=torch.manual_seed(0)))
    after = MergeTokens(count=4).run(subject, 0, stream, CHUNK)
    with pytest.raises(ClaimsError, match=r"sizes of \[3, 13\] tokens for a stream"):
        MergeTokens(count=4).run(subject, 1, after.with_tokens(after.tokens[:, :5]), CHUNK)


@pytest.mark.parametrize("name", ["eva02", "beit", "relative positions", "cait", "mixer", "parallel branches"])
def test_blocks_that_cannot_run_on_merged_tokens_are_refused(name):
    card = adapt(SMALL_MODELS[name](), name=name, arch=name, pretrained=False).card
    with pytest.raises(ValueError, match="MergeTokens"):
        merge_tokens(card, 1).program(card)
    assert merge_tokens(DIST, 1).program(DIST)
    with pytest.raises(ValueError, match="merges nothing"):
        MergeTokens(count=0)


@pytest.mark.parametrize("drop", [False, True])
def test_an_edit_says_how_many_tokens_it_leaves(drop):
    subject, edit = tiny_vit(**GRID), MergeTokens(count=5, drop=drop)
    stream = subject.start(torch.randn(3, 3, 16, 16, generator=torch.manual_seed(0)))
    for block in range(subject.card.depth):
        said = edit.left(subject.card, block, stream.tokens.shape[1])
        stream = edit.run(subject, block, stream, CHUNK)
        assert stream.tokens.shape[1] == said
