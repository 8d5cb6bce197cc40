"""How well the attention of the class token marks the object (arXiv 2104.14294)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate

from harness.errors import ClaimsError
from harness.images.batch import Whose
from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout

MASS = 0.6  # of the attention that the marked patches have, as in the source's code


@dataclass(frozen=True, kw_only=True)
class AttentionOverlap(StreamReadout):
    """Jaccard index of the object and the patches that the class token attends to after a block, best head per picture.

    Marked are the patches with the largest attention that have MASS of it together, each with all its pixels. `whose`
    "donor" compares them with the object of the donor.
    """

    whose: Whose = "own"
    layer: int | None = None
    low = 0.0
    high = 1.0

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads the masks of the donors."""
        return self.whose == "donor"

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image; ClaimsError after the embedding, without masks or without a grid."""
        marked = reading.once("marked by attention", lambda: _marked(reading))
        masks = reading.chunk.masks_of(self.whose).to(marked.device)
        return jaccard(marked, masks).amax(dim=1)


def largest_with(shares: Float[Tensor, "*place patch"], mass: float) -> Bool[Tensor, "*place patch"]:
    """Mark the patches with the largest shares that have `mass` of all of them together, and no patch too many."""
    values, order = shares.sort(dim=-1)
    kept = (values / values.sum(dim=-1, keepdim=True).clamp(min=1e-30)).cumsum(dim=-1) > 1.0 - mass
    return torch.zeros_like(kept).scatter(-1, order, kept)


def jaccard(
    marked: Bool[Tensor, "image head row column"], masks: Bool[Tensor, "image row column"]
) -> Float[Tensor, "image head"]:
    """Compute intersection over union in pixels, each marked place with all the pixels nearest to it; 0 of nothing."""
    grown = interpolate(marked.float(), size=tuple(masks.shape[-2:]), mode="nearest") > 0
    both = (grown & masks[:, None]).sum(dim=(2, 3))
    either = (grown | masks[:, None]).sum(dim=(2, 3))
    return both / either.clamp(min=1)


def _marked(reading: Reading) -> Bool[Tensor, "image head row column"]:
    card = reading.card
    if reading.before is None or card.grid is None:
        raise ClaimsError(f"attention to a grid of patches is read after a block of {card.name!r}, which has none here")
    pattern = reading.subject.attention_pattern(reading.block, reading.before)
    to_patches = pattern[:, :, card.prefix.index("class"), len(card.prefix) :].float()
    return largest_with(to_patches, MASS).unflatten(2, card.grid)
