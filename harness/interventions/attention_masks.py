"""Who may read whom: masks that leave tokens alone, blind patches to the class token, or hide patches per image."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.batch import Batch, Whose, object_patches
from harness.interventions.intervention import Intervention
from harness.models.subject import ModelCard

LOTTERY = 13  # purpose of the chunk's random generator


@dataclass(frozen=True)
class SelfOnly:
    """Let every patch token attend to itself alone; the rows of the prefix tokens stay as they are."""

    renormalized = True

    def allowed(self, card: ModelCard, tokens: int) -> Bool[Tensor, "query key"]:
        """Allow patches the diagonal, prefix tokens everything."""
        allowed = torch.eye(tokens, dtype=torch.bool)
        allowed[: len(card.prefix)] = True
        return allowed


@dataclass(frozen=True, kw_only=True)
class BlockPatchesToPrefix:
    """Forbid patch tokens to read the class token (and the distillation token); registers stay open.

    Not `renormalized`, the weights on them are set to 0 after the softmax, as in the code of arXiv 2310.18969.
    """

    renormalized: bool = True

    def allowed(self, card: ModelCard, tokens: int) -> Bool[Tensor, "query key"]:
        """Allow everything but patches to summary tokens."""
        allowed = torch.ones(tokens, tokens, dtype=torch.bool)
        summary = [place for place, kind in enumerate(card.prefix) if kind in ("class", "distillation")]
        allowed[len(card.prefix) :, summary] = False
        return allowed


@dataclass(frozen=True, kw_only=True)
class KeepByMask:
    """Leave only the patches on the object, or only those beside it: nobody reads the others, and they only themselves.

    In every block this equals a run without the other patches, image by image, as long as nothing reads their rows:
    the class token and the kept patches may be read, not a mean over all patches. `whose` "donor" takes the mask of
    the donor; `random` draws as many patches as the mask would keep, anywhere.
    """

    keep: Literal["object", "context"]
    whose: Whose = "own"
    random: bool = False
    renormalized = True

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads the donor's mask."""
        return self.whose == "donor"

    def kept(self, card: ModelCard, chunk: Batch) -> Bool[Tensor, "image patch"]:
        """Say which patches are left; raises ClaimsError without masks or patch tokens."""
        if card.grid is None:
            raise ClaimsError(f"{self!r}: {card.name!r} has no patch tokens")
        on_object = object_patches(chunk.masks_of(self.whose), card.grid)
        kept = on_object if self.keep == "object" else ~on_object
        if not self.random:
            return kept
        order = torch.rand(kept.shape, generator=chunk.generator(LOTTERY)).argsort(dim=1).argsort(dim=1)
        return order.to(kept.device) < kept.sum(dim=1, keepdim=True)

    def allowed(self, card: ModelCard, tokens: int) -> Bool[Tensor, "query key"]:
        """Refuse: it differs from image to image."""
        raise ClaimsError(f"{self!r} is a mask of its own for every image; ask `allowed_by_image`")

    def allowed_by_image(self, card: ModelCard, tokens: int, chunk: Batch) -> Bool[Tensor, "image query key"]:
        """Allow everybody the prefix tokens and the kept patches, and the others themselves alone."""
        kept = self.kept(card, chunk)
        if tokens != len(card.prefix) + kept.shape[1]:
            raise ClaimsError(f"{self!r} needs all {card.patches} patches of {card.name!r}; {tokens} tokens are left")
        kept = torch.cat((kept.new_ones(len(kept), len(card.prefix)), kept), dim=1)
        return (kept[:, :, None] & kept[:, None]) | torch.eye(tokens, dtype=torch.bool, device=kept.device)


def self_only(blocks: Iterable[int]) -> Intervention:
    """Let patches attend to themselves alone in these blocks (0-based)."""
    return _in(blocks, SelfOnly())


def blind_to_cls(blocks: Iterable[int], renormalized: bool = True) -> Intervention:
    """Forbid patches to read the class token in these blocks (0-based)."""
    return _in(blocks, BlockPatchesToPrefix(renormalized=renormalized))


def keep_patches(
    card: ModelCard, keep: Literal["object", "context"], *, whose: Whose = "own", random: bool = False
) -> Intervention:
    """Remove all patches beside the object, or all patches on it, from every block."""
    return _in(range(card.depth), KeepByMask(keep=keep, whose=whose, random=random))


def _in(blocks: Iterable[int], mask: SelfOnly | BlockPatchesToPrefix | KeepByMask) -> Intervention:
    return Intervention(masks=tuple((block, mask) for block in sorted(blocks)))
