"""How far the pictures that a linear inverse brings back are from the pictures, and how that rises with depth.

Errors are squared and relative: 1 is the error of the mean training picture on the same picture, 0 none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.cells import put_together
from harness.images.thumbnails import Picture
from harness.models.places import placed
from harness.readouts.inversion.reconstruction import (
    InverseReadout,
    Of,
    inverse,
    mean_picture,
    pictures,
    reconstructed,
)
from harness.readouts.inversion.sheets import Fits, brought_back
from harness.readouts.members import MemberContext
from harness.readouts.reading import Reading

MOST = 2.0  # cut of a relative error
STEEPEST = 0.25  # cut of a relative rise
TINY = 1e-12  # least error that is divided by


@dataclass(frozen=True, kw_only=True)
class PictureError(InverseReadout):
    """Squared error of what the block's inverse brings back over that of the mean training picture, cut off at MOST.

    `of` says what is read (`reconstruction.coded`).
    """

    of: Of = "own"
    low = 0.0
    high = MOST

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""
        return (_errors(reading, self.of) / mean_picture_error(reading)).clamp(max=MOST)

    def sheets(self, place: MemberContext, fits: Fits) -> Sequence[Picture]:
        """Show what comes back from all over the model, once: where the last block is read."""
        last = self.layer in (None, place.subject.card.depth - 1) and self.of == "own"
        return [brought_back(place, fits)] if last else []


@dataclass(frozen=True, kw_only=True)
class ErrorRise(InverseReadout):
    """By how much the error is larger after a block than before it, over the sum of the two, cut off at +-STEEPEST."""

    low = -STEEPEST
    high = STEEPEST

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image, 0 where there is no error at all; ClaimsError after the embedding."""
        after = _errors(reading, "own")
        before = reading.once_before(("errors", "own"), lambda: _errors_before(reading))
        return ((after - before) / (after + before).clamp(min=TINY)).clamp(self.low, self.high)


def mean_picture_error(reading: Reading) -> Float[Tensor, "image"]:
    """Give the squared error of the mean training picture per picture; it is never 0."""
    return reading.once("error of the mean", lambda: squared(mean_picture(reading) - pictures(reading)).clamp(min=TINY))


def squared(difference: Float[Tensor, "image channel row column"]) -> Float[Tensor, "image"]:
    """Average the square over all pixels and channels."""
    return difference.square().flatten(1).mean(dim=1)


def _errors(reading: Reading, of: Of) -> Float[Tensor, "image"]:
    return reading.once(("errors", of), lambda: squared(reconstructed(reading, of) - pictures(reading)))


def _errors_before(reading: Reading) -> Float[Tensor, "image"]:
    """Bring pictures back from the stream that entered the block."""
    if (before := reading.before) is None:
        raise ClaimsError("a rise is read after a block; nothing enters the embedding")
    tokens, grid = placed(reading.card, before)
    back = inverse(reading, reading.block - 1)
    cells = back.targets(back.standardized(tokens))
    return squared(put_together(cells, grid, reading.card.preprocessing.size) - pictures(reading))
