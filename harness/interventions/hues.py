"""Objects in other colours: their hue turned, everything else of the picture as it is."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from harness.images.batch import Batch

THIRD = 120  # degrees from red to green, and from green to blue


@dataclass(frozen=True)
class TurnHue:
    """Turn the hue of the object's pixels by a third or two thirds of the circle, saturation and value as they are.

    In HSV a turn by 120 degrees makes red of green's value, green of blue's and so on: the channels change places.
    """

    degrees: int = THIRD
    exchanges = False
    needs_masks = True

    def __post_init__(self) -> None:
        if self.degrees not in (THIRD, 2 * THIRD):
            raise ValueError(f"{self!r}: allowed: {THIRD} and {2 * THIRD} degrees")

    def apply(self, pixels: Float[Tensor, "image channel row column"], chunk: Batch) -> Tensor:
        """Return the pictures with their objects in other colours; raises ClaimsError without masks."""
        masks = chunk.masks_of("own").to(pixels.device)
        return torch.where(masks[:, None], pixels.roll(self.degrees // THIRD, dims=1), pixels)
