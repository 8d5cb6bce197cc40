"""Outlier tokens and answers when the units that make outliers write to a token of their own (arXiv 2506.08010)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.errors import ClaimsError
from harness.models.sites import BlockWeights
from harness.models.subject import Stream
from harness.probes.fittable import Fittable, collected
from harness.probes.register_units import RegisterUnits, outlying, units_by_block
from harness.readouts.reading import Reading
from harness.readouts.readout import Readout, StreamReadout

How = Literal["moved", "zeroed", "others moved"]


@dataclass(frozen=True, kw_only=True)
class OutliersLeft(StreamReadout):
    """Share of patch tokens that are outliers after block `units.after`; `how` None: of the model as it is."""

    units: RegisterUnits
    how: How | None = None
    layer: int | None = None
    low = 0.0
    high = 1.0

    @property
    def fits(self) -> tuple[Fittable, ...]:
        """Read which units they are."""
        return () if self.how is None else (self.units,)

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""
        prefix, patches = len(reading.card.prefix), reading.card.patches
        tokens = _after(reading, self.units, self.how, self.units.after).tokens[:, prefix : prefix + patches]
        return outlying(tokens).float().mean(dim=1)


@dataclass(frozen=True, kw_only=True)
class WithUnits(StreamReadout):
    """Another readout of the last block, when units are moved or set to zero.

    "moved": one token of zeros is appended before block 0; in every block each chosen unit takes there its value of the
    largest magnitude over all tokens, and 0 on all patches. "zeroed": 0 on all patches, with no such token.
    "others moved": as "moved", units of the same blocks drawn from all others. Prefix tokens keep their values.
    """

    units: RegisterUnits
    how: How
    readout: Readout
    layer: int | None = None
    low = 0.0
    high = 1.0

    @property
    def fits(self) -> tuple[Fittable, ...]:
        """Read which units they are, and what the other readout reads."""
        return (self.units, *self.readout.fits)

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""
        last = reading.card.depth - 1
        stream = _after(reading, self.units, self.how, last)
        own = len(reading.card.prefix) + reading.card.patches
        stream = stream.with_tokens(stream.tokens[:, :own])
        return self.readout.read(Reading(reading.subject, stream, last, reading.chunk, reading.fits, reading))


def moved(units: Float[Tensor, "image token unit"], prefix: int, appended: bool) -> Float[Tensor, "image token unit"]:
    """Set units to 0 on patches; with an appended token give it the value of the largest magnitude over all tokens."""
    edited = units.clone()
    if appended:
        largest = units.abs().argmax(dim=1, keepdim=True)
        edited[:, -1:] = units.gather(1, largest)
        edited[:, prefix:-1] = 0.0
    else:
        edited[:, prefix:] = 0.0
    return edited


def rewritten(
    stream: Stream,
    change: Float[Tensor, "image token chosen"],
    chosen: Int[Tensor, "chosen"],
    weights: BlockWeights,
) -> Stream:
    """Add to the stream after a block what a change of some units writes.

    Raises ClaimsError for blocks that norm what they write.
    """
    if weights.normed:
        raise ClaimsError("a change of units cannot be followed through the norm of what a block writes")
    written = change @ weights.mlp_out[:, chosen].T.to(change)
    scale = 1.0 if weights.mlp_scale is None else weights.mlp_scale.to(change)
    return stream.with_tokens(stream.tokens + scale * written)


def _after(reading: Reading, wanted: RegisterUnits, how: How | None, block: int) -> Stream:
    """Give the stream after a block, units moved or not; run to the end once for all who ask."""
    if reading.clean is not reading:
        raise ClaimsError("units are moved in a model as it is, after its last block and under no intervention")
    found = reading.once(("units", wanted, how), lambda: _run(reading, wanted, how))
    return found[block]


def _run(reading: Reading, wanted: RegisterUnits, how: How | None) -> dict[int, Stream]:
    """Run all blocks, and keep the stream after `wanted.after` and after the last."""
    subject, card, kept = reading.subject, reading.card, {}
    which = "drawn" if how == "others moved" else "unit"
    by_block = {} if how is None else units_by_block(collected(reading.fits, wanted), which)
    appended = how in ("moved", "others moved")
    stream = subject.start(reading.chunk.pictures.to(reading.stream.tokens))
    if appended:
        stream = stream.with_tokens(torch.cat((stream.tokens, torch.zeros_like(stream.tokens[:, :1])), dim=1))
    for block in range(card.depth):
        if block in by_block:
            chosen = by_block[block].to(stream.tokens.device)
            stream, passed = subject.watch(block, stream, ("units",))
            units = passed["units"][..., chosen]
            change = moved(units, len(card.prefix), appended) - units
            stream = rewritten(stream, change, chosen, subject.block_weights(block))
        else:
            stream = subject.step(block, stream)
        if block in (wanted.after, card.depth - 1):
            kept[block] = stream
    return kept
