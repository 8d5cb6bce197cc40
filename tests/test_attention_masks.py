"""Masks say who may read whom, and what they leave out is really left out."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from test_forward import CHUNK, DEPTH, IMAGES, measured, pictures, subject, wanted

from harness.errors import ClaimsError
from harness.interventions.attention_masks import KeepByMask, SelfOnly, blind_to_cls, keep_patches, self_only
from harness.measurement.cost import expected_bill
from harness.measurement.forward import PROBED
from harness.measurement.prefix_tree import Bill

CARD = subject().card


@dataclass(frozen=True, eq=False)
class Marked:
    masks: torch.Tensor
    boxes = None


MASKS = torch.zeros(IMAGES, 16, 16, dtype=torch.bool)
for place in range(1, IMAGES):
    MASKS[place, :, : 4 * (1 + place % 3)] = True  # the first picture has no object
MARKED = replace(CHUNK, marks=Marked(MASKS), donors=torch.tensor([1, 0, 3, 2, 5, 4]))


def test_patches_that_see_only_themselves_are_the_values_of_themselves():
    allowed = SelfOnly().allowed(CARD, 17)
    assert allowed[0].all()
    assert torch.equal(allowed[1:, 1:], torch.eye(16, dtype=torch.bool))
    assert not allowed[1:, 0].any()
    stream = subject().start(pictures())
    _, inner = subject().watch(0, stream, ("value", "attention keys"), allowed)
    torch.testing.assert_close(inner["attention keys"][:, 1:], inner["value"][:, 1:])


def test_blind_patches_do_not_change_with_the_class_token():
    for renormalized in (True, False):
        ((_, mask),) = blind_to_cls([1], renormalized).masks
        allowed, stream = mask.allowed(CARD, 17), subject().start(pictures())
        other = stream.tokens.clone()
        other[:, 0] = 3.0
        after = [subject().step(1, one, allowed, renormalized).tokens for one in (stream, stream.with_tokens(other))]
        if renormalized:
            torch.testing.assert_close(after[0][:, 1:], after[1][:, 1:])
        assert not torch.allclose(after[0][:, 0], after[1][:, 0])


def test_patches_are_blind_to_every_summary_token_and_read_registers():
    ((_, mask),) = blind_to_cls([1]).masks
    allowed = mask.allowed(replace(CARD, prefix=("class", "distillation", "register")), 19)
    assert allowed[:3].all(), "the summary tokens themselves read everything"
    assert not allowed[3:, :2].any()
    assert allowed[3:, 2:].all()


def test_weights_on_the_class_token_are_left_out_without_raising_the_others():
    ((_, mask),) = blind_to_cls([1], renormalized=False).masks
    allowed, stream = mask.allowed(CARD, 17), subject().start(pictures())
    pattern = subject().attention_pattern(1, stream)
    after, inner = subject().watch(1, stream, ("value", "attention keys"), allowed, renormalize=False)
    values = inner["value"].unflatten(-1, (2, -1)).permute(0, 2, 1, 3)
    by_hand = (pattern[:, :, 1:, 1:] @ values[:, :, 1:]).transpose(1, 2).flatten(2)
    torch.testing.assert_close(inner["attention keys"][:, 1:], by_hand, atol=1e-5, rtol=1e-4)
    full = (pattern[:, :, :1] @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(inner["attention keys"][:, :1], full, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(after.tokens[:, 1:], subject().step(1, stream, allowed).tokens[:, 1:], atol=1e-4)


@pytest.mark.parametrize("arm", [self_only(range(DEPTH)), blind_to_cls([0, 2]), blind_to_cls([0, 2], False)])
def test_masked_arms_read_what_masked_steps_give_and_cost_what_is_counted(arm):
    bill = Bill()
    (row,) = measured(wanted(arm), bill=bill)
    masks, stream = dict(arm.masks), subject().start(pictures())
    for block in range(DEPTH):
        mask = masks.get(block)
        allowed = None if mask is None else mask.allowed(CARD, 17)
        stream = subject().step(block, stream, allowed, mask is None or mask.renormalized)
    expected = subject().logits(stream).gather(1, CHUNK.labels[:, None])[:, 0]
    np.testing.assert_array_equal(row.numbers, expected.double().numpy())
    assert bill.total == IMAGES * DEPTH + 2 * PROBED * len(masks) == expected_bill(wanted(arm), CARD, IMAGES).total


def kept_cells(keep: str, image: int) -> list[int]:
    cells = MASKS[image].unflatten(1, (4, 4)).unflatten(0, (4, 4)).float().mean(dim=(1, 3)).flatten() >= 0.5
    return [cell for cell in range(16) if bool(cells[cell]) == (keep == "object")]


@pytest.mark.parametrize("keep", ["object", "context"])
def test_hidden_patches_might_as_well_not_be_there(keep):
    (row,) = measured(wanted(keep_patches(CARD, keep)), MARKED)
    embedded = subject().start(pictures())
    for image in range(IMAGES):
        places = [0, *(1 + cell for cell in kept_cells(keep, image))]
        stream = embedded.with_tokens(embedded.tokens[image : image + 1, places])
        for block in range(DEPTH):
            stream = subject().step(block, stream)
        alone = subject().logits(stream)[0, CHUNK.labels[image]]
        assert row.numbers[image] == pytest.approx(float(alone), abs=1e-3)
    assert all(receipt.changed == PROBED for receipt in row.receipts)


def test_a_mask_that_forbids_the_first_picture_nothing_is_probed_on_another_one():
    (row,) = measured(wanted(keep_patches(CARD, "context")), MARKED)  # the first picture has no object to hide
    assert len(row.receipts) == DEPTH
    with pytest.raises(ClaimsError, match="changed nothing"):
        measured(wanted(keep_patches(CARD, "context")), replace(CHUNK, marks=Marked(torch.zeros_like(MASKS))))


def test_random_patches_are_as_many_as_the_mask_keeps_and_others():
    mask = KeepByMask(keep="object", random=True)
    kept, own = mask.kept(CARD, MARKED), KeepByMask(keep="object").kept(CARD, MARKED)
    assert torch.equal(kept.sum(dim=1), own.sum(dim=1))
    assert not torch.equal(kept, own)
    assert torch.equal(kept, mask.kept(CARD, MARKED))


def test_a_mask_may_take_the_donors_object_and_says_so():
    mask = KeepByMask(keep="object", whose="donor")
    assert torch.equal(mask.kept(CARD, MARKED), KeepByMask(keep="object").kept(CARD, MARKED)[MARKED.donors])
    assert keep_patches(CARD, "object", whose="donor").exchanges
    assert not keep_patches(CARD, "object").exchanges
    with pytest.raises(IndexError):
        mask.kept(CARD, MARKED.alone)


def test_masks_per_image_are_refused_where_they_cannot_be_drawn():
    mask = KeepByMask(keep="object")
    with pytest.raises(ClaimsError, match="object masks are needed"):
        mask.kept(CARD, CHUNK)
    with pytest.raises(ClaimsError, match="has no patch tokens"):
        mask.kept(replace(CARD, grid=None), MARKED)
    with pytest.raises(ClaimsError, match="needs all 16 patches"):
        mask.allowed_by_image(CARD, 5, MARKED)
    with pytest.raises(ClaimsError, match="a mask of its own for every image"):
        mask.allowed(CARD, 17)
