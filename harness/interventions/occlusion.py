"""Squares of a picture that are blacked out at random."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from harness.errors import ClaimsError
from harness.images.batch import Batch

SQUARES = 14  # purpose of the chunk's random generator
ROUNDING = 1e-9  # .3 x 10 is a little less than 3


@dataclass(frozen=True, kw_only=True)
class BlackSquares:
    """Set a share of the cells of a grid (rows, columns) to 0 on the [0, 1] scale, as in the code of arXiv 2105.10497.

    Rounded down, and drawn anew for every picture. Cells of a smaller share are among those of a larger one.
    """

    grid: tuple[int, int]
    share: float
    exchanges = False
    needs_masks = False

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or min(self.grid) < 1:
            raise ValueError(f"{self!r}; allowed: shares above 0 and up to 1, of a grid of one cell or more")

    @property
    def count(self) -> int:
        """Count the cells that are blacked out."""
        return int(self.share * self.grid[0] * self.grid[1] + ROUNDING)

    def apply(
        self, pixels: Float[Tensor, "image channel row column"], chunk: Batch
    ) -> Float[Tensor, "image channel row column"]:
        """Return the occluded pictures; raises ClaimsError where the grid does not tile them."""
        images, (rows, columns) = len(pixels), pixels.shape[-2:]
        if rows % self.grid[0] or columns % self.grid[1]:
            raise ClaimsError(f"{self!r}: {self.grid} cells do not tile pictures of {rows} x {columns}")
        cells = self.grid[0] * self.grid[1]
        places = torch.rand(images, cells, generator=chunk.generator(SQUARES)).argsort(dim=1).argsort(dim=1)
        left = (places >= self.count).to(pixels).reshape(images, 1, *self.grid)
        return pixels * functional.interpolate(left, size=(rows, columns), mode="nearest")
