"""Models without their learned position embedding: zeros or noise in its place, for one embedding of pictures."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from harness.models.subject import Positions

SEED = 0  # of the noise: the same for every picture, as the embedding is
SPREAD = 0.02  # standard deviation at which such an embedding starts its training


def has_positions(model: nn.Module) -> bool:
    """Say whether the model adds a learned embedding of positions to its tokens."""
    return isinstance(getattr(model, "pos_embed", None), nn.Parameter)


@contextmanager
def other_positions(model: nn.Module, positions: Positions) -> Iterator[None]:
    """Put zeros ("none") or fixed noise ("random") in the place of the whole embedding while the context lasts.

    The embedding of a class token, where it has a position, goes with the rest.
    """
    own = model.pos_embed
    assert isinstance(own, nn.Parameter)
    other = torch.zeros(own.shape)
    if positions == "random":
        other.normal_(std=SPREAD, generator=torch.Generator().manual_seed(SEED))
    try:
        model.pos_embed = nn.Parameter(other.to(own), requires_grad=False)
        yield
    finally:
        model.pos_embed = own
