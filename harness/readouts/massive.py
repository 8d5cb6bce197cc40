"""Massive entries of the stream, and answers when they are replaced (arXiv 2402.17762)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.models.subject import Stream
from harness.probes.fittable import Fittable, collected
from harness.probes.massive_entries import FirstMassive, MassiveEntries, first_massive, massive, median_size
from harness.readouts.reading import Reading
from harness.readouts.readout import Readout, StreamReadout

By = Literal["zero", "mean", "ordinary zero"]
MOST = 1e5  # cut of the largest magnitude over the median

Tokens = Float[Tensor, "image token width"]


@dataclass(frozen=True, kw_only=True)
class LargestEntry(StreamReadout):
    """The largest magnitude in the stream over the median of the picture, cut off at MOST."""

    layer: int | None = None
    low = 1.0
    high = MOST

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""
        tokens = reading.stream.tokens.float()
        return (tokens.abs().amax(dim=(1, 2)) / median_size(tokens).clamp(min=1e-30)).clamp(self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class HasMassive(StreamReadout):
    """1 where a picture has massive entries after the block, else 0."""

    layer: int | None = None
    low = 0.0
    high = 1.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""
        return massive(reading.stream.tokens).flatten(1).any(dim=1).float()


class _AtFirst(StreamReadout):
    """What readouts say of themselves that look where massive entries first are common: `MassiveEntries` tells."""

    layer: int | None = None
    low = 0.0
    high = 1.0

    @property
    def fits(self) -> tuple[Fittable, ...]:
        """Read where massive entries are found, and what they are on average."""
        return (MassiveEntries(),)


@dataclass(frozen=True)
class HasFirstMassive(_AtFirst):
    """1 where a picture has massive entries after the first block where training pictures have, else 0."""

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image; 0 for all where there is no such block."""
        marked = _marked(reading)
        return torch.zeros(_images(reading)) if marked is None else marked.flatten(1).any(dim=1).float()


@dataclass(frozen=True)
class ShareInChannel(_AtFirst):
    """Share of a picture's massive entries there in the channel with most of them in training pictures; 0 of none."""

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""
        found, marked = _first(reading), _marked(reading)
        if found is None or marked is None:
            return torch.zeros(_images(reading))
        return marked[:, :, found.main].sum(dim=1) / marked.sum(dim=(1, 2)).clamp(min=1)


@dataclass(frozen=True, kw_only=True)
class WithMassive(_AtFirst):
    """Another readout of the last block, when massive entries are replaced after the first block that has them.

    "zero": by 0; "mean": by their mean per channel over training pictures; "ordinary zero": left alone, and as many
    entries of about median magnitude set to 0. Entries in channels without any in training pictures stay.
    The model runs once more from that block on. Where there is no such block, the readout reads the model as it is.
    """

    by: By
    readout: Readout

    @property
    def fits(self) -> tuple[Fittable, ...]:
        """Read what the other readout does as well."""
        return (MassiveEntries(), *self.readout.fits)

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image; ClaimsError under an intervention, which the second run would leave out."""
        if reading.clean is not reading:
            raise ClaimsError(f"{self!r} reads a model as it is, after its last block and under no intervention")
        found = _first(reading)
        if found is None:
            return self.readout.read(reading)
        subject, stream = reading.subject, _stream(reading, found.block)
        tokens = replaced(stream.tokens, found, self.by)
        stream = stream.with_tokens(tokens)
        for block in range(found.block + 1, subject.card.depth):
            stream = subject.step(block, stream)
        last = subject.card.depth - 1
        return self.readout.read(Reading(subject, stream, last, reading.chunk, reading.fits, reading))


def replaced(tokens: Tokens, found: FirstMassive, by: By) -> Tokens:
    """Replace massive entries in known channels, or as many entries of about median magnitude; returns a copy."""
    marked = massive(tokens) & found.known.to(tokens.device)
    if by == "mean":
        return torch.where(marked, found.mean.to(tokens), tokens)
    return tokens.masked_fill(marked if by == "zero" else ordinary(tokens, marked), 0.0)


def ordinary(tokens: Tokens, marked: Bool[Tensor, "image token width"]) -> Bool[Tensor, "image token width"]:
    """Mark as many entries of each picture as are marked: others, whose magnitude is nearest to its median."""
    away = (tokens.float().abs() - median_size(tokens)[:, None, None]).abs().masked_fill(marked, torch.inf).flatten(1)
    wanted = marked.flatten(1).sum(dim=1)
    nearest = away.topk(min(int(wanted.max()), away.shape[1]), dim=1, largest=False).indices
    taken = torch.arange(nearest.shape[1], device=tokens.device) < wanted[:, None]
    return torch.zeros_like(away, dtype=torch.bool).scatter(1, nearest, taken).view(marked.shape)


def _images(reading: Reading) -> int:
    return len(reading.stream.tokens)


def _first(reading: Reading) -> FirstMassive | None:
    numbers = collected(reading.fits, MassiveEntries())
    return reading.once("first massive block", lambda: first_massive(numbers))


def _marked(reading: Reading) -> Bool[Tensor, "image token width"] | None:
    found = _first(reading)
    return None if found is None else massive(_stream(reading, found.block).tokens)


def _stream(reading: Reading, block: int) -> Stream:
    """Run the model as it is up to a block, once for all readouts that ask."""

    def run() -> Stream:
        stream = reading.subject.start(reading.chunk.pictures.to(reading.stream.tokens))
        for one in range(block + 1):
            stream = reading.subject.step(one, stream)
        return stream

    return reading.once(("stream after", block), run)
