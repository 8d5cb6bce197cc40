"""What units do over the pictures: one streamed pass, of which several readings take their part.

A reading says which rows it takes (`tables`), and the first that asks has those of all readings beside it made in one
pass, and no others. Memory does not grow with the number of pictures: per unit the rows keep the pictures with the
largest activation, sums, and a sum per class.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from harness.models.sites import Site, UnitShape
from harness.models.subject import Stream, Subject
from harness.readouts.members import MemberContext
from harness.readouts.units.mask_overlap import has_masks, mask_areas
from harness.readouts.units.streaming import Growth, rotation

ROTATED = "rotated units"  # the units in a random orthogonal basis of the space that they span


Name = tuple[int, str]  # block and site


@dataclass(frozen=True, kw_only=True, eq=False)
class UnitRows:
    """What was found about the features of one site of one block.

    `top` [rank, unit] are the largest patch means, `where` [rank, unit] the places of their pictures in measuring order
    (fewer ranks than TOP where there are fewer pictures); `areas` [rank, unit] by mask how well their maps tell the
    object (`mask_overlap`; of the masks that were asked for, where pictures have them). `mean` and `std` [unit] are
    those of the patch mean over pictures, `by_class` [class, unit] its sum per class, `class_counts` [class] the
    pictures, `within` [unit] the share of the variance over pictures and places that lies within pictures.
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


@dataclass(frozen=True)
class Table:
    """Which rows: those of a site of a block, or of ROTATED, and the masks (`mask_overlap`) that maps are held to."""

    block: int
    site: str = "units"
    masks: tuple[str, ...] = ()


@runtime_checkable
class ReadsTables(Protocol):
    """A reading that takes rows of tables."""

    @property
    def tables(self) -> tuple[Table, ...]: ...


def unit_rows(place: MemberContext, table: Table) -> UnitRows:
    """Give rows, made once per model and set of pictures, together with those of the readings beside this one."""
    made = _made(place)
    if not _has(made, table):
        beside = [one for reading in place.beside if isinstance(reading, ReadsTables) for one in reading.tables]
        make_tables(place, [table, *beside])
    return made[table.block, table.site]


def make_tables(place: MemberContext, tables: Iterable[Table]) -> None:
    """Make the rows that are not there yet in one pass."""
    made = _made(place)
    masks: dict[Name, tuple[str, ...]] = {}
    for table in tables:
        if not _has(made, table):
            name = (table.block, table.site)
            masks[name] = tuple(dict.fromkeys((*masks.get(name, ()), *table.masks)))
    if masks:
        made |= _stream(place, masks)


def patch_part(values: Tensor, shape: UnitShape) -> Tensor:
    """Leave out what belongs to prefix tokens: [image, place, feature]."""
    return values[:, shape.prefix :]


def advance(
    subject: Subject, block: int, stream: Stream, sites: tuple[Site, ...]
) -> tuple[Stream, Mapping[Site, Tensor]]:
    """Run a block, watched where anybody reads within it."""
    return subject.watch(block, stream, sites) if sites else (subject.step(block, stream), {})


def _made(place: MemberContext) -> dict[Name, UnitRows]:
    return place.once("unit rows", dict)


def _has(made: Mapping[Name, UnitRows], table: Table) -> bool:
    rows = made.get((table.block, table.site))
    return rows is not None and set(table.masks) <= set(rows.areas)


@torch.no_grad()
def _stream(place: MemberContext, masks: Mapping[Name, tuple[str, ...]]) -> dict[Name, UnitRows]:
    """Run all pictures as far as the last block that is asked for."""
    subject, last = place.subject, max(block for block, _ in masks)
    growing: dict[Name, Growth] = {}
    turns: dict[int, Tensor] = {}
    for positions in place.grid:
        stream = subject.start(place.load(positions))
        for block in range(last + 1):
            stream, seen = advance(subject, block, stream, _sites_at(block, masks))
            shown = {site: patch_part(values, subject.unit_shape(block)).float() for site, values in seen.items()}
            for name in (name for name in masks if name[0] == block):
                if name[1] == ROTATED and block not in turns:
                    turns[block] = rotation(shown["units"].shape[-1], place.seed, block).to(shown["units"])
                patches = shown["units"] @ turns[block] if name[1] == ROTATED else shown[name[1]]  # type: ignore[index]
                if name not in growing:
                    keeps_maps = bool(masks[name]) and has_masks(place)
                    growing[name] = Growth(patches.shape[-1], place.images.classes, keeps_maps)
                labels = place.images.labels
                own = None if labels is None else labels[positions.start : positions.stop]
                growing[name].take(patches, positions.start, own)
        place.charge(float((last + 1) * len(positions)))
    return {name: _rows(place, name[0], growth, masks[name]) for name, growth in growing.items()}


def _sites_at(block: int, masks: Mapping[Name, tuple[str, ...]]) -> tuple[Site, ...]:
    """List what must be watched of a block."""
    sites = ("units" if site == ROTATED else site for at, site in masks if at == block)
    return tuple(dict.fromkeys(sites))  # type: ignore[arg-type]  # a table names a site or ROTATED


def _rows(place: MemberContext, block: int, growth: Growth, masks: tuple[str, ...]) -> UnitRows:
    areas: dict[str, np.ndarray] = {}
    if growth.maps is not None:
        areas = mask_areas(place, growth.maps, growth.where, place.subject.unit_shape(block), masks)
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
