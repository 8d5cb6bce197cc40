"""Grids of squares that tile the pictures of several models alike."""

from harness.errors import NotApplicable
from harness.interventions.intervention import Intervention
from harness.interventions.pixel_filters import ShufflePatches
from harness.models.subject import ModelCard

SHOWN = (2, 4, 8, 14, 16)  # squares along a side, as in arXiv 2105.10497


def shared_grid(vit: ModelCard, cnn: ModelCard, cells: int) -> tuple[int, int]:
    """Give a grid of so many cells along a side where they tile the pictures of both models, else the ViT's patches."""
    if any(side % cells for card in (vit, cnn) for side in card.preprocessing.size):
        return _patches(vit)
    return cells, cells


def own_squares(vit: ModelCard, cnn: ModelCard) -> int:
    """Count the ViT's patches along a side.

    Raises NotApplicable where they are no squares that tile a square picture, or where the CNN's pictures cannot be cut
    into as many, or into squares of half that side.
    """
    rows, columns = _patches(vit)
    if rows != columns or not _tile(vit, 2 * rows):
        raise NotApplicable(
            f"the {rows} x {columns} patches of {vit.name!r} and their quarters do not tile its pictures, "
            f"{vit.preprocessing.size}, as squares"
        )
    if not _tile(cnn, 2 * rows):
        raise NotApplicable(
            f"{2 * rows} squares along a side, half the patches of {vit.name!r}, do not tile the pictures of "
            f"{cnn.name!r}, {cnn.preprocessing.size}"
        )
    return rows


def squares_shown(vit: ModelCard, cnn: ModelCard) -> tuple[int, ...]:
    """List how many squares along a side tile the pictures of both models, of SHOWN and of the ViT's patches."""
    own = own_squares(vit, cnn)
    return tuple(count for count in sorted({*SHOWN, own, 2 * own}) if all(_tile(card, count) for card in (vit, cnn)))


def shuffle_squares(card: ModelCard, count: int) -> Intervention:
    """Put the squares of a model's pictures, so many along a side, into a random order."""
    return Intervention(pixels=ShufflePatches(card.preprocessing.size[0] // count))


def _patches(vit: ModelCard) -> tuple[int, int]:
    if vit.grid is None:
        raise NotApplicable(f"{vit.name!r} has no grid of patches")
    return vit.grid


def _tile(card: ModelCard, count: int) -> bool:
    rows, columns = card.preprocessing.size
    return rows == columns and rows % count == 0
