"""For which of two cues that disagree a model decides: the shape or the texture (arXiv 1811.12231)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.cues import CLASSES_OF
from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout

Cue = Literal["shape", "texture"]
CLASSES = 1000  # of ImageNet-1k, in the order in which the categories number them


@dataclass(frozen=True, kw_only=True)
class DecidesFor(StreamReadout):
    """1 where the model names the category of this cue of a picture whose cues disagree, else 0.

    Its category is that with the largest probability, averaged over the classes of each.
    """

    cue: Cue
    layer: int | None = None
    low = 0.0
    high = 1.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image; ClaimsError without cues, and for heads of other classes than ImageNet-1k's."""
        named = reading.once("category", lambda: categories(reading.logits("native")))
        shape, texture = reading.chunk.cues.to(named.device).unbind(dim=1)
        meant = shape if self.cue == "shape" else texture
        return ((named == meant) & (shape != texture)).float()


def categories(logits: Float[Tensor, "image class"]) -> Int[Tensor, "image"]:
    """Name the category with the largest mean probability of its classes; ClaimsError for other than 1,000 classes."""
    if logits.shape[1] != CLASSES:
        raise ClaimsError(
            f"categories are sets of the {CLASSES} classes of ImageNet-1k; the head has {logits.shape[1]}"
        )
    shares = logits.float().softmax(dim=1)
    return torch.stack([shares[:, list(own)].mean(dim=1) for own in CLASSES_OF.values()], dim=1).argmax(dim=1)
