"""Squares blacked out or put into another order, and the correlation of what a head reads: closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import ClaimsError, NotApplicable
from harness.fixtures.planted.mosaic_seers import MosaicSeer
from harness.images.batch import Batch
from harness.interventions.occlusion import BlackSquares
from harness.interventions.tilings import own_squares, shared_grid, shuffle_squares, squares_shown
from harness.models.subject import Stream
from harness.readouts.features import correlation, features_of
from harness.readouts.reading import Reading
from support.cards import PREPROCESSING, make_card

CHUNK = Batch(positions=range(40), donors=torch.arange(40), labels=None, seed=3)
WHITE = torch.ones(40, 3, 12, 24)
CNN = replace(MosaicSeer(reads="sum", role="cnn").card, preprocessing=PREPROCESSING)


def _cells(pixels):
    """Say which cells of a 3 x 4 grid are black, and that they are so in all of their pixels."""
    blocks = pixels.reshape(len(pixels), 3, 3, 4, 4, 6).permute(0, 2, 4, 1, 3, 5).flatten(3)
    assert (blocks.amin(dim=-1) == blocks.amax(dim=-1)).all()
    return blocks[..., 0].flatten(1) == 0


@pytest.mark.parametrize(("share", "black"), [(0.3, 3), (0.5, 6), (0.7, 8), (1.0, 12)])
def test_so_many_whole_cells_are_black_in_every_picture_and_other_ones(share, black):
    cells = _cells(BlackSquares(grid=(3, 4), share=share).apply(WHITE, CHUNK))
    assert cells.sum(dim=1).tolist() == [black] * 40
    assert share == 1 or len(torch.unique(cells, dim=0)) > 20


def test_shares_count_as_the_source_counts_tenths():
    counts = [BlackSquares(grid=(14, 14), share=k / 10).count for k in range(1, 10)]
    assert counts == [196 * k // 10 for k in range(1, 10)]


def test_a_larger_share_blackens_more_cells_and_the_same_ones():
    less, more = (_cells(BlackSquares(grid=(3, 4), share=share).apply(WHITE, CHUNK)) for share in (0.3, 0.7))
    assert (less <= more).all()


def test_cells_that_do_not_tile_and_shares_beyond_all_are_refused():
    with pytest.raises(ClaimsError, match=r"\(5, 4\) cells do not tile pictures of 12 x 24"):
        BlackSquares(grid=(5, 4), share=0.5).apply(WHITE, CHUNK)
    for share in (0.0, 1.1):
        with pytest.raises(ValueError, match="shares above 0 and up to 1"):
            BlackSquares(grid=(2, 2), share=share)


def test_correlation_is_that_of_numpy_and_nothing_correlates_with_a_constant():
    first, second = (torch.randn(5, 9, generator=torch.manual_seed(seed)) for seed in (1, 2))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(first.numpy(), second.numpy(), strict=True)]
    np.testing.assert_allclose(correlation(first, second), expected, atol=1e-6)
    torch.testing.assert_close(correlation(first, 3 * first + 1), torch.ones(5, dtype=torch.float64))
    assert not correlation(first, torch.ones(5, 9)).any()


def test_features_are_the_class_token_or_the_mean_of_all_places():
    def features(card, tokens):
        subject = type("Carded", (MosaicSeer,), {"card": card})(reads="sum", role="vit")
        return features_of(Reading(subject, Stream(tokens), 0, CHUNK, {}, None))

    registers = make_card("patch mean", prefix=("register", "register"))
    tokens = torch.randn(2, 18, 6)
    assert torch.equal(features(make_card(prefix=("register", "class"), grid=(4, 4)), tokens), tokens[:, 1])
    assert torch.equal(features(registers, tokens), tokens[:, 2:].mean(dim=1))
    assert torch.equal(features(CNN, WHITE), WHITE.mean(dim=(2, 3)))
    assert torch.equal(features(replace(CNN, capabilities=frozenset()), WHITE), WHITE.mean(dim=(1, 2)))


def test_both_models_are_cut_into_the_same_squares():
    vit = make_card(grid=(14, 14))
    small = replace(CNN, preprocessing=replace(PREPROCESSING, size=(112, 112)))
    assert shared_grid(vit, small, 14) == (14, 14)
    assert shared_grid(vit, small, 5) == (14, 14)
    assert shared_grid(make_card(grid=(4, 8)), small, 5) == (4, 8)
    assert own_squares(vit, small) == 14
    assert squares_shown(vit, small) == (2, 4, 8, 14, 16, 28)
    assert shuffle_squares(small, 28).pixels.size == 4


@pytest.mark.parametrize(
    ("vit", "side", "message"),
    [
        (make_card(grid=(4, 8)), 224, "4 x 8 patches .* as squares"),
        (make_card(grid=(32, 32)), 224, "32 x 32 patches .* as squares"),
        (make_card(grid=(14, 14)), 100, "28 squares along a side.* do not tile the pictures of .*100"),
        (CNN, 224, "has no grid of patches"),
    ],
)
def test_what_cannot_be_cut_alike_is_not_asked(vit, side, message):
    cnn = replace(CNN, preprocessing=replace(PREPROCESSING, size=(side, side)))
    with pytest.raises(NotApplicable, match=message):
        own_squares(vit, cnn)
