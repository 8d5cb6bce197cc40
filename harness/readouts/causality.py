"""Whether the forward pass is causal: what an exchange after one block does to class tokens elsewhere, bit for bit.

Measured arms share their first blocks, so that they could not differ there; here every pass is a run of its own.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from harness.images.batch import Batch, ShuffleClass
from harness.models.sites import EMBEDDING
from harness.models.subject import Subject
from harness.readouts.members import MemberContext


@dataclass(frozen=True, kw_only=True)
class SameClassToken:
    """Share of class tokens that an exchange after block `after` leaves bit-identical, over pictures and blocks.

    Read are the blocks (and the embedding) before that one, or that one and all later ones.
    """

    after: int
    read: Literal["before", "from there on"]
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        """Read the one member of `TheModel`."""
        same = place.once("class tokens under every exchange", lambda: _same(place))[self.after]
        end = self.after - EMBEDDING  # row 0 is the embedding
        part = same[:end] if self.read == "before" else same[end:]
        return np.full(len(members), part.mean())


def class_tokens(
    subject: Subject, images: Float[torch.Tensor, "image channel row column"], chunk: Batch, after: int | None
) -> Float[torch.Tensor, "step image width"]:
    """Run a whole pass and give the class token at every step, of which the first is the embedding.

    Class tokens are exchanged after block `after` (None: nowhere).
    """
    position, found = subject.card.prefix.index("class"), []
    stream = subject.start(images)
    for block in range(EMBEDDING, subject.card.depth):
        if block > EMBEDDING:
            stream = subject.step(block, stream)
        if block == after:
            stream = stream.with_tokens(ShuffleClass().apply(stream.tokens, subject.card, chunk))
        found.append(stream.tokens[:, position].clone())
    return torch.stack(found)


def _same(place: MemberContext) -> Bool[np.ndarray, "after step image"]:
    """Compare passes for every block after which to exchange; an image that is alone in its chunk has no say."""
    subject, found = place.subject, []
    for positions in place.grid:
        chunk, images = place.chunk_of(positions), place.load(positions)
        exchanging = (chunk.donors.cpu() != torch.arange(len(chunk.donors))).numpy()
        with torch.inference_mode():
            clean = class_tokens(subject, images, chunk, None)
            edited = [class_tokens(subject, images, chunk, after) for after in range(subject.card.depth)]
        same = np.stack([(one == clean).all(dim=-1).cpu().numpy() for one in edited])
        place.charge(float((1 + len(edited)) * subject.card.depth * len(positions)))
        found.append(same[:, :, exchanging])
    return np.concatenate(found, axis=2)
