"""Edits of the pictures themselves: objects or backgrounds hidden (the others are in `pixel_filters`).

All work on pixels [image, channel, row, column] on the [0, 1] scale, at the size of the model's input.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from harness.errors import ClaimsError
from harness.images.batch import Batch, Whose
from harness.interventions.intervention import PixelEdit
from harness.models.subject import Preprocessing

Region = Literal["box", "mask", "frame"]
Fill = Literal["black", "mean", "blur"]
BLUR = 1 / 16  # standard deviation of "blur", as a share of the shorter side

Pixels = Float[Tensor, "image channel row column"]


def edit_pictures(
    images: Pixels, edit: PixelEdit, chunk: Batch, preprocessing: Preprocessing
) -> tuple[Float[Tensor, "image channel row column"], int]:
    """Undo the normalization, edit, and normalize again; also give how many pictures the edit changed.

    Raises ClaimsError where the edit gives anything but pictures of the same shape between 0 and 1.
    """
    looks = (preprocessing.mean, preprocessing.std)
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in looks)
    pixels = (images.float() * std + mean).clamp(0, 1)
    edited = edit.apply(pixels.clone(), chunk)
    if edited.shape != pixels.shape or not bool(((edited >= 0) & (edited <= 1)).all()):
        raise ClaimsError(f"{edit!r} gave {list(edited.shape)} from {list(pixels.shape)} or left the range 0 to 1")
    return ((edited - mean) / std).to(images.dtype), int((edited != pixels).flatten(1).any(dim=1).sum())


@dataclass(frozen=True, kw_only=True)
class FillObject:
    """Hide the object: what is left is the background.

    `region` is the union of its boxes, its mask, or the frame of the mask (the smallest rectangle around it, which
    does not give the silhouette away); "donor" hides where the donor's object is. `fill` is black, the picture's mean
    colour, or the picture blurred.
    """

    region: Region = "frame"
    fill: Fill = "black"
    whose: Whose = "own"

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads where the donor's object is."""
        return self.whose == "donor"

    @property
    def needs_masks(self) -> bool:
        """Tell whether it reads masks and not boxes."""
        return self.region != "box"

    def apply(self, pixels: Pixels, chunk: Batch) -> Pixels:
        """Return the pictures without their objects."""
        return _filled(pixels, region_of(self.region, self.whose, chunk, pixels), self.fill)


@dataclass(frozen=True, kw_only=True)
class FillBackground:
    """Hide everything outside the object: what is left is the foreground; otherwise as `FillObject`."""

    region: Region = "frame"
    fill: Fill = "black"
    whose: Whose = "own"

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads where the donor's object is."""
        return self.whose == "donor"

    @property
    def needs_masks(self) -> bool:
        """Tell whether it reads masks and not boxes."""
        return self.region != "box"

    def apply(self, pixels: Pixels, chunk: Batch) -> Pixels:
        """Return the pictures without their backgrounds."""
        return _filled(pixels, ~region_of(self.region, self.whose, chunk, pixels), self.fill)


def region_of(region: Region, whose: Whose, chunk: Batch, pixels: Pixels) -> Bool[Tensor, "image row column"]:
    """Give the pixels of a region; a pixel lies in a box if its centre does. Raises ClaimsError without marks."""
    rows, columns = pixels.shape[-2:]
    if region == "box":
        found = [_inside(boxes, rows, columns).any(dim=0) for boxes in chunk.boxes_of(whose)]
        return torch.stack(found).to(pixels.device)
    masks = chunk.masks_of(whose).to(pixels.device)
    return masks if region == "mask" else _between(masks.any(dim=2))[:, :, None] & _between(masks.any(dim=1))[:, None]


def _inside(boxes: Tensor, rows: int, columns: int) -> Tensor:
    """Say which pixels lie in which box: bool [box, row, column]."""
    down, right = torch.arange(rows).to(boxes) + 0.5, torch.arange(columns).to(boxes) + 0.5
    x0, y0, x1, y1 = (corner[:, None] for corner in boxes.unbind(dim=1))
    return ((down >= y0) & (down < y1))[:, :, None] & ((right >= x0) & (right < x1))[:, None]


def _between(marked: Tensor) -> Tensor:
    """Fill [image, place] from the first to the last marked place."""
    ones = marked.int()
    return (ones.cumsum(dim=1) > 0) & (ones.flip(1).cumsum(dim=1).flip(1) > 0)


def _filled(pixels: Tensor, where: Tensor, fill: Fill) -> Tensor:
    if fill == "black":
        filling = torch.zeros_like(pixels)
    elif fill == "mean":
        filling = pixels.mean(dim=(-2, -1), keepdim=True).expand_as(pixels)
    else:
        filling = _blurred(pixels)
    return torch.where(where[:, None], filling, pixels)


def _blurred(pixels: Tensor) -> Tensor:
    sigma = BLUR * min(pixels.shape[-2:])
    reach = min(math.ceil(3 * sigma), min(pixels.shape[-2:]) - 1)
    offsets = torch.arange(-reach, reach + 1).to(pixels)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (weights / weights.sum()).expand(pixels.shape[1], 1, 1, -1)
    padded = functional.pad(pixels, [reach] * 4, mode="reflect")
    wide = functional.conv2d(padded, kernel, groups=pixels.shape[1])
    return functional.conv2d(wide, kernel.transpose(2, 3), groups=pixels.shape[1]).clamp(0, 1)
