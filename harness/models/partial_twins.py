"""Twins of which the head alone, or the head and the last blocks, are drawn anew."""

import re

from torch import nn

from harness.errors import ClaimsError
from harness.models.family import Model
from harness.models.subject import ModelCard
from harness.models.weights import fresh_copy

HEAD, NORM = r"head(_dist)?\.", r"(norm|fc_norm|attn_pool)\."
BLOCK = re.compile(r"blocks\.(\d+)\.")


def partly_fresh(model: Model, card: ModelCard, seed: int, blocks: int) -> nn.Module:
    """Return a copy with a fresh head; with `blocks` above 0 the final norm and the last so many blocks are fresh too.

    What is drawn for one seed is the same whatever else is. Raises ClaimsError for more blocks than there are, and for
    models whose chain is not one list of blocks.
    """
    if len(getattr(model, "blocks", ())) != card.depth:
        raise ClaimsError(f"{card.name!r} cannot be drawn anew in part: its chain is not one list of blocks")
    if not 0 <= blocks <= card.depth:
        raise ClaimsError(f"the last {blocks} blocks of {card.name!r}; allowed: 0 to {card.depth}")
    twin = fresh_copy(model, seed)
    kept = {name: value for name, value in model.state_dict().items() if not _drawn(name, card.depth, blocks)}
    twin.load_state_dict(kept, strict=False)
    return twin


def _drawn(name: str, depth: int, blocks: int) -> bool:
    """Say whether a parameter of this name is drawn anew."""
    if found := BLOCK.match(name):
        return int(found[1]) >= depth - blocks
    return bool(re.match(HEAD, name) or (blocks and re.match(NORM, name)))
