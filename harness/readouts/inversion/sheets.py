"""Contact sheets of what comes back: pictures beside what the inverses make of them, block by block."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from harness.images.batch import Batch
from harness.images.thumbnails import Picture, pixels_of, sheet
from harness.interventions.intervention import PixelEdit
from harness.interventions.pixels import edit_pictures
from harness.models.sites import EMBEDDING
from harness.models.subject import Subject
from harness.probes.fittable import Fittable, Fitted
from harness.readouts.inversion.reconstruction import reconstructed
from harness.readouts.members import MemberContext
from harness.readouts.reading import Reading

PICTURES, PLACES = 2, 6  # shown at most: pictures, and places in the chain with the embedding among them

Fits = Mapping[Fittable, Fitted]
Pixels = Float[Tensor, "image channel row column"]


@torch.inference_mode()
def brought_back(place: MemberContext, fits: Fits, edit: PixelEdit | None = None) -> Picture:
    """Show the first pictures and what comes back of them; below each the same of its edited version, if any."""
    subject, positions = place.subject, range(min(PICTURES, place.pictures))
    chunk, images, looks = place.chunk_of(positions), place.load(positions), place.subject.card.preprocessing
    versions = [images] if edit is None else [images, edit_pictures(images, edit, chunk, looks)[0]]
    blocks = shown_blocks(subject.card.depth)
    columns = [
        [
            pixels_of(version, looks),
            *(reconstructed(one).cpu() for one in _readings(subject, version, chunk, fits, blocks)),
        ]
        for version in versions
    ]
    rows = [[part[number].clamp(0, 1) for part in column] for number in positions for column in columns]
    after = f"the embedding and blocks {', '.join(map(str, blocks[1:]))}"
    edited = "" if edit is None else "; below it the same with its object in another colour"
    return sheet(
        f"Brought back from {subject.card.name}", f"A picture, and what comes back from {after}{edited}.", rows
    )


@torch.inference_mode()
def outlined(place: MemberContext, fits: Fits, outline: Callable[[Pixels], Tensor]) -> Picture:
    """Show the first pictures, their masks, what comes back from the last block and what an outline finds in that."""
    subject, positions = place.subject, range(min(PICTURES, place.pictures))
    chunk, images = place.chunk_of(positions), place.load(positions)
    (last,) = _readings(subject, images, chunk, fits, (subject.card.depth - 1,))
    back = reconstructed(last).clamp(0, 1)
    parts = [pixels_of(images, subject.card.preprocessing), chunk.masks_of("own"), back, outline(back)]
    rows = [[_pixels(part[number]) for part in parts] for number in positions]
    caption = "A picture, its object, what comes back from the last block, and what stands out of that."
    return sheet(f"Outlined in what comes back from {subject.card.name}", caption, rows)


def shown_blocks(depth: int) -> tuple[int, ...]:
    """Choose places of a chain, the embedding and the last block among them, as even as can be."""
    places = np.linspace(EMBEDDING, depth - 1, min(PLACES, depth + 1)).round().astype(int)
    return tuple(places.tolist())


def _readings(subject: Subject, images: Pixels, chunk: Batch, fits: Fits, blocks: tuple[int, ...]) -> Iterator[Reading]:
    """Read pictures after some blocks."""
    stream = subject.start(images)
    for block in range(EMBEDDING, subject.card.depth):
        stream = stream if block == EMBEDDING else subject.step(block, stream)
        if block in blocks:
            yield Reading(subject, stream, block, chunk, fits, None)


def _pixels(part: Tensor) -> Float[Tensor, "channel row column"]:
    return part.float().cpu().expand(3, *part.shape[-2:])
