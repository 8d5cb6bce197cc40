"""Readouts of the class in single patch tokens equal what loops over sorted logits say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.intervention import NONE
from harness.measurement.forward import measure_chunk
from harness.measurement.prefix_tree import Bill, Request
from harness.models.subject import Stream
from harness.readouts.own_answer import PatchAccuracy
from harness.readouts.patches import (
    COSTLIEST,
    AnyPatchRight,
    PatchIdentifiability,
    PatchRise,
    affordable_patches,
    drawn_patches,
)
from harness.readouts.reading import Reading, ranks
from harness.readouts.readout import block_of
from support.cards import make_card
from support.tiny import CLASSES, DEPTH, PATCHES, PREPROCESSING, RandomImages, tiny_vit

IMAGES = 12
PICTURES = RandomImages(count=IMAGES)
CHUNK = Batch(
    positions=range(IMAGES),
    donors=torch.arange(IMAGES).roll(1),
    labels=torch.from_numpy(PICTURES.labels),
    seed=3,
)
MODEL = tiny_vit()
LAST = DEPTH - 1


@torch.no_grad()
def states() -> list[Stream]:
    """Run the model: the stream after the embedding and after every block."""
    found = [MODEL.start(PICTURES.load(range(IMAGES), PREPROCESSING))]
    for block in range(DEPTH):
        found.append(MODEL.step(block, found[-1]))
    return found


@torch.no_grad()
def patch_logits(stream: Stream) -> np.ndarray:
    """Read all logits of all patch tokens with the module's own norm and head, [image, patch, class]."""
    return MODEL.model.head(MODEL.model.norm(stream.tokens))[:, 1:].double().numpy()


def sorted_ranks(logits: np.ndarray) -> np.ndarray:
    """Find the place of the label among the sorted logits, [image, patch]."""
    order = np.argsort(-logits, axis=-1)
    return np.array(
        [[list(row).index(label) for row in rows] for rows, label in zip(order, PICTURES.labels, strict=True)]
    )


def reading(block: int = LAST, chunk: Batch = CHUNK, subject=MODEL) -> Reading:
    streams = states()
    return Reading(subject, streams[block + 1], block, chunk, {}, None, before=streams[block] if block >= 0 else None)


@pytest.mark.parametrize("block", range(-1, DEPTH))
def test_identifiability_and_right_patches_equal_sorted_logits(block):
    expected = sorted_ranks(patch_logits(states()[block + 1]))
    here = reading(block)
    identifiable = PatchIdentifiability(layer=block).read(here)
    np.testing.assert_allclose(identifiable, 1 - expected.mean(axis=1) / CLASSES, atol=1e-6)
    assert AnyPatchRight(layer=block).read(here).tolist() == (expected == 0).any(axis=1).astype(float).tolist()
    np.testing.assert_allclose(PatchAccuracy(layer=block).read(here), (expected == 0).mean(axis=1), atol=1e-6)
    assert (expected.mean() > 0) & (expected.mean() < CLASSES - 1)


@pytest.mark.parametrize("block", range(DEPTH))
def test_a_rise_equals_the_difference_of_full_logits(block):
    own = [patch_logits(one)[np.arange(IMAGES), :, PICTURES.labels] for one in states()[block : block + 2]]
    expected = (own[1] > own[0]).mean(axis=1)
    np.testing.assert_allclose(PatchRise(layer=block).read(reading(block)), expected, atol=1e-6)
    assert len(set(expected)) > 1


def test_rises_in_one_pass_are_those_read_one_by_one():
    wanted = [Request(intervention=NONE, readout=PatchRise(layer=b), claimants=frozenset({"x"})) for b in range(DEPTH)]
    images = PICTURES.load(range(IMAGES), PREPROCESSING)
    together = measure_chunk(MODEL, images, CHUNK, wanted, {}, Bill())
    for block, row in enumerate(together):
        (alone,) = measure_chunk(MODEL, images, CHUNK, wanted[block : block + 1], {}, Bill())
        assert np.array_equal(row.numbers, alone.numbers)
        assert np.array_equal(row.numbers, PatchRise(layer=block).read(reading(block)).double().numpy())


def test_nothing_rises_where_nothing_changes_and_nothing_enters_the_embedding():
    stream = states()[2]
    same = Reading(MODEL, stream, 1, CHUNK, {}, None, before=stream)
    assert PatchRise(layer=1).read(same).tolist() == [0.0] * IMAGES
    with pytest.raises(ClaimsError, match="nothing enters the embedding"):
        PatchRise(layer=-1).read(reading(-1))


