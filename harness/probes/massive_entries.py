"""Massive entries of the stream: few, far larger than all others, and the channels in which they stand.

Sun et al. (arXiv 2402.17762): an entry is massive if its magnitude exceeds 100 and is at least 1,000 times the median
magnitude of the picture.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from harness.models.subject import Subject
from harness.probes.statistic import Statistic

FLOOR, TIMES = 100.0, 1000.0
COMMON = 0.9  # share of training pictures that must have massive entries after a block for it to be the first such

Tokens = Float[Tensor, "image token width"]


@dataclass(frozen=True)
class MassiveEntries(Statistic):
    """Per block: the share of training pictures with massive entries after it ("share"), and per channel how many
    such entries there are ("count") and what they add up to ("sum").
    """

    def collect(self, subject: Subject, chunks: Iterable[Tensor]) -> Mapping[str, Tensor]:
        """Look for massive entries after every block."""
        depth, width, pictures = subject.card.depth, subject.card.width, 0
        share, count, total = torch.zeros(depth), torch.zeros(depth, width), torch.zeros(depth, width)
        share, count, total = share.double(), count.double(), total.double()
        for chunk in chunks:
            stream, pictures = subject.start(chunk), pictures + len(chunk)
            for block in range(depth):
                stream = subject.step(block, stream)
                marked = massive(stream.tokens)
                share[block] += marked.flatten(1).any(dim=1).sum().cpu()
                count[block] += marked.sum(dim=(0, 1)).cpu()
                total[block] += (stream.tokens.double() * marked).sum(dim=(0, 1)).cpu()
        return {"share": (share / max(1, pictures)).float(), "count": count.float(), "sum": total.float()}


@dataclass(frozen=True)
class FirstMassive:
    """The first block after which most training pictures have massive entries, and what they are there.

    `known` are the channels with such entries, `main` the one with most of them, `mean` their mean per known channel.
    """

    block: int
    known: Bool[Tensor, "width"]
    main: int
    mean: Float[Tensor, "width"]


def massive(tokens: Tokens) -> Bool[Tensor, "image token width"]:
    """Mark massive entries, prefix tokens included."""
    sizes = tokens.float().abs()
    return (sizes > FLOOR) & (sizes >= TIMES * median_size(sizes)[:, None, None])


def median_size(tokens: Tokens) -> Float[Tensor, "image"]:
    """Compute the median magnitude of all entries of a picture (of an even number the lower one in the middle)."""
    return tokens.float().abs().flatten(1).median(dim=1).values


def first_massive(numbers: Mapping[str, Tensor]) -> FirstMassive | None:
    """Find the first block with massive entries in at least COMMON of the training pictures, if there is one."""
    blocks = (numbers["share"] >= COMMON).nonzero().flatten().tolist()
    if not blocks:
        return None
    count, total = numbers["count"][blocks[0]], numbers["sum"][blocks[0]]
    return FirstMassive(blocks[0], count > 0, int(count.argmax()), total / count.clamp(min=1))
