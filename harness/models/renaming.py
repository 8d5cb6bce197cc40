"""Weights of one library under the names and in the shapes of another."""

import re
from collections.abc import Mapping

from torch import Tensor

Renaming = tuple[tuple[str, str], ...]  # (pattern, replacement), applied in this order


def new_name(name: str, renaming: Renaming) -> str:
    """Give a weight its other name; "" for one that is to be left out."""
    for pattern, replacement in renaming:
        name = re.sub(pattern, replacement, name)
    return name


def reshaped(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring weights to the shapes of their namesakes, where these hold as many numbers.

    One library stores position embeddings and class tokens with dimensions of size one that the other lacks.
    """
    return {
        name: one.reshape(own[name].shape) if name in own and one.numel() == own[name].numel() else one
        for name, one in weights.items()
    }
