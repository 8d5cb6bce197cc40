"""Prefix tokens, or patches, that hold something else where they enter blocks: nothing, what is typical, a donor's."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.intervention import Intervention
from harness.models.sites import EMBEDDING
from harness.models.subject import ModelCard
from harness.probes.fittable import Fittable, prefix_fit
from harness.probes.prefix_moments import PrefixMoments

By = Literal["zero", "mean", "noise", "donor"]
NOISE, PLACES = 3000, 15  # purposes of the chunk's random generators: noise starts here, one for each block

Tokens = Float[Tensor, "image token width"]


@dataclass(frozen=True, kw_only=True)
class ReplaceTokens:
    """Replace all prefix tokens of one kind where they enter block `block`.

    By zeros, by their mean there over training pictures, by Gaussian noise of the same mean and spread per channel,
    or by those of the donor.
    """

    kind: str
    by: By
    block: int

    @property
    def exchanges(self) -> bool:
        """Tell whether pictures receive tokens of their donors."""
        return self.by == "donor"

    @property
    def fits(self) -> tuple[Fittable, ...]:
        """List the moments, where they are read."""
        return (PrefixMoments(),) if self.by in ("mean", "noise") else ()

    def apply(self, tokens: Tokens, card: ModelCard, chunk: Batch) -> Tokens:
        """Return the stream with the replaced tokens; raises ClaimsError where the model has none of them."""
        places = [place for place, kind in enumerate(card.prefix) if kind == self.kind]
        if not places:
            raise ClaimsError(f"{self!r}: the prefix tokens of {card.name!r} are {list(card.prefix)}")
        edited = tokens.clone()
        edited[:, places] = self._instead(tokens[:, places], places, chunk).to(tokens)
        return edited

    def _instead(self, own: Tokens, places: list[int], chunk: Batch) -> Tensor:
        if self.by == "zero":
            return torch.zeros_like(own)
        if self.by == "donor":
            return own[chunk.donors.to(own.device)]
        moments = prefix_fit(chunk.fits)
        mean, std = moments.mean[self.block, places], moments.std[self.block, places]
        if self.by == "mean":
            return mean.expand(len(own), -1, -1)
        return mean + std * torch.randn(own.shape, generator=chunk.generator(NOISE + self.block))


@dataclass(frozen=True, kw_only=True)
class ZeroPatches:
    """Put zeros in the place of so many patches of each picture, drawn at random; the same ones in every block."""

    count: int
    exchanges = False

    def apply(self, tokens: Tokens, card: ModelCard, chunk: Batch) -> Tokens:
        """Return the stream with zeros; raises ClaimsError for more patches than there are."""
        prefix, patches = len(card.prefix), tokens.shape[1] - len(card.prefix)
        if not 0 < self.count <= patches:
            raise ClaimsError(f"{self!r}: {patches} patches are there; allowed: 1 to as many")
        order = torch.rand(len(tokens), patches, generator=chunk.generator(PLACES)).argsort(dim=1).argsort(dim=1)
        left = torch.cat((torch.ones(len(tokens), prefix, dtype=torch.bool), order >= self.count), dim=1)
        return tokens * left[..., None].to(tokens)


def replace_tokens(card: ModelCard, kind: str, by: By) -> Intervention:
    """Replace all prefix tokens of one kind before every block.

    Before the first one they are the same for every picture, so that only zeros change them there.
    """
    blocks = range(card.depth) if by == "zero" else range(1, card.depth)
    edits = [(EMBEDDING + block, ReplaceTokens(kind=kind, by=by, block=block)) for block in blocks]
    return Intervention(edits=tuple(edits))


def zero_patches(card: ModelCard, count: int) -> Intervention:
    """Put zeros in the place of so many patches, drawn at random, before every block."""
    return Intervention(edits=tuple((EMBEDDING + block, ZeroPatches(count=count)) for block in range(card.depth)))
