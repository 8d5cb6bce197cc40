"""Tokens on the object and beside it: where the label ranks on each, and where attention writes it.

A picture has a number only if some of its patches lie on the object and some beside it. The numbers of all others are 0
and `HasBoth` tells them apart, so that a mean over the pictures that have both is the ratio of two means over all.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from harness.images.batch import Whose
from harness.interventions.attention_masks import KeepByMask
from harness.models.sites import Site
from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout
from harness.readouts.writes import label_logits

Region = Literal["object", "context"]
LOTTERY = KeepByMask(keep="object", random=True)  # as many patches as lie on the object, drawn anywhere


@dataclass(frozen=True, kw_only=True)
class HasBoth(StreamReadout):
    """1 where a picture has patches on the object and beside it, else 0.

    `whose` "donor" lays the mask of the donor over the picture; `drawn` asks that some patch on the object is among
    those that a random removal leaves (`LOTTERY`).
    """

    whose: Whose = "own"
    drawn: bool = False
    layer: int | None = None
    low = 0.0
    high = 1.0

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads the masks of the donors."""
        return self.whose == "donor"

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return _seen(reading, "object", self.whose, self.drawn).any(dim=1).float()


@dataclass(frozen=True, kw_only=True)
class RegionIdentifiability(StreamReadout):
    """Class identifiability 1 - rank/classes of the label, averaged over the patches of a region."""

    layer: int
    region: Region
    whose: Whose = "own"
    low = 0.0
    high = 1.0

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads the masks of the donors."""
        return self.whose == "donor"

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        found = 1.0 - reading.patch_ranks.float() / reading.card.classes
        return _mean_over(_seen(reading, self.region, self.whose), found)


@dataclass(frozen=True, kw_only=True)
class RegionAccuracy(StreamReadout):
    """Share of the patches of a region on which the head ranks the label first.

    With `drawn` only those patches count that a random removal leaves (`LOTTERY`).
    """

    layer: int
    region: Region
    whose: Whose = "own"
    drawn: bool = False
    low = 0.0
    high = 1.0

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads the masks of the donors."""
        return self.whose == "donor"

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return _mean_over(_seen(reading, self.region, self.whose, self.drawn), reading.patch_correct.float())


@dataclass(frozen=True, kw_only=True)
class AttentionLead(StreamReadout):
    """By how much more attention changes the label's logit on the object than beside it, cut off at +-`high`.

    The change on a token is the logit of attention's write less that of the stream before the block (arXiv 2310.18969);
    it is averaged over the patches of either region before they are compared.
    """

    layer: int
    whose: Whose = "own"
    high: float = 10.0

    @property
    def low(self) -> float:
        """Give the other end."""
        return -self.high

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads the masks of the donors."""
        return self.whose == "donor"

    @property
    def sites(self) -> tuple[Site, ...]:
        """Name attention's write."""
        return ("attention write",)

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        change = label_logits(reading, "attention write") - label_logits(reading, "before")
        change = change[:, len(reading.card.prefix) :]
        on_object, beside = (_mean_over(_seen(reading, where, self.whose), change) for where in ("object", "context"))
        return (on_object - beside).clamp(self.low, self.high)


def _seen(reading: Reading, region: Region, whose: Whose, drawn: bool = False) -> Bool[Tensor, "image patch"]:
    """Say which patches of a region count: none of a picture that lacks one of the regions."""
    on_object = reading.object_patches_of(whose)
    both = on_object.any(dim=1, keepdim=True) & ~on_object.all(dim=1, keepdim=True)
    counted = (on_object if region == "object" else ~on_object) & both
    return counted & LOTTERY.kept(reading.card, reading.chunk).to(counted.device) if drawn else counted


def _mean_over(counted: Tensor, numbers: Tensor) -> Float[Tensor, "image"]:
    """Average numbers [image, patch] over the patches that count; 0 where none does."""
    total = torch.where(counted, numbers, torch.zeros_like(numbers)).sum(dim=1)
    return total / counted.sum(dim=1).clamp(min=1)
