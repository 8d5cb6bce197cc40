"""Whether pixels come back from the patch embedding by the (pseudo-)inverse of its matrix, on random pictures."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.images.cells import cells_of
from harness.models.patch_projection import PatchProjection, patch_projection
from harness.readouts.members import MemberContext

Number = Literal["pixels", "energy"]
By = Literal["own", "other position", "other matrix"]
PICTURES, SEED = 8, 23  # of random pixels, uniform over [0, 1]
SMALLEST = 1e-6  # singular value, relative to the largest, below which a direction is lost
MOST = 10.0  # cut of errors, which have no upper end
LEAST = 0.01  # of energy, to which a distance is relative where less is discarded


@dataclass(frozen=True, kw_only=True)
class ProjectionError:
    """How far pictures of random pixels are from what the pseudo-inverse of the projection makes of their patches.

    "pixels" is the largest error on the [0, 1] scale: of all pixels where the projection is as wide as a patch, else of
    what it captures of them. "energy" is by how much the share of the energy that does not come back differs from the
    share outside of the captured subspace, relative to it. `by` "other position" takes off the position of the
    neighbouring patch, "other matrix" inverts a matrix that is drawn at random. Cut off at MOST.
    """

    number: Number
    by: By = "own"
    low = 0.0
    high = MOST

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        """Compute it once for the model; ClaimsError for a subject without a patch projection."""
        name: Hashable = ("random pictures embedded",)
        seen = place.once(name, lambda: _embed(patch_projection(place.subject), place))
        found = {"pixels": pixel_error, "energy": energy_error}[self.number](seen, self.by)
        return np.full(len(members), min(MOST, found) if np.isfinite(found) else MOST)


class Embedded(NamedTuple):
    """Random pictures, float64: `cells` [image, patch, pixel] as the model takes them, `tokens` [image, patch, width].

    `nothing` [patch, width] is what a picture of zeros is embedded as, bias and positions; `matrix` [width, pixel];
    `scale` [pixel] makes differences of the model's input to such on the [0, 1] scale.
    """

    cells: Tensor
    tokens: Tensor
    nothing: Tensor
    matrix: Tensor
    scale: Tensor


def pixel_error(seen: Embedded, by: By) -> float:
    """Compute the largest error of a pixel, of those that the matrix can tell."""
    wide = seen.matrix.shape[0] >= seen.matrix.shape[1]
    expected = seen.cells if wide else seen.cells @ _captured(seen.matrix)
    return float(((_back(seen, by) - expected) * seen.scale).abs().max())


def energy_error(seen: Embedded, by: By) -> float:
    """Compare the energy that does not come back with that outside of the captured subspace."""
    outside = seen.cells - seen.cells @ _captured(seen.matrix)
    discarded, lost = (
        float(part.square().sum() / seen.cells.square().sum()) for part in (outside, _back(seen, by) - seen.cells)
    )
    return abs(lost - discarded) / max(discarded, LEAST)


def _back(seen: Embedded, by: By) -> Tensor:
    nothing = seen.nothing.roll(1, dims=0) if by == "other position" else seen.nothing
    matrix = seen.matrix
    if by == "other matrix":
        drawn = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(SEED), dtype=matrix.dtype)
        matrix = drawn * matrix.norm() / drawn.norm()
    return (seen.tokens - nothing) @ torch.linalg.pinv(matrix, rtol=SMALLEST).mT


def _captured(matrix: Float[Tensor, "width pixel"]) -> Float[Tensor, "pixel pixel"]:
    """Give the projector on the directions that the matrix does not lose."""
    _, values, rows = torch.linalg.svd(matrix, full_matrices=False)
    kept = rows[values > SMALLEST * values[0]]
    return kept.mT @ kept


@torch.inference_mode()
def _embed(projection: PatchProjection, place: MemberContext) -> Embedded:
    looks = place.subject.card.preprocessing
    weight = projection.weight.double().cpu()
    random = torch.rand(PICTURES, 3, *looks.size, generator=torch.Generator().manual_seed(SEED))
    mean, std = (torch.tensor(part)[:, None, None] for part in (looks.mean, looks.std))
    pictures = (random - mean) / std
    grid = (looks.size[0] // weight.shape[2], looks.size[1] // weight.shape[3])
    tokens, nothing = (projection.embed(one).double().cpu() for one in (pictures, torch.zeros_like(pictures[:1])))
    place.charge(float(PICTURES))
    return Embedded(
        cells=cells_of(pictures, grid).double(),
        tokens=tokens,
        nothing=nothing[0],
        matrix=weight.flatten(1),
        scale=std.expand(3, *weight.shape[2:]).flatten().double(),
    )
