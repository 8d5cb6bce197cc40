"""What a stream and an attention mask must be before a block is run on them."""

import torch
from torch import Tensor

from harness.errors import ClaimsError
from harness.models.subject import ModelCard, Stream


def check_mask(card: ModelCard, mask: Tensor, stream: Stream, renormalize: bool) -> None:
    """Refuse masks of other shapes, and renormalized ones that leave a token nothing to read.

    Raises ClaimsError naming the rows.
    """
    images, tokens = stream.tokens.shape[:2]
    if mask.dtype != torch.bool or tuple(mask.shape) not in ((tokens, tokens), (images, tokens, tokens)):
        raise ClaimsError(
            f"an attention mask for {card.name!r} is bool [{tokens} queries, {tokens} keys], with {images} "
            f"images before them or not, not {mask.dtype} {list(mask.shape)}"
        )
    full = mask.any(dim=-1)
    if renormalize and not bool(full.all()):
        rows = (~full).nonzero()
        where = f"rows {rows.flatten().tolist()}" if mask.ndim == 2 else f"[image, row] {rows[:5].tolist()}"
        raise ClaimsError(
            f"{where} of the attention mask for {card.name!r} allow no key at all: the explicit and the "
            f"fused attention path would disagree (NaN, finite); let a token attend at least to itself"
        )


def check_tokens(card: ModelCard, stream: Stream) -> None:
    """Raise ClaimsError for a part of the tokens given to a model whose blocks cannot run on one."""
    if card.grid is None or "token_subset" in card.capabilities:
        return
    want, got = len(card.prefix) + card.patches, stream.tokens.shape[1]
    if got != want:
        reason = card.missing(("token_subset",))
        raise ClaimsError(f"{got} of the {want} tokens given to a block of {card.name!r}: {reason}")
