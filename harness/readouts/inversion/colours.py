"""How much of a change of colours a linear inverse brings back."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from harness.images.thumbnails import Picture
from harness.interventions.intervention import PixelEdit
from harness.readouts.inversion.reconstruction import InverseReadout, difference_in_cells
from harness.readouts.inversion.sheets import Fits, brought_back
from harness.readouts.members import MemberContext
from harness.readouts.reading import Reading

FAINT = 0.05  # length of a change of colour, red, green and blue from 0 to 1, below which there is none
LEAST, MOST = -1.0, 2.0  # cuts of the share that is kept


@dataclass(frozen=True, kw_only=True)
class ColourShifted(InverseReadout):
    """1 where `edit` changes the mean colour of the object's patches by FAINT or more, else 0."""

    edit: PixelEdit
    low = 0.0
    high = 1.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image; ClaimsError without masks or patch tokens."""
        return _seen(_shifts(reading, self.edit)[0]).float()


@dataclass(frozen=True, kw_only=True)
class ShiftKept(InverseReadout):
    """Share of that change which the block's inverse brings back; 0 where there is no change (`ColourShifted`).

    <brought back, made> / <made, made> with the mean changes of red, green and blue, cut off at LEAST and MOST.
    """

    edit: PixelEdit
    low = LEAST
    high = MOST

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image; ClaimsError without masks or patch tokens."""
        made, kept = _shifts(reading, self.edit)
        share = (made * kept).sum(dim=1) / made.square().sum(dim=1).clamp(min=FAINT**2)
        return torch.where(_seen(made), share, torch.zeros_like(share)).clamp(LEAST, MOST)

    def sheets(self, place: MemberContext, fits: Fits) -> Sequence[Picture]:
        """Show what comes back of pictures as they are and edited, once: where the last block is read."""
        last = self.layer in (None, place.subject.card.depth - 1)
        return [brought_back(place, fits, self.edit)] if last else []


def _seen(made: Float[Tensor, "image channel"]) -> Bool[Tensor, "image"]:
    return made.norm(dim=1) >= FAINT


def _shifts(reading: Reading, edit: PixelEdit) -> tuple[Tensor, Tensor]:
    """Average both changes over the object's patches: [image, channel] in the picture, and as brought back."""

    def average() -> tuple[Tensor, Tensor]:
        on_object = reading.object_patches.float()[:, :, None]
        many = on_object.sum(dim=1).clamp(min=1)
        by_channel = [part.unflatten(2, (3, -1)).mean(dim=3) for part in difference_in_cells(reading, edit)]
        first, second = ((part * on_object).sum(dim=1) / many for part in by_channel)
        return first, second

    return reading.once(("shifts", edit), average)
