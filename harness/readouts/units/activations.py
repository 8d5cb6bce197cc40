"""What every unit of every block does over the pictures: one streamed pass, of which several readings take their part.

Memory does not grow with the number of pictures: per unit the table keeps the pictures with the largest activation,
sums, and a sum per class.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.models.sites import SITE_NEEDS, Site, UnitShape
from harness.models.subject import ModelCard
from harness.readouts.members import MemberContext
from harness.readouts.units.mask_overlap import has_masks, mask_areas
from harness.readouts.units.streaming import Growth, rotation

READ: tuple[Site, ...] = ("units", "query", "key", "value")
ROTATED = "rotated units"  # the units in a random orthogonal basis of the space that they span


@dataclass(frozen=True, kw_only=True, eq=False)
class UnitRows:
    """What was found about the features of one site of one block.

    `top` [rank, unit] are the largest patch means, `where` [rank, unit] the places of their pictures in measuring order
    (fewer ranks than TOP where there are fewer pictures); `areas` [rank, unit] by name how well their maps tell the
    object (`mask_overlap`, for units of pictures with masks). `mean` and `std` [unit] are those of the patch mean over
    pictures, `by_class` [class, unit] its sum per class, `class_counts` [class] the pictures, `within` [unit] the share
    of the variance over pictures and places that lies within pictures.
    """

    top: np.ndarray
    where: np.ndarray
    areas: Mapping[str, np.ndarray]
    mean: np.ndarray
    std: np.ndarray
    by_class: np.ndarray
    class_counts: np.ndarray
    within: np.ndarray

    @property
    def explained_by_class(self) -> np.ndarray:
        """Give the share of the variance of the patch mean that the class explains [unit]: eta-squared; 0 for none."""
        seen = self.class_counts > 0
        counts = self.class_counts[seen, None]
        spread = (counts * (self.by_class[seen] / counts - self.mean) ** 2).sum(axis=0) / counts.sum()
        return np.divide(spread, self.std**2, out=np.zeros_like(spread), where=self.std > 0)

    def purity(self, labels: np.ndarray) -> np.ndarray:
        """Give the largest share of one class among the top pictures of each unit [unit]; labels [picture]."""
        shown = labels[self.where]
        same = (shown[:, None] == shown[None, :]).sum(axis=0)
        return same.max(axis=0) / len(shown)


UnitActivations = Mapping[tuple[int, str], UnitRows]


def unit_table(place: MemberContext) -> UnitActivations:
    """Give the rows by block and site, made once per model and set of pictures."""
    return place.once("unit table", lambda: _stream(place))


def sites_of(card: ModelCard) -> tuple[Site, ...]:
    """List the sites of which a table is made."""
    return tuple(site for site in READ if SITE_NEEDS[site] in card.capabilities)


def patch_part(values: Tensor, shape: UnitShape) -> Tensor:
    """Leave out what belongs to prefix tokens: [image, place, feature]."""
    return values[:, shape.prefix :]


@torch.no_grad()
def _stream(place: MemberContext) -> UnitActivations:
    subject, card = place.subject, place.subject.card
    growing: dict[tuple[int, str], Growth] = {}
    turns: dict[int, Tensor] = {}
    for positions in place.grid:
        stream = subject.start(place.load(positions))
        for block in range(card.depth):
            stream, seen = subject.watch(block, stream, sites_of(card))
            for site, values in seen.items():
                patches = patch_part(values, subject.unit_shape(block)).float()
                _grow(growing, (block, site), patches, place, positions)
                if site == "units":
                    if block not in turns:
                        turns[block] = rotation(patches.shape[-1], place.seed, block).to(patches)
                    _grow(growing, (block, ROTATED), patches @ turns[block], place, positions)
        place.charge(float(card.depth * len(positions)))
    return {name: _rows(place, name[0], growth) for name, growth in growing.items()}


def _grow(
    growing: dict[tuple[int, str], Growth],
    name: tuple[int, str],
    patches: Tensor,
    place: MemberContext,
    positions: range,
) -> None:
    if name not in growing:
        keeps_maps = name[1] == "units" and has_masks(place)
        growing[name] = Growth(patches.shape[-1], place.images.classes, keeps_maps)
    labels = place.images.labels
    growing[name].take(patches, positions.start, None if labels is None else labels[positions.start : positions.stop])


def _rows(place: MemberContext, block: int, growth: Growth) -> UnitRows:
    areas: dict[str, np.ndarray] = {}
    if growth.maps is not None:
        areas = mask_areas(place, growth.maps, growth.where, place.subject.unit_shape(block))
    return UnitRows(
        top=growth.top,
        where=growth.where,
        areas=areas,
        mean=growth.mean,
        std=growth.std,
        by_class=growth.by_class,
        class_counts=growth.class_counts,
        within=growth.within,
    )
