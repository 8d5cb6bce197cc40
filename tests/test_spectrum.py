"""Spectra of feature maps against closed forms and a Fourier sum written out."""

import numpy as np
import pytest
import torch

from harness.errors import ClaimsError
from harness.models.subject import Stream
from harness.readouts.reading import Reading
from harness.readouts.spectrum import MOST, TINY, SpectrumChange, lead_of_highest
from support.claims import chunk
from support.planted import PlantedImages
from support.tiny import PATCHES, WIDTH, tiny_vit


def _board(rows: int, columns: int) -> torch.Tensor:
    return (-1.0) ** (torch.arange(rows)[:, None] + torch.arange(columns))


def test_a_checkerboard_on_a_constant_has_the_logarithm_of_their_ratio():
    features = (0.5 + 2.0 * _board(4, 6)).expand(1, 4, 6)[..., None]
    assert lead_of_highest(features).item() == pytest.approx(np.log(4.0), abs=1e-5)


def test_channels_are_averaged_after_the_logarithm():
    features = torch.stack([1.0 + 4.0 * _board(2, 2), 1.0 + _board(2, 2)], dim=-1)[None]
    assert lead_of_highest(features).item() == pytest.approx(np.log(4.0) / 2, abs=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (5, 3), (2, 7)])
def test_it_equals_a_fourier_sum_written_out(rows, columns):
    features = torch.randn(3, rows, columns, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    row, column = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    wave = np.exp(-2j * np.pi * (row * (rows // 2) / rows + column * (columns // 2) / columns))
    found = []
    for picture in features.numpy():
        high = [abs((picture[..., c] * wave).sum()) + TINY for c in range(2)]
        mean = [abs(picture[..., c].sum()) + TINY for c in range(2)]
        found.append(np.mean(np.log(high)) - np.mean(np.log(mean)))
    assert lead_of_highest(features).numpy() == pytest.approx(found, abs=1e-4)


def _reading(before: torch.Tensor, passed: dict) -> Reading:
    subject, images = tiny_vit(), PlantedImages(count=2)
    stream = Stream(before)
    reading = Reading(subject, stream, 0, chunk(images, range(2)), {}, None, before=stream, passed=passed)
    return reading.lent_to(False, tuple(passed))


def _tokens(patches: torch.Tensor) -> torch.Tensor:
    """Put a class token before 2 x 2 patches, which no spectrum may look at."""
    return torch.cat([torch.full((len(patches), 1, WIDTH), 99.0), patches], dim=1)


def test_a_branch_changes_what_it_adds_to_what_entered():
    board = _board(2, 2).reshape(1, PATCHES, 1).expand(2, PATCHES, WIDTH)
    constant = torch.ones(2, PATCHES, WIDTH)
    passed = {"attention write": _tokens(3.0 * constant), "mlp write": _tokens(7.0 * board)}
    reading = _reading(_tokens(constant + board), passed)
    by = {branch: SpectrumChange(layer=0, branch=branch).read(reading) for branch in ("attention", "mlp")}
    assert by["attention"].tolist() == pytest.approx([-np.log(4.0)] * 2, abs=1e-4)
    assert by["mlp"].tolist() == pytest.approx([np.log(8.0)] * 2, abs=1e-4)


def test_a_change_is_cut_and_the_embedding_has_none():
    board = _board(2, 2).reshape(1, PATCHES, 1).expand(2, PATCHES, WIDTH)
    passed = {"attention write": _tokens(1e6 * board), "mlp write": _tokens(board)}
    reading = _reading(_tokens(torch.ones(2, PATCHES, WIDTH)), passed)
    assert SpectrumChange(layer=0, branch="attention").read(reading).tolist() == [MOST, MOST]
    reading.before = None
    with pytest.raises(ClaimsError, match="the embedding has none"):
        SpectrumChange(layer=0, branch="attention").read(reading)
