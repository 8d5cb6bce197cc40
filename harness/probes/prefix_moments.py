"""What is typical of a model's prefix tokens: their mean and spread over training pictures, block by block."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class PrefixMoments:
    """Mean and standard deviation of every prefix token where it enters each block, over all training pictures."""


@dataclass(frozen=True, kw_only=True)
class PrefixFit:
    """Moments by the block that a token enters, per channel, fp32."""

    mean: Float[Tensor, "block prefix width"]
    std: Float[Tensor, "block prefix width"]
