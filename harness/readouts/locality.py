"""How local patch tokens are, block by block, over a fixed set of pictures: one pass that several readings share."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from harness.errors import ClaimsError
from harness.readouts.members import MemberContext
from harness.readouts.reading import ranks

TINY = 1e-12  # total variance below which a unit does nothing


@dataclass(frozen=True, kw_only=True)
class _Found:
    """By block: share of variance within pictures, cosine of patches, accuracy of the head on single patches."""

    within: np.ndarray
    cosine: np.ndarray
    patches: np.ndarray
    model: float


@dataclass(frozen=True)
class WithinShare:
    """Mean over units of the share of their variance that lies within pictures; of several blocks the median.

    1: the units differ from patch to patch of a picture as much as they do at all; 0: only from picture to picture.
    """

    blocks: tuple[int, ...]
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: np.ndarray) -> Float[np.ndarray, "member"]:
        return np.full(len(members), np.median(_found(place).within[list(self.blocks)]))


@dataclass(frozen=True)
class PatchCosine:
    """Mean cosine of two patch tokens of one picture after the norm that the head expects."""

    block: int
    low = -1.0
    high = 1.0

    def numbers(self, place: MemberContext, members: np.ndarray) -> Float[np.ndarray, "member"]:
        return np.full(len(members), _found(place).cosine[self.block])


@dataclass(frozen=True)
class PatchHead:
    """Accuracy of norm and head on single patch tokens after a block, averaged over patches and pictures."""

    block: int
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: np.ndarray) -> Float[np.ndarray, "member"]:
        return np.full(len(members), _found(place).patches[self.block])


@dataclass(frozen=True)
class ModelAccuracy:
    """Accuracy of the model itself on the same pictures."""

    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: np.ndarray) -> Float[np.ndarray, "member"]:
        return np.full(len(members), _found(place).model)


def within_share(
    sums: Float[Tensor, "unit"], squares: Float[Tensor, "unit"], means: Float[Tensor, "unit"], count: int, places: int
) -> Float[Tensor, "unit"]:
    """Give variance within pictures over total variance, per unit (0 where a unit does nothing).

    `sums` and `squares` are over all `count` x `places` values, `means` the sum over pictures of the squared mean.
    """
    total = squares / (count * places) - (sums / (count * places)) ** 2
    within = squares / (count * places) - means / count
    share = within.clamp(min=0) / total.clamp(min=TINY)
    return torch.where(total > TINY, share, torch.zeros_like(share)).clamp(max=1)


def mean_cosine(tokens: Float[Tensor, "image place width"]) -> Float[Tensor, "image"]:
    """Average the cosine over all pairs of different places: from the length of the sum of unit vectors."""
    places = tokens.shape[1]
    together = normalize(tokens, dim=-1).sum(dim=1).square().sum(dim=-1)
    return (together - places) / (places * (places - 1))


def _found(place: MemberContext) -> _Found:
    return place.once("locality", lambda: _look(place))


@torch.inference_mode()
def _look(place: MemberContext) -> _Found:
    subject, card = place.subject, place.subject.card
    sums = [torch.zeros(3, subject.unit_shape(block).units, dtype=torch.float64) for block in range(card.depth)]
    cosine, patches, right = np.zeros(card.depth), np.zeros(card.depth), 0.0
    for positions in place.grid:
        labels = place.chunk_of(positions).labels
        if labels is None:
            raise ClaimsError("the accuracy of single patches needs labels; name 'labels' in the claim's needs")
        stream = subject.start(place.load(positions))
        for block in range(card.depth):
            stream, passed = subject.watch(block, stream, ("units",))
            units = passed["units"][:, subject.unit_shape(block).prefix :].double().cpu()
            sums[block] += torch.stack(
                [units.sum(dim=(0, 1)), units.square().sum(dim=(0, 1)), units.mean(dim=1).square().sum(dim=0)]
            )
            tokens = subject.normed(stream)[:, len(card.prefix) :].float()
            cosine[block] += float(mean_cosine(tokens).sum())
            logits = subject.token_logits(tokens)
            first = ranks(logits, labels[:, None].expand(logits.shape[:2])) == 0
            patches[block] += float(first.float().mean(dim=1).sum())
        right += float((ranks(subject.logits(stream), labels) == 0).sum())
        place.charge(float(card.depth * len(positions)))
    count, places = place.pictures, card.patches
    within = [float(within_share(one[0], one[1], one[2], count, places).mean()) for one in sums]
    return _Found(within=np.array(within), cosine=cosine / count, patches=patches / count, model=right / count)
