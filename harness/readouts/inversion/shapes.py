"""Shape without detail: whether what an inverse brings back still shows where the object is, and how fine it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from harness.errors import ClaimsError
from harness.images.batch import Whose
from harness.images.thumbnails import Picture
from harness.readouts.inversion.errors import MOST, TINY, squared
from harness.readouts.inversion.reconstruction import InverseReadout, mean_picture, pictures, reconstructed
from harness.readouts.inversion.sheets import Fits, outlined
from harness.readouts.members import MemberContext
from harness.readouts.reading import Reading

LEVELS = 64  # at which a map of distances is cut, of which the one that separates best is taken
WINDOW = 0.5  # side of the window of the local background, as a share of the picture's

Source = Literal["brought back", "mean picture", "picture"]
Pixels = Float[Tensor, "image channel row column"]


@dataclass(frozen=True, kw_only=True)
class ShapeOverlap(InverseReadout):
    """Intersection over union of the object's mask and what stands out of a picture from the colour around it.

    `of` says which picture: what the block's inverse brings back, the mean training picture, or the picture itself.
    `whose` "donor" compares with the mask of another picture.
    """

    of: Source = "brought back"
    whose: Whose = "own"
    low = 0.0
    high = 1.0

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads the masks of the donors."""
        return self.whose == "donor"

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image; ClaimsError without masks."""
        found = reading.once(("stands out", self.of), lambda: standing_out(_seen(reading, self.of)))
        masks = reading.chunk.masks_of(self.whose).to(found.device)
        both, any_ = ((part.flatten(1).sum(dim=1)).float() for part in (found & masks, found | masks))
        return both / any_.clamp(min=1)

    def sheets(self, place: MemberContext, fits: Fits) -> Sequence[Picture]:
        """Show what stands out of what comes back, once: where the last block is compared with its own mask."""
        last = self.layer in (None, place.subject.card.depth - 1)
        return (
            [outlined(place, fits, standing_out)] if last and (self.of, self.whose) == ("brought back", "own") else []
        )


@dataclass(frozen=True, kw_only=True)
class DetailError(InverseReadout):
    """Squared error of what is finer than a patch over that of the mean training picture, cut off at MOST."""

    low = 0.0
    high = MOST

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image; ClaimsError for models without a grid of patches."""
        if (grid := reading.card.grid) is None:
            raise ClaimsError(f"{reading.card.name!r} has no patches that tell what is finer")
        side = reading.card.preprocessing.size[0] // grid[0]
        error, of_mean = (
            squared(finer(one - pictures(reading), side)) for one in (reconstructed(reading), mean_picture(reading))
        )
        return (error / of_mean.clamp(min=TINY)).clamp(max=MOST)


def finer(pixels: Pixels, side: int) -> Pixels:
    """Keep the waves that are shorter than `side` pixels, per channel."""
    down, across = torch.fft.fftfreq(pixels.shape[2]), torch.fft.rfftfreq(pixels.shape[3])
    short = ((down[:, None] ** 2 + across[None] ** 2).sqrt() > 1.0 / side).to(pixels.device)
    return torch.fft.irfft2(torch.fft.rfft2(pixels.float()) * short, s=pixels.shape[2:])


def standing_out(pixels: Pixels) -> Bool[Tensor, "image row column"]:
    """Say which pixels are far from the mean colour of the window around them, by the threshold that separates best."""
    down, across = (int(WINDOW * side) // 2 for side in pixels.shape[2:])
    around = functional.avg_pool2d(pixels, (2 * down + 1, 1), 1, (down, 0), count_include_pad=False)
    around = functional.avg_pool2d(around, (1, 2 * across + 1), 1, (0, across), count_include_pad=False)
    distance = (pixels - around).norm(dim=1)
    return distance > separating(distance.flatten(1))[:, None, None]


def separating(numbers: Float[Tensor, "image pixel"]) -> Float[Tensor, "image"]:
    """Give the threshold of largest variance between what lies below and above it (Otsu), of LEVELS even ones."""
    low, high = numbers.amin(dim=1, keepdim=True), numbers.amax(dim=1, keepdim=True)
    levels = low + (high - low) * torch.arange(LEVELS, device=numbers.device) / LEVELS
    ordered = numbers.sort(dim=1).values.contiguous()
    below = torch.searchsorted(ordered, levels.contiguous(), right=True)
    sums = functional.pad(ordered.double().cumsum(dim=1), (1, 0))
    count, total = numbers.shape[1], sums[:, -1:]
    lower, above = sums.gather(1, below), count - below
    between = (lower * count - below * total) ** 2 / (below * above).clamp(min=1)
    return levels.gather(1, between.argmax(dim=1, keepdim=True))[:, 0]


def _seen(reading: Reading, of: Source) -> Pixels:
    if of == "picture":
        return pictures(reading)
    if of == "mean picture":
        return mean_picture(reading).expand_as(pictures(reading))
    return reconstructed(reading).clamp(0, 1)
