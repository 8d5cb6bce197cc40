"""What is read of all units of a block over a fixed set of pictures: one number per model, exact given the pictures."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.errors import ClaimsError
from harness.readouts.members import MemberContext
from harness.readouts.units.activations import Table, unit_rows
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

    @property
    def tables(self) -> tuple[Table, ...]:
        """Name the rows that it reads."""
        return (Table(self.block, self.site),)

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read the model."""
        labels = place.images.labels
        if labels is None:
            raise ClaimsError("purity is read of labels; name 'labels' in the claim's needs")
        shown = labels[: place.pictures]
        if self.labels == "permuted":
            shown = np.random.Generator(np.random.PCG64([place.seed, 13])).permutation(shown)
        return np.full(len(members), unit_rows(place, *self.tables).purity(shown).mean())


@dataclass(frozen=True, kw_only=True)
class DistinctTop:
    """Distinct top pictures of the units of a block over the units."""

    block: int
    low = 0.0
    high = 1.0

    @property
    def tables(self) -> tuple[Table, ...]:
        """Name the rows that it reads."""
        return (Table(self.block),)

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read the model."""
        first = unit_rows(place, *self.tables).where[0]
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

    @property
    def tables(self) -> tuple[Table, ...]:
        """Name the rows that it reads."""
        return (Table(self.block, masks=(self.mask,)),)

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read the model."""
        areas = _areas(place, *self.tables)
        return np.full(len(members), np.nanmean(folded(areas)))


@dataclass(frozen=True, kw_only=True)
class BackgroundUnits:
    """Share of the units of a block whose mean area (not folded) over their top pictures says background."""

    block: int
    low = 0.0
    high = 1.0

    @property
    def tables(self) -> tuple[Table, ...]:
        """Name the rows that it reads."""
        return (Table(self.block, masks=("own",)),)

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read the model."""
        areas = _areas(place, *self.tables)
        known = np.isfinite(areas).any(axis=0)
        return np.full(len(members), (np.nanmean(areas[:, known], axis=0) <= BACKGROUND).mean())


def _areas(place: MemberContext, table: Table) -> np.ndarray:
    """Give the areas [rank, unit] of a table of one mask; ClaimsError where no picture has object and background."""
    (mask,), areas = table.masks, unit_rows(place, table).areas
    if not areas:
        raise ClaimsError("object masks are needed, but the image set has none; name 'masks' in the claim's needs")
    if not np.isfinite(areas[mask]).any():
        raise ClaimsError(f"no top picture of block {table.block} has a mask with object and background on its map")
    return areas[mask]
