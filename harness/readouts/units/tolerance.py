"""How much of a unit's activation on its top picture is left when the picture is shifted or turned."""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from harness.models.subject import ModelCard, Preprocessing
from harness.readouts.members import MemberContext
from harness.readouts.units.activations import Table, advance, patch_part, unit_rows

SHIFTS = 4  # per axis, in quarters of a patch, 0 among them: 0, 4, 8, 12 px of 16 in the source
TURNS = 18  # by 20 degrees each, 0 among them
MOST = 1.25  # of the activation on the top picture; more is cut off
HELD = 512  # pictures that run together, variants included

Pixels = Float[Tensor, "variant channel row column"]
Move = Literal["none", "shift", "turn"]
_VARIANTS: Mapping[Move, int] = {"shift": SHIFTS**2, "turn": TURNS}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A unit's activation over that on its top picture, cut to [0, MOST]; 0 for units that are never active.

    The mean over shifts or over turns of the top picture, that of no move (1 for every active unit), or with
    `picture="swapped"` the same of the top picture of another unit of the block.
    """

    block: int
    move: Move
    picture: Literal["top", "swapped"] = "top"
    low = 0.0
    high = MOST

    @property
    def tables(self) -> tuple[Table, ...]:
        """Name the rows that it reads."""
        return (Table(self.block),)

    def evaluations(self, card: ModelCard, members: int) -> Mapping[Hashable, float]:
        """Count a run of every variant of every top picture up to the block."""
        runs = 0 if self.move == "none" else _VARIANTS[self.move] * members
        return {("moved", self.block, self.move): float(runs * (self.block + 1))}

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read units with these numbers in the block."""
        top = unit_rows(place, *self.tables).top[0, members]
        if self.move == "none":
            return (top > 0).astype(float)
        moved: dict[tuple[int, str, Move], np.ndarray] = place.once(("moved", tuple(members.tolist())), dict)
        if (self.block, self.picture, self.move) not in moved:
            beside = [one for one in (self, *place.beside) if isinstance(one, Kept)]
            moved |= _moved(place, members, sorted({one.block for one in beside}), {one.move for one in beside})
        return _over(moved[self.block, self.picture, self.move], top)


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """A unit's mean activation over all pictures, over that on its top picture, as `Kept`."""

    block: int
    low = 0.0
    high = MOST

    @property
    def tables(self) -> tuple[Table, ...]:
        """Name the rows that it reads."""
        return (Table(self.block),)

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read units with these numbers in the block."""
        rows = unit_rows(place, *self.tables)
        return _over(rows.mean[members], rows.top[0, members])


def shifted(picture: Float[Tensor, "channel row column"], step: tuple[int, int]) -> Pixels:
    """Shift cyclically by all pairs of multiples of a step (rows, columns)."""
    steps = [(row * step[0], column * step[1]) for row in range(SHIFTS) for column in range(SHIFTS)]
    return torch.stack([picture.roll(one, dims=(1, 2)) for one in steps])


def turned(picture: Float[Tensor, "channel row column"], preprocessing: Preprocessing) -> Pixels:
    """Turn around the centre, bilinear; what comes in at the corners is black."""
    mean, std = (torch.tensor(part).to(picture)[:, None, None] for part in (preprocessing.mean, preprocessing.std))
    angles = torch.arange(TURNS, dtype=torch.float64) * (2 * torch.pi / TURNS)
    zero = torch.zeros_like(angles)
    rows = [torch.stack([angles.cos(), -angles.sin(), zero], -1), torch.stack([angles.sin(), angles.cos(), zero], -1)]
    turns = torch.stack(rows, dim=1).to(picture)
    grid = affine_grid(turns, [TURNS, *picture.shape], align_corners=False)
    pixels = grid_sample((picture * std + mean).expand(TURNS, -1, -1, -1), grid, align_corners=False)
    return (pixels - mean) / std


def _over(activations: np.ndarray, top: np.ndarray) -> np.ndarray:
    shares = np.divide(activations, top, out=np.zeros_like(top), where=top > 0)
    return np.clip(shares, 0.0, MOST)


@torch.no_grad()
def _moved(
    place: MemberContext, members: np.ndarray, blocks: Sequence[int], moves: Collection[Move]
) -> dict[tuple[int, str, Move], np.ndarray]:
    """Run the moved top pictures of these units in these blocks once: mean activations by block, picture and move."""
    subject, kinds = place.subject, [move for move in _VARIANTS if move in moves]
    where = {block: unit_rows(place, Table(block)).where[0, members] for block in blocks}
    latest = {int(picture): block for block, own in where.items() for picture in own}  # block in which it is needed
    pictures = np.array(sorted(latest, key=lambda picture: (latest[picture], picture)))
    means = {block: np.zeros((len(kinds), len(pictures), len(members))) for block in blocks}
    variants = sum(_VARIANTS[kind] for kind in kinds)
    ends = np.cumsum([_VARIANTS[kind] for kind in kinds])[:-1]
    per_run = max(1, HELD // variants)
    for start in range(0, len(pictures), per_run):
        part = range(start, min(start + per_run, len(pictures)))
        stream = subject.start(torch.cat([_variants(place, int(pictures[number]), kinds) for number in part]))
        for block in range(latest[int(pictures[part[-1]])] + 1):
            stream, seen = advance(subject, block, stream, ("units",) if block in means else ())
            place.charge(float(len(stream.tokens)))
            if block in means:
                patches = patch_part(seen["units"], subject.unit_shape(block))[..., torch.from_numpy(members)]
                each = patches.mean(dim=1).double().cpu().numpy().reshape(len(part), variants, len(members))
                for number, one in enumerate(np.split(each, ends, axis=1)):
                    means[block][number, part] = one.mean(axis=1)
    columns, row = np.arange(len(members)), {picture: number for number, picture in enumerate(pictures)}
    return {
        (block, picture, kind): means[block][number, [row[one] for one in shown], columns]
        for block, own in where.items()
        for picture, shown in (("top", own), ("swapped", np.roll(own, 1)))
        for number, kind in enumerate(kinds)
    }


def _variants(place: MemberContext, position: int, moves: Iterable[Move]) -> Pixels:
    """Give the picture at a place under all shifts, turns or both."""
    card = place.subject.card
    assert card.grid is not None, "the claim needs patch tokens"
    picture = place.load(range(position, position + 1))[0]
    rows, columns = (side // (number * SHIFTS) for side, number in zip(card.preprocessing.size, card.grid, strict=True))
    moved = {"shift": lambda: shifted(picture, (rows, columns)), "turn": lambda: turned(picture, card.preprocessing)}
    return torch.cat([moved[move]() for move in moves])
