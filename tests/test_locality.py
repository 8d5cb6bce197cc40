"""Locality of patch tokens: closed forms, numpy on everything at once, and one shared pass over the pictures."""

import numpy as np
import pytest
import torch

from harness.fixtures import zoo
from harness.fixtures.planted.patchwork import GRID, SHOWN, Patchwork, PatchworkReader
from harness.images.procedural import EmbeddedImages
from harness.models.families import adapt
from harness.readouts.locality import ModelAccuracy, PatchCosine, PatchHead, WithinShare, mean_cosine, within_share
from support.claims import loaded

ONE = np.zeros(1, dtype=np.int64)


def sums_of(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, int]:
    count, places, _ = values.shape
    return values.sum((0, 1)), values.square().sum((0, 1)), values.mean(1).square().sum(0), count, places


def test_the_share_within_pictures_is_that_of_two_nested_variances():
    values = torch.randn(30, 16, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values += 2.0 * torch.randn(30, 1, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = values.numpy()
    expected = plain.var(axis=1).mean(axis=0) / plain.reshape(-1, 5).var(axis=0)
    np.testing.assert_allclose(within_share(*sums_of(values)).numpy(), expected, rtol=1e-9)


def test_the_share_is_one_within_equal_pictures_zero_within_plain_ones_and_zero_for_idle_units():
    across = torch.randn(20, 1, 3, dtype=torch.float64)
    same = torch.randn(1, 16, 3, dtype=torch.float64)
    assert within_share(*sums_of(across.expand(20, 16, 3))).numpy() == pytest.approx(np.zeros(3), abs=1e-9)
    assert within_share(*sums_of(same.expand(20, 16, 3))).numpy() == pytest.approx(np.ones(3))
    assert within_share(*sums_of(torch.full((20, 16, 3), 0.7, dtype=torch.float64))).tolist() == [0, 0, 0]


def test_the_mean_cosine_is_that_of_all_pairs():
    tokens = torch.randn(4, 9, 7, generator=torch.Generator().manual_seed(0))
    unit = (tokens / tokens.norm(dim=-1, keepdim=True)).numpy()
    expected = [np.mean([a @ b for i, a in enumerate(one) for j, b in enumerate(one) if i != j]) for one in unit]
    np.testing.assert_allclose(mean_cosine(tokens).numpy(), expected, atol=1e-6)


def test_a_block_that_mixes_a_share_shrinks_the_variance_within_by_its_square():
    share, images = 0.6, Patchwork(seed=0, count=96)
    reader = PatchworkReader(mixing=(0.0, share))
    place = loaded(reader, images).place("given", 96, lambda blocks: None)
    first, last = (WithinShare((block,)).numbers(place, ONE)[0] for block in (0, 1))
    scores = np.eye(6)[images.shown.reshape(96, -1)]
    within, between = scores.var(axis=1).mean(axis=0), scores.mean(axis=1).var(axis=0)
    assert first == pytest.approx(np.mean(within / (within + between)))
    smaller = (1 - share) ** 2 * within
    assert last == pytest.approx(np.mean(smaller / (smaller + between)))
    assert WithinShare((0, 0, 1)).numbers(place, ONE)[0] == first  # the median


def test_the_head_on_single_patches_is_right_as_often_as_patches_show_the_label():
    images = Patchwork(seed=0, count=96)
    place = loaded(PatchworkReader(mixing=(0.0, 0.0)), images).place("given", 96, lambda blocks: None)
    right = (images.shown == images.labels[:, None, None]).mean()
    assert PatchHead(1).numbers(place, ONE)[0] == pytest.approx(right)
    assert right == pytest.approx(SHOWN + (1 - SHOWN) / 6, abs=0.05)


def test_all_readings_share_one_pass_over_the_pictures_that_is_charged_once():
    spent = []
    place = loaded(PatchworkReader(mixing=(0.0, 0.0)), Patchwork(seed=0, count=64)).place("given", 48, spent.append)
    for readout in (WithinShare((0,)), PatchCosine(1), PatchHead(0), ModelAccuracy()):
        assert readout.low <= readout.numbers(place, ONE)[0] <= readout.high
    assert sum(spent) == 2 * 48


def test_a_trained_vit_is_read_as_numpy_reads_it_at_once():
    subject = adapt(zoo.build("tiny_vit"), name="tiny_vit", arch="tiny_vit", pretrained=True)
    images = EmbeddedImages(split="test", seed=0, limit=64)
    place = loaded(subject, images).place("given", 64, lambda blocks: None)
    stream = subject.start(images.load(range(64), subject.card.preprocessing))
    for block in range(3):
        stream, passed = subject.watch(block, stream, ("units",))
    units = passed["units"][:, 1:].detach().double().numpy()
    total = units.reshape(-1, units.shape[-1]).var(axis=0)
    expected = np.mean(units.var(axis=1).mean(axis=0) / total)
    assert WithinShare((2,)).numbers(place, ONE)[0] == pytest.approx(expected, rel=1e-5)
    tokens = subject.normed(stream)[:, 1:]
    assert PatchCosine(2).numbers(place, ONE)[0] == pytest.approx(float(mean_cosine(tokens).mean()), abs=1e-5)
    assert tokens.shape[1] == subject.card.patches == GRID * GRID