def test_drawn_patches_are_read_on_their_places_alone():
    here, places = reading(), drawn_patches(CHUNK, 2, PATCHES)
    expected = np.take_along_axis(sorted_ranks(patch_logits(states()[-1])), places.numpy(), axis=1)
    read = PatchIdentifiability(layer=LAST, patches=2).read(here)
    np.testing.assert_allclose(read, 1 - expected.mean(axis=1) / CLASSES, atol=1e-6)
    for many in (PATCHES, PATCHES + 5):
        everything = PatchIdentifiability(layer=LAST, patches=many).read(here)
        assert torch.equal(everything, PatchIdentifiability(layer=LAST).read(here))


def test_a_draw_is_alike_in_all_blocks_and_its_expectation_is_that_of_all_patches():
    assert torch.equal(drawn_patches(CHUNK, 2, PATCHES), drawn_patches(CHUNK, 2, PATCHES))
    assert all(len(set(row)) == 2 for row in drawn_patches(CHUNK, 2, PATCHES).tolist())
    assert len({tuple(row) for row in drawn_patches(CHUNK, 2, PATCHES).tolist()}) > 1
    draws = torch.stack([drawn_patches(replace(CHUNK, seed=seed), 1, PATCHES) for seed in range(600)])
    share = torch.nn.functional.one_hot(draws.flatten(), PATCHES).float().mean(dim=0)
    torch.testing.assert_close(share, torch.full((PATCHES,), 1 / PATCHES), atol=0.02, rtol=0)


def test_random_logits_sit_on_the_analytic_null():
    classes, images = 9, 4000
    logits = torch.randn(images, classes, generator=torch.Generator().manual_seed(0))
    found = ranks(logits, torch.arange(images) % classes)
    # 1 - (classes - 1)/(2 classes), which 1 - rank/(classes - 1) stretches to a half.
    assert float(1 - found.float().mean() / classes) == pytest.approx((classes + 1) / (2 * classes), abs=0.01)
    assert float(1 - found.float().mean() / (classes - 1)) == pytest.approx(0.5, abs=0.01)
    assert float((found == 0).float().mean()) == pytest.approx(1 / classes, abs=0.01)


def test_a_patch_on_which_all_logits_are_equal_is_never_right():
    model = tiny_vit()
    torch.nn.init.zeros_(model.model.head.weight)
    torch.nn.init.zeros_(model.model.head.bias)
    here = reading(subject=model)
    assert AnyPatchRight(layer=LAST).read(here).tolist() == [0.0] * IMAGES
    torch.testing.assert_close(PatchIdentifiability(layer=LAST).read(here), torch.full((IMAGES,), 1 / CLASSES))


def test_the_norm_is_applied_once_for_all_readouts_of_a_stream(monkeypatch):
    calls = []
    family = MODEL.family
    counted = replace(family, norm=lambda model, tokens: calls.append(1) or family.norm(model, tokens))
    model = replace(MODEL, family=counted)
    readouts = [PatchIdentifiability(layer=b, patches=p) for b in range(DEPTH) for p in (None, 2)]
    readouts += [AnyPatchRight(layer=LAST), PatchAccuracy(layer=LAST), *(PatchRise(layer=b) for b in range(1, DEPTH))]
    wanted = [Request(intervention=NONE, readout=one, claimants=frozenset({"x"})) for one in readouts]
    measure_chunk(model, PICTURES.load(range(IMAGES), PREPROCESSING), CHUNK, wanted, {}, Bill())
    # Once per block, and once more for what enters block 1: block 0 has no rise of its own to share.
    assert len(calls) == DEPTH + 1


def test_all_patches_are_read_where_that_is_cheap_and_a_draw_of_them_elsewhere():
    def read(width: int, classes: int, grid: int) -> int | None:
        return affordable_patches(replace(make_card(classes=classes, grid=(grid, grid)), width=width))

    assert read(64, 10, 8) is None
    assert read(768, 100, 14) is None
    assert read(768, 1000, 7) == 49 * (12 * 768 + 2 * 50) // (COSTLIEST * 1000) == 19
    assert read(768, 1000, 14) == 78
    assert read(192, 1000, 14) == 196 * (12 * 192 + 2 * 197) // (COSTLIEST * 1000) == 22
    assert read(768, 21841, 14) == 3
    assert read(192, 10**6, 14) == 1


def test_no_patches_at_all_are_refused():
    with pytest.raises(ValueError, match="identifiability of 0 patches; allowed: 1 or more, or None for all"):
        PatchIdentifiability(layer=0, patches=0)


def test_readouts_name_the_block_after_which_they_read():
    for readout in (PatchIdentifiability(layer=2), AnyPatchRight(layer=2), PatchRise(layer=2)):
        assert block_of(readout, MODEL.card) == 2
