"""Pictures that a linear inverse makes of the stream after a block, shared by the readouts that look at them."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from harness.errors import NotApplicable
from harness.images.cells import cells_of, put_together, shown
from harness.interventions.intervention import PixelEdit
from harness.interventions.pixels import edit_pictures
from harness.models.places import placed, untiled
from harness.models.sites import EMBEDDING
from harness.models.subject import ModelCard, Stream
from harness.probes.fittable import Fittable, collected
from harness.probes.patch_inverse import PatchInverses, inverse_after
from harness.probes.regression import Regression
from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout

Of = Literal["own", "shuffled", "turned"]
SHUFFLED = 13  # purpose of the chunk's random generator
TURN = 19  # seed of the rotation
Pixels = Float[Tensor, "image channel row column"]


@dataclass(frozen=True, kw_only=True)
class InverseReadout(StreamReadout):
    """What readouts say of themselves that use linear inverses after block `layer` (None: the last)."""

    layer: int | None = None

    @property
    def fits(self) -> tuple[Fittable, ...]:
        """Read the linear inverses of all blocks."""
        return (PatchInverses(),)


def refuse_untiled(card: ModelCard) -> None:
    """Raise NotApplicable for models whose places do not tile their pictures: then a place has no pixels of its own."""
    if (grid := untiled(card)) is not None:
        raise NotApplicable(f"a grid of {grid} places does not tile pictures of {card.preprocessing.size} pixels")


def inverse(reading: Reading, block: int) -> Regression:
    """Give the inverse of a block."""
    return inverse_after(block, collected(reading.fits, PatchInverses()))


def mean_picture(reading: Reading) -> Float[Tensor, "channel row column"]:
    """Give the mean of the training pictures."""
    return collected(reading.fits, PatchInverses())["picture"].to(reading.stream.tokens.device)


def pictures(reading: Reading) -> Pixels:
    """Give the pictures themselves on the [0, 1] scale."""
    of = reading.chunk.pictures.to(reading.stream.tokens.device)
    return reading.once("pictures", lambda: shown(of, reading.card.preprocessing))


def coded(reading: Reading, of: Of = "own") -> Float[Tensor, "image place width"]:
    """Standardize what the stream holds at every place.

    "shuffled" takes it from another place of the picture, drawn by chunk; "turned" turns it by one random rotation of
    all tokens, as if another network had coded them.
    """

    def code() -> Tensor:
        tokens = placed(reading.card, reading.stream).tokens
        return inverse(reading, reading.block).standardized(tokens)

    found = reading.once("standardized", code)
    if of == "turned":
        return found @ _rotation(found.shape[2]).to(found)
    if of == "shuffled":
        order = torch.rand(found.shape[:2], generator=reading.chunk.generator(SHUFFLED)).argsort(dim=1)
        return found.gather(1, order.to(found.device)[:, :, None].expand_as(found))
    return found


def reconstructed(reading: Reading, of: Of = "own") -> Pixels:
    """Bring pictures back from the stream after the block, by the block's own inverse; not cut to [0, 1]."""

    def bring() -> Tensor:
        grid = placed(reading.card, reading.stream).grid
        cells = inverse(reading, reading.block).targets(coded(reading, of))
        return put_together(cells, grid, reading.card.preprocessing.size)

    return reading.once(("reconstructed", of), bring)


def difference_in_cells(reading: Reading, edit: PixelEdit) -> tuple[Tensor, Tensor]:
    """Give by how much an edit of the pictures changes the cells, and what the inverse brings back of them.

    Both [image, place, pixel]. The model runs once more, on the edited pictures.
    """
    card = reading.card
    edited = reading.once_before(("edited pictures", edit), lambda: _edited(reading, edit))
    reading.shared["edited pictures", edit] = edited
    stream = reading.once(("stream of", edit), lambda: _stream(reading, edit, edited))
    there, grid = placed(card, stream)
    map_back = inverse(reading, reading.block)
    changed = map_back.standardized(there) - coded(reading)
    before = cells_of(pictures(reading), grid)
    after = cells_of(shown(edited, card.preprocessing), grid)
    return after - before, changed @ map_back.weights.to(changed.device)


@cache
def _rotation(width: int) -> Tensor:
    """Draw a rotation (or a rotation and a reflection), the same for every chunk."""
    generator = torch.Generator().manual_seed(TURN)
    return torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))[0]


def _edited(reading: Reading, edit: PixelEdit) -> Tensor:
    of = reading.chunk.pictures.to(reading.stream.tokens.device)
    return edit_pictures(of, edit, reading.chunk, reading.card.preprocessing)[0]


def _stream(reading: Reading, edit: PixelEdit, edited: Tensor) -> Stream:
    """Run the edited pictures up to the block, from where the block before was read if it was."""
    if reading.block == EMBEDDING:
        return reading.subject.start(edited.to(reading.stream.tokens.dtype))
    before = reading.once_before(("stream of", edit), lambda: _up_to(reading, edited))
    return reading.subject.step(reading.block, before)


def _up_to(reading: Reading, edited: Tensor) -> Stream:
    stream = reading.subject.start(edited.to(reading.stream.tokens.dtype))
    for block in range(reading.block):
        stream = reading.subject.step(block, stream)
    return stream
