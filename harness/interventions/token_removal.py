"""Removing patch tokens one by one, in the order of a score, as many of every image."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.intervention import Intervention
from harness.interventions.patch_scores import Score
from harness.models.sites import EMBEDDING
from harness.models.subject import ModelCard


@dataclass(frozen=True, kw_only=True)
class KeepPatches:
    """Keep the prefix tokens and `keep` patches; the others leave the stream, the most or the least relevant first.

    What is kept stays in its order, with its position embedding. Of equal scores that of the earlier patch counts more.
    """

    score: Score
    keep: int
    first: Literal["most", "least"]

    def __post_init__(self) -> None:
        if self.keep < 0:
            raise ValueError(f"{self!r} keeps a negative number of patches; allowed: 0 and above")

    @property
    def exchanges(self) -> bool:
        """Tell whether the score reads something of the donors."""
        return self.score.exchanges

    def apply(
        self, tokens: Float[Tensor, "image token width"], card: ModelCard, chunk: Batch
    ) -> Float[Tensor, "image kept width"]:
        """Return the stream of what is kept; raises ClaimsError where patches are missing already or too few."""
        prefix = len(card.prefix)
        if card.grid is None or tokens.shape[1] != prefix + card.patches or self.keep > card.patches:
            raise ClaimsError(
                f"{self!r} on {list(tokens.shape)}: it takes all {card.patches} patches of {card.name!r}, keeps no more"
            )
        order = chunk.scores[self.score].argsort(dim=1, descending=True, stable=True)
        kept = order[:, : self.keep] if self.first == "least" else order[:, card.patches - self.keep :]
        places = torch.cat(
            (torch.arange(prefix).expand(len(tokens), -1).to(kept), prefix + kept.sort(dim=1).values), dim=1
        )
        places = places.to(tokens.device)
        return tokens.gather(1, places[..., None].expand(-1, -1, tokens.shape[-1]))


def keep_patches_by(score: Score, keep: int, *, first: Literal["most", "least"]) -> Intervention:
    """Remove all but `keep` patches after the position embedding, the most or the least relevant first."""
    return Intervention(edits=((EMBEDDING, KeepPatches(score=score, keep=keep, first=first)),))
