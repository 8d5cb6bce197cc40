"""What the inverse of one block makes of the stream after another: whether neighbouring blocks share a code."""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from harness.images.cells import cells_of
from harness.models.places import placed
from harness.readouts.inversion.errors import mean_picture_error
from harness.readouts.inversion.reconstruction import InverseReadout, Of, coded, inverse, pictures
from harness.readouts.reading import Reading

MOST = 4.0  # cut of a relative error: a foreign code often makes it larger than that of the mean picture


@dataclass(frozen=True, kw_only=True)
class SwappedError(InverseReadout):
    """Relative squared error of what the inverse of block `by` makes of the tokens after block `layer`.

    The tokens are standardized as those of their own block, and read as `of` says (`reconstruction.coded`). Cut off at
    MOST.
    """

    by: int
    of: Of = "own"
    low = 0.0
    high = MOST

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""
        sums = reading.once(("second moments", self.of), lambda: _sums(reading, self.of))
        weights = inverse(reading, self.by).weights.to(sums.codes.device).double()
        fitted = sums.both.flatten(1) @ weights.flatten()
        made = sums.codes.flatten(1) @ (weights @ weights.mT).flatten()
        errors = (sums.cells - 2 * fitted + made) / sums.numbers
        return (errors / mean_picture_error(reading)).clamp(0, MOST).float()


class _Sums(NamedTuple):
    """Second moments over the places of each picture, double: with them every inverse costs no more than its weights.

    `cells` [image] of the pixels about their mean, `codes` [image, width, width] of standardized tokens, `both`
    [image, width, pixel]; `numbers` is how many pixels and channels a picture has.
    """

    cells: Tensor
    codes: Tensor
    both: Tensor
    numbers: int


def _sums(reading: Reading, of: Of) -> _Sums:
    codes = coded(reading, of).double()
    cells = cells_of(pictures(reading), placed(reading.card, reading.stream).grid).double()
    # The mean cell is the same for the inverses of all blocks: they were fitted on the same pictures and grid.
    apart = cells - inverse(reading, reading.block).bias.to(cells)
    return _Sums(apart.square().sum(dim=(1, 2)), codes.mT @ codes, codes.mT @ apart, cells[0].numel())
