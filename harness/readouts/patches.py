"""Readouts of the class in single patch tokens: where the label ranks on them, and whether a block lifts its logit.

A rank takes the logits of all classes, which in narrow models with many classes costs as much as the blocks do. Inner
blocks are therefore read on a draw of patches where all would cost too much (`affordable_patches`): the expectation of
the mean over a picture's patches is that over all of them, and pictures stay the independent units.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.images.batch import Batch
from harness.models.subject import ModelCard
from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout

DRAW = 17  # purpose of the chunk's random generator
COSTLIEST = 24  # ranking the label in all blocks may cost one part in this many of a forward pass


@dataclass(frozen=True, kw_only=True)
class PatchIdentifiability(StreamReadout):
    """Class identifiability 1 - rank/classes of the label, averaged over patch tokens (catalogue, shared metric 2).

    With `patches` it is averaged over that many of them, drawn for every picture anew and alike in all blocks.
    """

    layer: int
    patches: int | None = None
    low = 0.0
    high = 1.0

    def __post_init__(self) -> None:
        if self.patches is not None and self.patches < 1:
            raise ValueError(f"identifiability of {self.patches} patches; allowed: 1 or more, or None for all")

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        ranks = reading.patch_ranks if self.patches is None else _drawn_ranks(reading, self.patches)
        return 1.0 - ranks.float().mean(dim=1) / reading.card.classes


@dataclass(frozen=True, kw_only=True)
class AnyPatchRight(StreamReadout):
    """1 where the head is right on at least one patch token, else 0."""

    layer: int
    low = 0.0
    high = 1.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return reading.patch_correct.any(dim=1).float()


@dataclass(frozen=True, kw_only=True)
class PatchSampleAccuracy(StreamReadout):
    """Share of the patch tokens at these places on which the head is right."""

    layer: int
    places: tuple[int, ...]
    low = 0.0
    high = 1.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return reading.patch_correct[:, list(self.places)].float().mean(dim=1)


@dataclass(frozen=True, kw_only=True)
class PatchRise(StreamReadout):
    """Share of patch tokens whose logit of the label is strictly higher after a block than before it.

    Only the row of the label is projected; the head's bias is the same on both sides and drops out.
    """

    layer: int
    low = 0.0
    high = 1.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        after, before = reading.label_logits, reading.label_logits_before
        return (after > before)[:, len(reading.card.prefix) :].float().mean(dim=1)


def affordable_patches(card: ModelCard) -> int | None:
    """Say on how many patches inner blocks are read: as many as cost a 24th of a forward pass, None if that is all.

    Counted in multiplications: per token a block takes 12 width^2 + 2 tokens x width (with an MLP of four times the
    width), a ranking classes x width.
    """
    block = 12 * card.width + 2 * (card.patches + len(card.prefix))
    affordable = card.patches * block // (COSTLIEST * max(card.classes, 1))
    return None if affordable >= card.patches else max(affordable, 1)


def drawn_patches(chunk: Batch, patches: int, of: int) -> Int[Tensor, "image patch"]:
    """Draw for every picture of a chunk which of its patches are read, the same whatever else is measured."""
    images = len(chunk.positions)
    return torch.rand(images, of, generator=chunk.generator(DRAW)).argsort(dim=1)[:, :patches]


def _drawn_ranks(reading: Reading, patches: int) -> Int[Tensor, "image patch"]:
    def make() -> Tensor:
        tokens = reading.patches
        if patches >= tokens.shape[1]:
            return reading.patch_ranks
        places = drawn_patches(reading.chunk, patches, tokens.shape[1]).to(tokens.device)
        return reading.ranks_on(tokens[torch.arange(len(tokens), device=tokens.device)[:, None], places])

    return reading.once(("drawn ranks", patches), make)
