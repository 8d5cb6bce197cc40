"""How well the activation map of a unit separates an object from its background: the area under the ROC curve.

The folded area |AUC - 0.5| + 0.5 counts a unit of the background like one of the object.
"""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from harness.images.open import ObjectImages
from harness.models.sites import UnitShape
from harness.readouts.members import MemberContext

COMPARED = ("own", "other", "permuted")


def mask_areas(
    place: MemberContext, maps: np.ndarray, where: np.ndarray, shape: UnitShape, masks: Iterable[str] = COMPARED
) -> dict[str, np.ndarray]:
    """Give the area per map with the mask of its own picture, or with one that tells nothing: [rank, unit] by mask.

    maps [rank, unit, place] of the pictures at `where` [rank, unit]. "other" takes the mask of the next picture,
    "permuted" permutes the places of the own one. NaN where a mask holds no place or all of them.
    """
    ranks = _ranks(torch.from_numpy(np.ascontiguousarray(maps)))
    return {name: _areas(ranks, torch.from_numpy(_mask(name, place, where, shape))).numpy() for name in masks}


def _mask(name: str, place: MemberContext, where: np.ndarray, shape: UnitShape) -> np.ndarray:
    """Give one of the masks of COMPARED: bool [rank, unit, place]."""
    if name == "other":
        return _place_masks(place, (where + 1) % place.pictures, shape)
    own = _place_masks(place, where, shape)
    if name == "own":
        return own
    order = np.random.Generator(np.random.PCG64([place.seed, 5])).random(own.shape).argsort(axis=-1)
    return np.take_along_axis(own, order, -1)


def has_masks(place: MemberContext) -> bool:
    """Say whether the objects of the pictures are marked."""
    return isinstance(place.images, ObjectImages) and place.images.has_masks


def folded(areas: np.ndarray) -> np.ndarray:
    """Fold areas around one half."""
    return np.abs(areas - 0.5) + 0.5


def _place_masks(place: MemberContext, where: np.ndarray, shape: UnitShape) -> np.ndarray:
    """Say which places of a map lie on the object with at least half of their pixels: bool [rank, unit, place]."""
    images = place.images
    assert isinstance(images, ObjectImages), "has_masks() was asked"
    pictures, back = np.unique(where, return_inverse=True)
    masks = images.masks(pictures.tolist(), place.subject.card.preprocessing)
    cells = adaptive_avg_pool2d(masks[:, None].float(), (shape.rows, shape.columns)) >= 0.5
    return cells.flatten(1).numpy()[back.reshape(where.shape)]


def _ranks(maps: Float[Tensor, "*map place"]) -> Tensor:
    """Rank places from 1 on, ties at their average."""
    ordered = maps.sort(dim=-1).values
    below = torch.searchsorted(ordered, maps, right=False)
    upto = torch.searchsorted(ordered, maps, right=True)
    return (below + upto + 1).double() / 2


def _areas(ranks: Float[Tensor, "*map place"], mask: Bool[Tensor, "*map place"]) -> Tensor:
    """Turn the ranks within a mask into areas (Mann and Whitney)."""
    inside = mask.sum(dim=-1).double()
    outside = mask.shape[-1] - inside
    areas = ((ranks * mask).sum(dim=-1) - inside * (inside + 1) / 2) / (inside * outside)
    return torch.where((inside > 0) & (outside > 0), areas, torch.nan)
