"""Objects and backgrounds are hidden where they are, and nowhere else."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from harness.errors import ClaimsError
from harness.images.batch import Batch, object_patches
from harness.interventions.pixels import FillBackground, FillObject, edit_pictures, region_of
from harness.models.subject import Preprocessing

LOOKS = Preprocessing(size=(8, 8), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))


@dataclass(frozen=True, eq=False)
class Given:
    """Marks that are given."""

    masks: torch.Tensor | None = None
    boxes: tuple[torch.Tensor, ...] | None = None


def masks() -> torch.Tensor:
    marked = torch.zeros(3, 8, 8, dtype=torch.bool)
    marked[0, 1:4, 2:6] = True
    marked[0, 2, 3] = False  # a hole: the frame covers it, the mask does not
    marked[1, 5:, :2] = True
    marked[2] = torch.eye(8, dtype=torch.bool)
    return marked


BOXES = (
    torch.tensor([[2.0, 1.0, 6.0, 4.0], [0.0, 7.0, 1.0, 8.0]]),
    torch.tensor([[0.4, 5.4, 2.0, 8.0]]),
    torch.empty(0, 4),
)


def chunk(marks: Given | None) -> Batch:
    donors = torch.tensor([1, 0, 2])
    return Batch(positions=range(3), donors=donors, labels=None, seed=3, marks=marks)


MARKED = chunk(Given(masks(), BOXES))


def pictures() -> torch.Tensor:
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05


def test_the_regions_are_boxes_mask_and_the_smallest_rectangle_around_the_mask():
    boxes = region_of("box", "own", MARKED, pictures()).numpy()
    expected = np.zeros((3, 8, 8), dtype=bool)
    expected[0, 1:4, 2:6] = expected[0, 7, 0] = True
    expected[1, 5:8, 0:2] = True  # a pixel counts where its centre lies in the box
    np.testing.assert_array_equal(boxes, expected)
    assert torch.equal(region_of("mask", "own", MARKED, pictures()), masks())
    frames = masks()
    frames[0, 2, 3], frames[2] = True, True
    assert torch.equal(region_of("frame", "own", MARKED, pictures()), frames)
    assert torch.equal(region_of("frame", "donor", MARKED, pictures()), frames[[1, 0, 2]])
    donors = region_of("box", "donor", MARKED, pictures()).numpy()
    np.testing.assert_array_equal(donors, expected[[1, 0, 2]])


@pytest.mark.parametrize("region", ["box", "mask", "frame"])
def test_object_and_background_are_hidden_to_either_side_of_one_region(region):
    pixels, where = pictures(), region_of(region, "own", MARKED, pictures())[:, None].expand(3, 3, 8, 8)
    hidden = FillObject(region=region).apply(pixels, MARKED)
    alone = FillBackground(region=region).apply(pixels, MARKED)
    assert torch.equal(hidden[~where], pixels[~where])
    assert (hidden[where] == 0).all()
    assert torch.equal(hidden + alone, pixels)


def test_the_fill_is_the_mean_colour_or_the_picture_blurred():
    pixels = pictures()
    where = masks()[:, None].expand(3, 3, 8, 8)
    mean = FillObject(region="mask", fill="mean").apply(pixels, MARKED)
    expected = pixels.mean(dim=(2, 3), keepdim=True).expand_as(pixels)
    torch.testing.assert_close(mean[where], expected[where])
    blurred = FillObject(region="mask", fill="blur").apply(pixels, MARKED)
    assert torch.equal(blurred[~where], pixels[~where])
    weights = np.exp(-0.5 * (np.arange(-2, 3) / 0.5) ** 2)  # sigma: a sixteenth of 8 pixels
    padded = np.pad(pixels[0, 1].numpy(), 2, mode="reflect")
    by_hand = np.einsum("abij,i,j->ab", np.lib.stride_tricks.sliding_window_view(padded, (5, 5)), weights, weights)
    np.testing.assert_allclose(blurred[0, 1, 1:4, 2], (by_hand / weights.sum() ** 2)[1:4, 2], atol=1e-5)


def test_edits_know_whom_they_ask_and_refuse_what_is_not_there():
    assert FillObject(whose="donor").exchanges
    assert not FillBackground().exchanges
    assert (FillObject(region="box").needs_masks, FillBackground(region="frame").needs_masks) == (False, True)
    for region, word in (("frame", "masks"), ("box", "boxes")):
        for marks in (None, Given()):
            with pytest.raises(ClaimsError, match=f"object {word} are needed, but the image set has none"):
                FillObject(region=region).apply(pictures(), chunk(marks))
        with pytest.raises(IndexError):
            FillObject(region=region, whose="donor").apply(pictures(), MARKED.alone)


def test_pictures_are_edited_on_the_scale_from_0_to_1_and_normalized_again():
    mean, std = (torch.tensor(values)[:, None, None] for values in (LOOKS.mean, LOOKS.std))
    images = (pictures() - mean) / std
    edited, changed = edit_pictures(images, FillObject(region="mask"), MARKED, LOOKS)
    where = masks()[:, None].expand(3, 3, 8, 8)
    torch.testing.assert_close(edited[~where], images[~where])
    torch.testing.assert_close(edited[where], (-mean / std).expand(3, 3, 8, 8)[where])
    assert changed == 3
    few, changed = edit_pictures(images, FillObject(region="box"), MARKED, LOOKS)
    assert changed == 2, "the last picture has no box, and rounding is no change"
    assert few.dtype == images.dtype


@dataclass(frozen=True)
class Bright:
    """An edit that leaves the range."""

    exchanges = False
    needs_masks = False

    def apply(self, pixels, chunk):
        return pixels + 1


@dataclass(frozen=True)
class Small:
    """An edit that gives other pictures."""

    exchanges = False
    needs_masks = False

    def apply(self, pixels, chunk):
        return pixels[:, :, 1:]


@pytest.mark.parametrize("edit", [Bright(), Small()])
def test_edits_that_give_no_pictures_of_the_same_kind_are_refused(edit):
    with pytest.raises(ClaimsError, match="left the range 0 to 1"):
        edit_pictures(torch.zeros(3, 3, 8, 8), edit, MARKED, LOOKS)


def test_a_patch_is_object_if_at_least_half_of_its_pixels_are():
    marked = torch.zeros(1, 4, 6, dtype=torch.bool)
    marked[0, :2, 0] = True  # 2 of 4 pixels
    marked[0, 2, 2] = True  # 1 of 4
    marked[0, 2:, 4:] = True
    marked[0, 2, 4] = False  # 3 of 4
    assert object_patches(marked, (2, 3)).tolist() == [[True, False, False, False, False, True]]
