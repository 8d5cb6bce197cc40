"""How far the tokens of a picture lie apart, as a share of their size."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout


@dataclass(frozen=True, kw_only=True)
class TokenSpread(StreamReadout):
    """|x - mean over tokens| / |x| after a block, Frobenius norms over all tokens: 0 where all tokens are equal."""

    layer: int
    low = 0.0
    high = 1.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return token_spread(reading.stream.tokens)


def token_spread(tokens: Float[Tensor, "image token width"]) -> Float[Tensor, "image"]:
    """Compute it in double precision; 0 where there is nothing but zeros."""
    whole = tokens.double()
    apart, size = (part.flatten(1).norm(dim=1) for part in (whole - whole.mean(dim=1, keepdim=True), whole))
    return torch.where(size > 0, apart / size.clamp(min=torch.finfo(size.dtype).tiny), size).clamp(max=1)
