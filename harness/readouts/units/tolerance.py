"""How much of a unit's activation on its top picture is left when the picture is shifted or turned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from harness.models.subject import Preprocessing
from harness.readouts.members import MemberContext
from harness.readouts.units.activations import patch_part, unit_table

SHIFTS = 4  # per axis, in quarters of a patch, 0 among them: 0, 4, 8, 12 px of 16 in the source
TURNS = 18  # by 20 degrees each, 0 among them
MOST = 1.25  # of the activation on the top picture; more is cut off
HELD = 512  # pictures that run together, variants included

Pixels = Float[Tensor, "variant channel row column"]
Move = Literal["none", "shift", "turn"]


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

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read units with these numbers in the block."""
        top = unit_table(place)[self.block, "units"].top[0, members]
        if self.move == "none":
            return (top > 0).astype(float)
        name = ("moved", tuple(members.tolist()))
        moved = place.once(name, lambda: _moved(place, members))[self.block]
        shown = moved[self.picture, self.move]
        return _over(shown, top)


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """A unit's mean activation over all pictures, over that on its top picture, as `Kept`."""

    block: int
    low = 0.0
    high = MOST

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read units with these numbers in the block."""
        rows = unit_table(place)[self.block, "units"]
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
def _moved(place: MemberContext, members: np.ndarray) -> Mapping[int, Mapping[tuple[str, str], np.ndarray]]:
    """Run every variant of the top pictures of these units once: by block, mean activations by picture and move."""
    subject, table = place.subject, unit_table(place)
    card = subject.card
    where = {block: table[block, "units"].where[0, members] for block in range(card.depth)}
    latest = {int(picture): block for block, own in where.items() for picture in own}  # block in which it is needed
    pictures = np.array(sorted(latest, key=lambda picture: (latest[picture], picture)))
    means = np.zeros((card.depth, 2, len(pictures), len(members)))
    per_run = max(1, HELD // (SHIFTS**2 + TURNS))
    for start in range(0, len(pictures), per_run):
        part = range(start, min(start + per_run, len(pictures)))
        stream = subject.start(torch.cat([_variants(place, int(pictures[number])) for number in part]))
        for block in range(latest[int(pictures[part[-1]])] + 1):
            stream, seen = subject.watch(block, stream, ("units",))
            patches = patch_part(seen["units"], subject.unit_shape(block))[..., torch.from_numpy(members)]
            each = patches.mean(dim=1).double().cpu().numpy().reshape(len(part), -1, len(members))
            means[block, 0, part] = each[:, : SHIFTS**2].mean(axis=1)
            means[block, 1, part] = each[:, SHIFTS**2 :].mean(axis=1)
            place.charge(float(len(stream.tokens)))
    columns, row = np.arange(len(members)), {picture: number for number, picture in enumerate(pictures)}
    found: dict[int, dict[tuple[str, str], np.ndarray]] = {}
    for block, own in where.items():
        rows = {"top": np.array([row[one] for one in own]), "swapped": np.array([row[one] for one in np.roll(own, 1)])}
        found[block] = {
            (picture, move): means[block, number][its, columns]
            for picture, its in rows.items()
            for number, move in enumerate(("shift", "turn"))
        }
    return found


def _variants(place: MemberContext, position: int) -> Pixels:
    card = place.subject.card
    assert card.grid is not None, "the claim needs patch tokens"
    picture = place.load(range(position, position + 1))[0]
    rows, columns = (side // (number * SHIFTS) for side, number in zip(card.preprocessing.size, card.grid, strict=True))
    return torch.cat([shifted(picture, (rows, columns)), turned(picture, card.preprocessing)])
