"""Readouts of the class in single patch tokens: where the label ranks on them, and whether a block lifts its logit.

A rank takes the logits of all classes, which in narrow models with many classes costs as much as the blocks do. Inner
blocks are therefore read on a draw of patches where all would cost too much (`affordable_patches`): the expectation of
the mean over a picture's patches is that over all of them, and pictures stay the independent units.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.chunk import Chunk
from harness.errors import ClaimsError
from harness.reading import Reading
from harness.subject import ModelCard

DRAW = 17  # purpose of the chunk's random generator
ALL_UP_TO = 9  # all patches are ranked where that costs at most one part in this many of a forward pass,
DRAWN_UP_TO = 24  # elsewhere as many as cost one part in this many


@dataclass(frozen=True, kw_only=True)
class PatchIdentifiability:
    """Class identifiability 1 - rank/classes of the label, averaged over patch tokens (catalogue, shared metric 2).

    With `patches` it is averaged over that many of them, drawn for every picture anew and alike in all blocks.
    """

    layer: int
    patches: int | None = None
    low = 0.0
    high = 1.0
    needs_clean = False
    sites = ()
    exchanges = False
    fits = ()

    def __post_init__(self) -> None:
        if self.patches is not None and self.patches < 1:
            raise ValueError(f"identifiability of {self.patches} patches; allowed: 1 or more, or None for all")

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        ranks = reading.patch_ranks if self.patches is None else _drawn_ranks(reading, self.patches)
        return 1.0 - ranks.float().mean(dim=1) / reading.card.classes


@dataclass(frozen=True, kw_only=True)
class AnyPatchRight:
    """1 where the head is right on at least one patch token, else 0."""

    layer: int
    low = 0.0
    high = 1.0
    needs_clean = False
    sites = ()
    exchanges = False
    fits = ()

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return reading.patch_correct.any(dim=1).float()


@dataclass(frozen=True, kw_only=True)
class PatchRise:
    """Share of patch tokens whose logit of the label is strictly higher after a block than before it.

    Only the row of the label is projected; the head's bias is the same on both sides and drops out.
    """

    layer: int
    low = 0.0
    high = 1.0
    needs_clean = False
    sites = ()
    exchanges = False
    fits = ()

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        if reading.before is None:
            raise ClaimsError(f"{self!r} compares with the stream that entered a block; nothing enters the embedding")
        before, name = reading.before, "label logits of patches"
        after = reading.once(name, lambda: _label_logits(reading, reading.normed))
        start = reading.once_before(name, lambda: _label_logits(reading, reading.subject.normed(before).float()))
        return (after > start).float().mean(dim=1)


def affordable_patches(card: ModelCard) -> int | None:
    """Say on how many patches inner blocks are read: None (all) up to a ninth of a forward pass, else a 24th's.

    Counted in multiplications: per token a block takes 12 width^2 + 2 tokens x width (with an MLP of four times the
    width), a ranking classes x width.
    """
    block = 12 * card.width + 2 * (card.patches + len(card.prefix))
    if ALL_UP_TO * card.classes <= block:
        return None
    return max(1, card.patches * block // (DRAWN_UP_TO * card.classes))


def drawn_patches(chunk: Chunk, patches: int, of: int) -> Int[Tensor, "image patch"]:
    """Draw for every picture of a chunk which of its patches are read, the same whatever else is measured."""
    images = len(chunk.positions)
    return torch.rand(images, of, generator=chunk.generator(DRAW)).argsort(dim=1)[:, :patches]


def _label_logits(reading: Reading, normed: Float[Tensor, "image token width"]) -> Float[Tensor, "image patch"]:
    """Project normed tokens on the head's row of each picture's label, without its bias, and keep the patches."""
    rows = reading.subject.head_weights().weight.float()[reading.labels("own")]
    return (normed @ rows[:, :, None]).squeeze(-1)[:, len(reading.card.prefix) :]


def _drawn_ranks(reading: Reading, patches: int) -> Int[Tensor, "image patch"]:
    def make() -> Tensor:
        tokens = reading.patches
        if patches >= tokens.shape[1]:
            return reading.patch_ranks
        places = drawn_patches(reading.chunk, patches, tokens.shape[1]).to(tokens.device)
        return reading.ranks_on(tokens[torch.arange(len(tokens), device=tokens.device)[:, None], places])

    return reading.once(("drawn ranks", patches), make)
