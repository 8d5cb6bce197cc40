"""Who writes the class: what attention and MLP add to the stream, read token by token through the model's own head.

A write is read as the stream is, by the norm that the head expects and then the head: the difference to the stream
before the block is one of direction, not of size (code of arXiv 2310.18969).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.errors import ClaimsError
from harness.models.sites import Site
from harness.readouts.reading import Reading, ranks
from harness.readouts.readout import StreamReadout

Branch = Literal["attention", "mlp"]
Tokens = Literal["patch", "class"]
Part = Literal["before", "attention", "mlp", "none"]
Write = Literal["attention write", "mlp write"]
Source = Literal["before", "own input", "attention write", "mlp write"]

WRITES: Mapping[Branch, Write] = {"attention": "attention write", "mlp": "mlp write"}
SOURCES: Mapping[Part, Source] = {"before": "before", "attention": "attention write", "mlp": "mlp write"}


@dataclass(frozen=True, kw_only=True)
class WriteRaises(StreamReadout):
    """Share of tokens on which the label's logit of a write exceeds that of what was there before.

    That is the stream before the block, for the MLP too, as in the code of arXiv 2310.18969; with `own_input` the
    stream after attention, which is what the MLP itself starts from (for attention the two are one).
    """

    layer: int
    branch: Branch
    tokens: Tokens = "patch"
    own_input: bool = False
    low = 0.0
    high = 1.0

    def __post_init__(self) -> None:
        if self.own_input and self.branch != "mlp":
            raise ValueError(f"own_input of branch {self.branch!r}; allowed: 'mlp' (attention starts from the block's)")

    @property
    def sites(self) -> tuple[Site, ...]:
        """Name the write, and attention's beside it where that is part of what the MLP starts from."""
        return ("attention write", "mlp write") if self.own_input else (WRITES[self.branch],)

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        write = WRITES[self.branch]
        raised = label_logits(reading, write) > label_logits(reading, "own input" if self.own_input else "before")
        if self.tokens == "class":
            return raised[:, reading.card.prefix.index("class")].float()
        return raised[:, len(reading.card.prefix) :].float().mean(dim=1)


@dataclass(frozen=True, kw_only=True)
class Composition(StreamReadout):
    """Share of all tokens whose first class after the block is that of the stream before it, or of a write.

    A token may match several; `part` "none" counts those that match none of the three.
    """

    layer: int
    part: Part
    low = 0.0
    high = 1.0

    @property
    def sites(self) -> tuple[Site, ...]:
        """Name both writes."""
        return ("attention write", "mlp write")

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        if self.part != "none":
            return _matches(reading, self.part).float().mean(dim=1)
        matches = [_matches(reading, part) for part in SOURCES]
        return (~torch.stack(matches).any(dim=0)).float().mean(dim=1)


@dataclass(frozen=True, kw_only=True)
class WriteAccuracy(StreamReadout):
    """Share of patch tokens on which norm and head, applied to a write of block `layer` alone, rank the label first."""

    layer: int
    write: Literal["attention write", "mlp write"]
    low = 0.0
    high = 1.0

    @property
    def sites(self) -> tuple[Site, ...]:
        """Name the write."""
        return (self.write,)

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        written = reading.once(("normed", self.write), lambda: normed(reading, self.write))
        logits = reading.subject.token_logits(written[:, len(reading.card.prefix) :])
        labels = reading.labels("own")[:, None].expand(logits.shape[:2])
        return (ranks(logits, labels) == 0).float().mean(dim=1)


def label_logits(reading: Reading, source: Source) -> Float[Tensor, "image token"]:
    """Project every token of the stream before the block or of a write on the head's row of the label, without bias."""

    if source == "before":
        return reading.label_logits_before
    return reading.once(("label logits", source), lambda: reading.label_row_on(normed(reading, source)))


def _matches(reading: Reading, part: Part) -> Bool[Tensor, "image token"]:
    """Say on which tokens the first class after the block is that of this part."""

    def compare() -> Tensor:
        return _first_class(reading, normed(reading, SOURCES[part])) == after

    after = reading.once("first class", lambda: _first_class(reading, reading.normed))
    return reading.once(("matches", part), compare)


def _first_class(reading: Reading, normed: Tensor) -> Int[Tensor, "image token"]:
    return reading.subject.token_logits(normed).argmax(dim=-1)


def normed(reading: Reading, source: Source) -> Float[Tensor, "image token width"]:
    """Apply the head's norm to every token of the stream before the block or of a write, in fp32.

    Raises ClaimsError after the embedding.
    """
    if reading.before is None:
        raise ClaimsError("what a block adds is read after a block; the embedding has none")
    before = reading.before.tokens
    if source == "before":
        tokens = before
    elif source == "own input":
        tokens = before + reading.inner["attention write"]
    else:
        tokens = reading.inner[source]
    return reading.subject.normed(reading.stream.with_tokens(tokens)).float()
