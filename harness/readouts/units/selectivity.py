"""What is read of all units of a block over a fixed set of pictures: one number per model, exact given the pictures."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.errors import ClaimsError
from harness.readouts.members import MemberContext
from harness.readouts.units.activations import UnitRows, unit_table
from harness.readouts.units.mask_overlap import folded

BACKGROUND = 0.3  # area under the ROC curve up to which a unit counts as one of the background (catalogue, A4)


@dataclass(frozen=True, kw_only=True)
class Purity:
    """Mean over the units of a block of the largest share of one class among their top pictures.

    `site` is a site of the block or "rotated units"; "permuted" labels are those of the same pictures, mixed.
    """

    block: int
    site: str = "units"
    labels: Literal["own", "permuted"] = "own"
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read the model."""
        labels = place.images.labels
        if labels is None:
            raise ClaimsError("purity is read of labels; name 'labels' in the claim's needs")
        shown = labels[: place.pictures]
        if self.labels == "permuted":
            shown = np.random.Generator(np.random.PCG64([place.seed, 13])).permutation(shown)
        return np.full(len(members), _rows(place, self.block, self.site).purity(shown).mean())


@dataclass(frozen=True, kw_only=True)
class DistinctTop:
    """Distinct top pictures of the units of a block over the units."""

    block: int
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read the model."""
        first = _rows(place, self.block, "units").where[0]
        return np.full(len(members), len(np.unique(first)) / len(first))


@dataclass(frozen=True, kw_only=True)
class ObjectArea:
    """Mean over the units of a block, and over their top pictures, of the folded area under the ROC curve.

    The area is that between activation map and object mask: the picture's own, that of another picture ("other"), or
    the own one over maps whose places are permuted. Pictures whose mask holds no place or all are left out.
    """

    block: int
    mask: Literal["own", "other", "permuted"] = "own"
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read the model."""
        areas = _areas(place, self.block, self.mask)
        return np.full(len(members), np.nanmean(folded(areas)))


@dataclass(frozen=True, kw_only=True)
class BackgroundUnits:
    """Share of the units of a block whose mean area (not folded) over their top pictures says background."""

    block: int
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read the model."""
        areas = _areas(place, self.block, "own")
        known = np.isfinite(areas).any(axis=0)
        return np.full(len(members), (np.nanmean(areas[:, known], axis=0) <= BACKGROUND).mean())


def _rows(place: MemberContext, block: int, site: str) -> UnitRows:
    return unit_table(place)[block, site]


def _areas(place: MemberContext, block: int, mask: str) -> np.ndarray:
    """Give the areas [rank, unit]; ClaimsError where no picture has both object and background."""
    areas = _rows(place, block, "units").areas
    if not areas:
        raise ClaimsError("object masks are needed, but the image set has none; name 'masks' in the claim's needs")
    if not np.isfinite(areas[mask]).any():
        raise ClaimsError(f"no top picture of block {block} has a mask with object and background on its map")
    return areas[mask]
