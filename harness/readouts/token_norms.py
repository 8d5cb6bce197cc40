"""Patch tokens with outlying norms: how many there are, and whether they sit where patches repeat (arXiv 2309.16588).

The cut is a multiple of the median norm of the picture's own patch tokens, before the model's last norm.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from harness.errors import ClaimsError
from harness.models.subject import Positions
from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout

TIMES = 3.0  # the median norm, beyond which a token is an outlier
MOST = 100.0  # cut of the largest norm over the median
PERMUTED = 9  # purpose of the random generator that permutes norms


@dataclass(frozen=True, kw_only=True)
class OutlierShare(StreamReadout):
    """Share of patch tokens whose norm exceeds TIMES the median of the picture."""

    layer: int | None = None
    low = 0.0
    high = 1.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""
        return outliers(patch_norms(reading)).float().mean(dim=1)


@dataclass(frozen=True, kw_only=True)
class LargestNorm(StreamReadout):
    """The largest norm of a patch token over the median of the picture, cut off at MOST."""

    layer: int | None = None
    low = 1.0
    high = MOST

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""
        norms = patch_norms(reading)
        return (norms.amax(dim=1) / norms.median(dim=1).values.clamp(min=1e-30)).clamp(self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class HasOutliers(StreamReadout):
    """1 where a picture has patch tokens beyond the cut, else 0: over it a mean is one over such pictures."""

    layer: int | None = None
    low = 0.0
    high = 1.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""
        return outliers(patch_norms(reading)).any(dim=1).float()


@dataclass(frozen=True, kw_only=True)
class RedundancyOfOutliers(StreamReadout):
    """How well the likeness of a patch to its neighbours tells outliers from other tokens: area under the curve.

    The likeness is the mean cosine to the up to four neighbours right after the patch embedding, before positions are
    added. 0 where a picture has no outlier (`HasOutliers`). `permuted` exchanges norms among the patches of a picture.
    """

    permuted: bool = False
    layer: int | None = None
    low = 0.0
    high = 1.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image; ClaimsError where patches lie on no grid."""
        likeness = reading.once("likeness of neighbours", lambda: _likeness(reading))
        norms = patch_norms(reading)
        if self.permuted:
            generator = reading.chunk.generator(PERMUTED)
            order = torch.rand(norms.shape, generator=generator).argsort(dim=1).to(norms.device)
            norms = norms.gather(1, order)
        return area_under_curve(likeness, outliers(norms))


def patch_norms(reading: Reading) -> Float[Tensor, "image patch"]:
    """Compute the length of every patch token."""
    return reading.once("patch norms", lambda: reading.stream.tokens[:, len(reading.card.prefix) :].float().norm(dim=2))


def outliers(norms: Float[Tensor, "image patch"]) -> Bool[Tensor, "image patch"]:
    """Mark norms beyond the cut."""
    return norms > TIMES * norms.median(dim=1, keepdim=True).values


def neighbour_cosine(features: Float[Tensor, "image row column channel"]) -> Float[Tensor, "image row column"]:
    """Average the cosine of each place to its neighbours above, below, left and right; edges have fewer."""
    unit = normalize(features.float(), dim=-1)
    total, count = torch.zeros(unit.shape[:3]).to(unit), torch.zeros(unit.shape[1:3]).to(unit)
    down, across = (unit[:, 1:] * unit[:, :-1]).sum(dim=-1), (unit[:, :, 1:] * unit[:, :, :-1]).sum(dim=-1)
    for part, here in ((down, (slice(1, None), slice(None))), (down, (slice(None, -1), slice(None)))):
        total[(slice(None), *here)] += part
        count[here] += 1
    for part, here in ((across, (slice(None), slice(1, None))), (across, (slice(None), slice(None, -1)))):
        total[(slice(None), *here)] += part
        count[here] += 1
    return total / count.clamp(min=1)


def area_under_curve(
    scores: Float[Tensor, "image place"], chosen: Bool[Tensor, "image place"]
) -> Float[Tensor, "image"]:
    """Compute how often a chosen place scores above one that is not, ties by half; 0 without both sorts."""
    ordered, scores = scores.sort(dim=1).values.contiguous(), scores.contiguous()
    below, up_to = (torch.searchsorted(ordered, scores, right=right) for right in (False, True))
    ranks = (below + up_to + 1).double() / 2  # from 1 on, the same for ties
    count, others = chosen.sum(dim=1).double(), (~chosen).sum(dim=1).double()
    wins = (ranks * chosen).sum(dim=1) - count * (count + 1) / 2
    return (wins / (count * others).clamp(min=1)).float()


def _likeness(reading: Reading) -> Float[Tensor, "image patch"]:
    card = reading.card
    if card.grid is None:
        raise ClaimsError(f"{card.name!r} has no patch tokens on a grid")
    positions: Positions = "none" if "position_embedding" in card.capabilities else "own"
    embedded = reading.subject.start(reading.chunk.pictures.to(reading.stream.tokens.device), positions)
    patches = embedded.tokens[:, len(card.prefix) :].unflatten(1, card.grid)
    return neighbour_cosine(patches).flatten(1)
