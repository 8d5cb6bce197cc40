"""The stream as tokens at the places of a grid: patch tokens, or the cells of a feature map."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from harness.models.subject import ModelCard, Stream

CHANNELS_LAST = ("swin",)  # families whose feature maps are [image, row, column, channel]


class Placed(NamedTuple):
    """Tokens row by row, and the grid (rows, columns) of their places."""

    tokens: Float[Tensor, "image place width"]
    grid: tuple[int, int]


def placed(card: ModelCard, stream: Stream) -> Placed:
    """Give what the stream holds at every place; prefix tokens have none."""
    if card.grid is not None:
        return Placed(stream.tokens[:, len(card.prefix) :], card.grid)
    places = stream.tokens if card.family in CHANNELS_LAST else stream.tokens.permute(0, 2, 3, 1)
    return Placed(places.flatten(1, 2), (places.shape[1], places.shape[2]))


def untiled(card: ModelCard) -> tuple[int, int] | None:
    """Name a grid of the model that does not tile its pictures, if there is one; None where all do."""
    grids = [card.grid] if card.grid is not None else [(shape.rows, shape.columns) for shape in card.units]
    sides = card.preprocessing.size
    return next((grid for grid in grids if any(side % parts for side, parts in zip(sides, grid, strict=True))), None)
