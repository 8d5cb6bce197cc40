"""How many directions the matrices of attention read: numerical ranks, from the weights alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.models.subject import Subject
from harness.readouts.members import MemberContext

Matrix = Literal["query", "key", "value"]


@dataclass(frozen=True, kw_only=True)
class RankShare:
    """The median over some blocks of the numerical rank of one matrix, as a share of the smaller of its two sides.

    The tolerance is torch's default in fp32: larger side x machine epsilon x largest singular value.
    """

    matrix: Matrix
    blocks: tuple[int, ...]
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        """Read the one member of `TheModel`."""
        shares = [
            place.once(("rank", self.matrix, block), partial(rank_share, place.subject, self.matrix, block))
            for block in self.blocks
        ]
        return np.full(len(members), np.median(shares))


def rank_share(subject: Subject, matrix: Matrix, block: int) -> float:
    """Give the numerical rank of a matrix of one block over the smaller of its sides."""
    weights: torch.Tensor = getattr(subject.block_weights(block), matrix)
    return int(torch.linalg.matrix_rank(weights.float())) / min(weights.shape)


def ranks_by_block(matrix: Matrix, blocks: Sequence[int]) -> dict[int, RankShare]:
    """Give one readout per block."""
    return {block: RankShare(matrix=matrix, blocks=(block,)) for block in blocks}
