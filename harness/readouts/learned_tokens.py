"""What learned readouts of single blocks tell: accuracy, entropy, agreement of draws, and what several say together.

They stand before the (first) block that they read and run the rest of the way themselves, without any edit or mask.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from harness.probes.fittable import token_fit
from harness.probes.learned_token import DRAWS, TokenReadout, answers
from harness.probes.probe import entropies
from harness.readouts.reading import Reading, ranks
from harness.readouts.readout import StreamReadout

Rule = Literal["any", "all", "majority", "sum"]


@dataclass(frozen=True, kw_only=True)
class LearnedAccuracy(StreamReadout):
    """1 where a learned readout ranks the label first, else 0; one draw per image where tokens are drawn."""

    readout: TokenReadout
    low = 0.0
    high = 1.0

    @property
    def fits(self) -> tuple[TokenReadout, ...]:
        """Name the readout."""
        return (self.readout,)

    @property
    def layer(self) -> int:
        """Give the block before the one that is read."""
        return self.readout.block - 1

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return _right(block_logits(self.fits, reading)[0], reading).float()


@dataclass(frozen=True, kw_only=True)
class LearnedEntropy(StreamReadout):
    """Entropy of the softmax of a learned readout in nats, at most log(classes); one draw per image."""

    readout: TokenReadout
    classes: int
    low = 0.0

    @property
    def high(self) -> float:
        """Give the entropy of guessing."""
        return math.log(self.classes)

    @property
    def fits(self) -> tuple[TokenReadout, ...]:
        """Name the readout."""
        return (self.readout,)

    @property
    def layer(self) -> int:
        """Give the block before the one that is read."""
        return self.readout.block - 1

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return entropies(block_logits(self.fits, reading)[0], self.classes)


@dataclass(frozen=True, kw_only=True)
class LearnedUnanimity(StreamReadout):
    """1 where `draws` drawn tokens all give the same answer, else 0; each draw runs the block once.

    Raises ValueError for a readout that draws no token, and for fewer than two draws.
    """

    readout: TokenReadout
    draws: int = 20
    low = 0.0
    high = 1.0

    def __post_init__(self) -> None:
        if not self.readout.draws or self.draws < 2:
            raise ValueError(f"{self!r}: tokens are drawn by modes 'replace' and 'augment', at least twice to compare")

    @property
    def fits(self) -> tuple[TokenReadout, ...]:
        """Name the readout."""
        return (self.readout,)

    @property
    def layer(self) -> int:
        """Give the block before the one that is read."""
        return self.readout.block - 1

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        said = torch.stack([block_logits(self.fits, reading, draw)[0].argmax(-1) for draw in range(self.draws)])
        return (said == said[0]).all(dim=0).float()


@dataclass(frozen=True, kw_only=True)
class LearnedTogether(StreamReadout):
    """1 where several readouts together are right, else 0.

    `rule`: "any" or "all" of them; "majority" of their answers, among equals that of the latest; "sum" of their
    logits. With `first_of_donor` the first one reads the donor instead: a pair of images has nothing in common.
    Raises ValueError for fewer than two readouts.
    """

    readouts: tuple[TokenReadout, ...]
    rule: Rule
    first_of_donor: bool = False
    low = 0.0
    high = 1.0

    def __post_init__(self) -> None:
        if len(self.readouts) < 2:
            raise ValueError(f"{len(self.readouts)} readouts together; allowed: 2 or more")

    @property
    def exchanges(self) -> bool:
        """Tell whether something of the donors is read."""
        return self.first_of_donor

    @property
    def fits(self) -> tuple[TokenReadout, ...]:
        """Name the readouts."""
        return self.readouts

    @property
    def layer(self) -> int:
        """Give the block before the first one that is read."""
        return min(readout.block for readout in self.readouts) - 1

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        logits = block_logits(self.readouts, reading)
        right = [_right(one, reading) for one in logits]
        if self.first_of_donor:
            donors = reading.chunk.donors.to(logits[0].device)
            logits[0], right[0] = logits[0][donors], right[0][donors]
        if self.rule in ("any", "all"):
            together = torch.stack(right)
            return (together.any(dim=0) if self.rule == "any" else together.all(dim=0)).float()
        return _right(_votes(logits) if self.rule == "majority" else torch.stack(logits).sum(dim=0), reading).float()


@dataclass(frozen=True, kw_only=True)
class LearnedEntropyFalls(StreamReadout):
    """1 where the entropy of the later readout is below that of the earlier one, else 0."""

    earlier: TokenReadout
    later: TokenReadout
    low = 0.0
    high = 1.0

    @property
    def fits(self) -> tuple[TokenReadout, ...]:
        """Name the readouts."""
        return (self.earlier, self.later)

    @property
    def layer(self) -> int:
        """Give the block before the first one that is read."""
        return min(self.earlier.block, self.later.block) - 1

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        earlier, later = (entropies(one, one.shape[-1]) for one in block_logits(self.fits, reading))
        return (later < earlier).float()


def block_logits(readouts: tuple[TokenReadout, ...], reading: Reading, draw: int = 0) -> list[Tensor]:
    """Give the logits [image, class] of readouts in the order named, walking on from where the reading stands.

    Draw `draw` of the tokens is fixed by the chunk: readouts of one chunk see the same noise.
    """
    stream, block, subject = reading.stream, reading.block + 1, reading.subject
    random = reading.chunk.generator(DRAWS + draw)
    noise = torch.randn(len(stream.tokens), reading.card.width, generator=random).to(stream.tokens.device)
    logits = {}
    for readout in sorted(set(readouts), key=lambda one: one.block):
        while block < readout.block:
            stream, block = subject.step(block, stream), block + 1
        fit, drawn = token_fit(reading.fits, readout), noise if readout.draws else None
        make = partial(answers, readout, fit, subject, stream, drawn)
        logits[readout] = reading.once((readout, draw), make)
    return [logits[readout] for readout in readouts]


def _right(logits: Tensor, reading: Reading) -> Bool[Tensor, "image"]:
    return ranks(logits, reading.labels("own")) == 0


def _votes(logits: list[Tensor]) -> Tensor:
    """Count the readouts that answer each class; a share of a vote for coming later settles ties."""
    votes = torch.zeros_like(logits[0])
    for place, one in enumerate(logits):
        weight = 1.0 + place / len(logits) ** 2
        votes.scatter_add_(1, one.argmax(-1, keepdim=True), torch.full_like(votes[:, :1], weight))
    return votes
