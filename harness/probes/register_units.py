"""Register units: the few MLP units, the same for all pictures, that are active where outlier tokens arise.

Jiang et al. (arXiv 2506.08010): units are ranked by their mean magnitude after the nonlinearity at outlier patches.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.models.subject import Subject
from harness.probes.statistic import Statistic

PICTURES = 500  # that are searched, as in the source's code
TIMES = 3.0  # the median norm of the picture's patch tokens, beyond which one is an outlier
DRAW = 17  # seed of the units that are drawn in the place of the ranked ones


@dataclass(frozen=True, kw_only=True)
class RegisterUnits(Statistic):
    """The `count` units of blocks 0 to `top` with the largest mean magnitude at patches that are outliers after block
    `after`: "block" and "unit" [unit], and as many units of the same blocks drawn from all others, "drawn" [unit].
    """

    top: int
    count: int
    after: int

    def collect(self, subject: Subject, chunks: Iterable[Tensor]) -> Mapping[str, Tensor]:
        """Run every picture twice: to find its outliers, and to add up what units do there."""
        sizes = [shape.units for shape in subject.card.units[: self.top + 1]]
        sums, seen = [torch.zeros(size, dtype=torch.float64) for size in sizes], 0
        for chunk in chunks:
            pictures = chunk[: PICTURES - seen]
            seen += len(pictures)
            marked = self._outliers(subject, pictures)
            stream = subject.start(pictures)
            for block in range(self.top + 1):
                stream, passed = subject.watch(block, stream, ("units",))
                units = passed["units"][:, len(subject.card.prefix) :][marked]
                sums[block] += units.double().abs().sum(dim=0).cpu()
            if seen >= PICTURES:
                break
        return _ranked(sums, self.count)

    def _outliers(self, subject: Subject, pictures: Tensor) -> Bool[Tensor, "image patch"]:
        stream = subject.start(pictures)
        for block in range(self.after + 1):
            stream = subject.step(block, stream)
        return outlying(stream.tokens[:, len(subject.card.prefix) :])


def outlying(patches: Float[Tensor, "image patch width"]) -> Bool[Tensor, "image patch"]:
    """Mark patch tokens whose norm exceeds TIMES the median of the picture."""
    norms = patches.float().norm(dim=2)
    return norms > TIMES * norms.median(dim=1, keepdim=True).values


def units_by_block(numbers: Mapping[str, Tensor], which: str) -> dict[int, Int[Tensor, "unit"]]:
    """Group units, "unit" (ranked) or "drawn", by their block."""
    blocks, units = numbers["block"], numbers[which]
    return {block: units[blocks == block] for block in sorted(set(blocks.tolist()))}


def _ranked(sums: list[Tensor], count: int) -> Mapping[str, Tensor]:
    every, width = torch.cat(sums), [len(one) for one in sums]
    best = every.argsort(descending=True, stable=True)[:count]
    block = torch.repeat_interleave(torch.arange(len(sums)), torch.tensor(width))
    unit = torch.cat([torch.arange(size) for size in width])
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(DRAW))
    others = order[~torch.isin(order, best)]
    drawn = torch.empty_like(best)
    for one in block[best].unique():
        places = (block[best] == one).nonzero().flatten()
        drawn[places] = others[block[others] == one][: len(places)]
    return {"block": block[best], "unit": unit[best], "drawn": unit[drawn]}
