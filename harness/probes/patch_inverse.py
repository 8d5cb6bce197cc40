"""Linear inverses of a model: from what it holds at one place of its grid, after every block, to the pixels there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.images.cells import cells_of, shown
from harness.models.places import placed
from harness.models.sites import EMBEDDING
from harness.models.subject import Subject
from harness.probes.regression import PairMoments, Regression, fit_regression
from harness.probes.statistic import Statistic

PICTURES = 1000  # of the training pictures; each is as many rows as there are places
PARTS = ("centre", "scale", "weights", "bias")


@dataclass(frozen=True)
class PatchInverses(Statistic):
    """Ridge regressions from the token of a place to the pixels of its cell, [0, 1], one per block and the embedding.

    One pass over the first PICTURES training pictures serves all. Beside them the mean of these pictures, "picture"
    [channel, row, column]. The grid of every block must tile the pictures (`harness.models.places.untiled`).
    """

    def collect(self, subject: Subject, chunks: Iterable[Tensor]) -> Mapping[str, Tensor]:
        """Add up second moments of tokens and pixels, and solve."""
        card, moments, total, seen = subject.card, dict[int, PairMoments](), torch.zeros(1), 0
        for chunk in chunks:
            pixels = shown(chunk[: PICTURES - seen], card.preprocessing)
            stream = subject.start(chunk[: PICTURES - seen])
            total = total.to(pixels.device) + pixels.double().sum(dim=0)
            for block in range(EMBEDDING, card.depth):
                stream = stream if block == EMBEDDING else subject.step(block, stream)
                tokens, grid = placed(card, stream)
                cells = cells_of(pixels, grid).to(tokens.device)
                if block not in moments:
                    moments[block] = PairMoments.empty(tokens.shape[2], cells.shape[2], tokens.device)
                moments[block].add(tokens, cells, seen)
            seen += len(pixels)
            if seen >= PICTURES:
                break
        fits = {block: fit_regression(filled) for block, filled in moments.items()}
        named = {f"{part} {block}": getattr(fit, part) for block, fit in fits.items() for part in PARTS}
        named |= {f"strength {block}": torch.tensor(fit.strength) for block, fit in fits.items()}
        return named | {"picture": (total / max(1, seen)).float().cpu()}


def inverse_after(block: int, numbers: Mapping[str, Tensor]) -> Regression:
    """Take the inverse of one block, -1 the embedding, from what was collected."""
    return Regression(
        centre=numbers[f"centre {block}"],
        scale=numbers[f"scale {block}"],
        weights=numbers[f"weights {block}"],
        bias=numbers[f"bias {block}"],
        strength=float(numbers[f"strength {block}"]),
    )
