"""What the strongest keys of a token select: value vectors of the picture's class, or what the branch then writes.

The keys of attention are the values mixed by it, heads side by side; those of an MLP its first layer before the
nonlinearity. Each multiplies one value vector (arXiv 2310.18969).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.judging.chance_levels import KEPT
from harness.models.sites import Branch, Site
from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout

LOTTERY = 20_310  # purpose of the random classes, by which they differ from other draws of a chunk
KEYS: dict[Branch, Site] = {"attention": "attention keys", "mlp": "mlp keys"}
WRITES: dict[Branch, Site] = {"attention": "attention write", "mlp": "mlp write"}


@dataclass(frozen=True, kw_only=True)
class KeyValueAgreement(StreamReadout):
    """The share of tokens (prefix tokens too, or the class token alone) whose strongest keys select the class.

    That is: any of the `kept` largest keys belongs to one of the `kept` value vectors with the largest product with the
    embedding of the label, or of another class drawn for each image. Biases of the head are left out.
    """

    layer: int
    branch: Branch
    of: Literal["label", "another class"] = "label"
    tokens: Literal["all", "class"] = "all"
    kept: int = KEPT
    low = 0.0
    high = 1.0

    @property
    def sites(self) -> tuple[Site, ...]:
        """Name the keys."""
        return (KEYS[self.branch],)

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        strongest, best = strongest_keys(reading, self.branch, self.kept), self._best_vectors(reading)
        if self.tokens == "class":
            strongest = strongest[:, [reading.card.prefix.index("class")]]
        return meeting(strongest, best).float().mean(dim=1)

    def _best_vectors(self, reading: Reading) -> Int[Tensor, "image kept"]:
        labels = reading.labels("own")
        if self.of == "another class":
            classes = reading.card.classes
            random = reading.chunk.generator(LOTTERY)
            steps = torch.randint(1, classes, (len(labels),), generator=random).to(labels.device)
            labels = (labels + steps) % classes
        embeddings = reading.subject.head_weights().weight[labels].float()
        vectors = reading.subject.block_weights(reading.block).value_vectors(self.branch)
        return (embeddings @ vectors).topk(self.kept, dim=1).indices


@dataclass(frozen=True, kw_only=True)
class MemoryMatch(StreamReadout):
    """The share of tokens at which the class that the branch's write names is that of one of its strongest memories.

    The write is read by the model's last norm and head, bias included; a value vector names the class whose embedding
    has the largest product with it. The memories are the value vectors of the `kept` largest keys.
    """

    layer: int
    branch: Branch
    kept: int = KEPT
    low = 0.0
    high = 1.0

    @property
    def sites(self) -> tuple[Site, ...]:
        """Name the keys and what the branch writes."""
        return (KEYS[self.branch], WRITES[self.branch])

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        subject, write = reading.subject, reading.inner[WRITES[self.branch]]
        normed = subject.normed(reading.stream.with_tokens(write)).float()
        named = subject.token_logits(normed).argmax(dim=-1)
        vectors = subject.block_weights(reading.block).value_vectors(self.branch)
        strongest = strongest_keys(reading, self.branch, self.kept)
        used, place = strongest.unique(return_inverse=True)  # a chunk activates a part of the vectors
        memories = (subject.head_weights().weight.float() @ vectors[:, used]).argmax(dim=0)[place]
        return (memories == named[..., None]).any(dim=-1).float().mean(dim=1)


def strongest_keys(reading: Reading, branch: Branch, kept: int) -> Int[Tensor, "image token kept"]:
    """Give the numbers of the largest keys at every token."""
    keys = reading.inner[KEYS[branch]]
    return reading.once(("strongest keys", branch, kept), lambda: keys.float().topk(kept, dim=-1).indices)


def meeting(first: Int[Tensor, "image token kept"], second: Int[Tensor, "image kept"]) -> Bool[Tensor, "image token"]:
    """Say where two sets share a member, those of every token and that of its image."""
    return (first[..., None] == second[:, None, None, :]).flatten(2).any(dim=2)
