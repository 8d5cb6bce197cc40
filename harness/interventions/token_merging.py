"""Token merging (Bolya et al., ICLR 2023): between attention and MLP of a block, tokens with like keys become one.

A merged token is the mean of what it stands for and counts as many times as a key: log(size) is added to its logit.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize, pad

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.block_edits import branched
from harness.interventions.intervention import Intervention
from harness.models.subject import ModelCard, Stream, Subject

NEEDS = ("writes", "qkv", "token_subset", "attention_pattern")
LOTTERY = 2000  # purposes of the chunk's random generators start here, one for each block
SHARE = 0.79  # of the patches that are merged away over all blocks, 13 of 196 in each of 12

Pairs = Literal["alike", "unlike", "random"]


@dataclass(frozen=True, kw_only=True)
class MergeTokens:
    """Merge so many pairs of tokens; prefix tokens stay as they are.

    Of all tokens in order those of even place are each paired with their best one of odd place, by the cosine of keys
    averaged over heads; the best pairs merge. "unlike" takes the worst, "random" any. With `drop` the token of even
    place is left out instead. Never more than half of the patches go. The last block gives every patch its merged token
    again, so that a head that averages patches weighs them by size.
    """

    count: int
    pairs: Pairs = "alike"
    drop: bool = False
    runs = 2.0  # each branch runs with the other one silenced

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"{self!r} merges nothing; allowed: 1 pair or more")

    def refusal(self, card: ModelCard, block: int) -> str:
        """Refuse blocks that cannot run on merged tokens."""
        return card.missing(NEEDS) or ""

    def left(self, card: ModelCard, block: int, tokens: int) -> int:
        """Count what is not merged away; after the last block all that was not dropped."""
        if block == card.depth - 1 and not self.drop:
            return len(card.prefix) + card.patches
        return tokens - min(self.count, (tokens - len(card.prefix)) // 2)

    def run(self, subject: Subject, block: int, stream: Stream, chunk: Batch) -> Stream:
        """Run attention on all tokens, and the MLP on what is left of them."""
        able, card, tokens = branched(subject), subject.card, stream.tokens
        sizes = tokens.new_ones(tokens.shape[:2]) if stream.sizes is None else stream.sizes
        if sizes.shape != tokens.shape[:2]:
            raise ClaimsError(f"{self!r}: sizes of {list(sizes.shape)} tokens for a stream of {list(tokens.shape)}")
        attended, passed = able.without(block, stream, "mlp", ("key",), None if stream.sizes is None else sizes)
        heads = subject.attention_pattern(block, stream.only(slice(0, 1))).shape[1]
        metric = passed["key"].unflatten(-1, (heads, -1)).mean(dim=2)
        likeness = self._likeness(metric, chunk.generator(LOTTERY + block))
        left, goes = pair_off(likeness, len(card.prefix), self.count)
        values, sizes = merged(attended.tokens, sizes, left, None if self.drop else goes)
        after = able.without(block, Stream(values, stream.extra, sizes), "attention")[0]
        return spread_out(after) if block == card.depth - 1 else after

    def _likeness(self, metric: Tensor, generator: torch.Generator) -> Float[Tensor, "image even odd"]:
        """Say how much each token of even place wants to merge with each one of odd place."""
        unit = normalize(metric.float(), dim=-1)
        cosines = unit[:, ::2] @ unit[:, 1::2].transpose(1, 2)
        if self.pairs == "random":
            return torch.rand(cosines.shape, generator=generator).to(cosines)
        return -cosines if self.pairs == "unlike" else cosines


def pair_off(
    likeness: Float[Tensor, "image even odd"], prefix: int, count: int
) -> tuple[Int[Tensor, "image left"], Int[Tensor, "image two gone"]]:
    """Choose the pairs: the places that are left, and of those that go (places from, places to).

    Prefix tokens come first, then what is left of even places, then odd places, as in the authors' code. The first
    `prefix` places never merge.
    """
    images, even, odd = likeness.shape
    wants = pad(likeness, (0, 1), value=-torch.inf)  # one partner for whom nobody asks, where there is no other
    wants[:, : -(-prefix // 2)] = -torch.inf
    wants[:, :, : prefix // 2] = -torch.inf
    best, partner = wants.max(dim=2)
    order = best.argsort(dim=1, descending=True, stable=True)
    count = min(count, (even + odd - prefix) // 2)
    gone = order[:, :count]
    stay = order[:, count:].sort(dim=1).values[:, -(-prefix // 2) :]
    first = torch.arange(prefix, device=wants.device).expand(images, -1)
    odds = 2 * torch.arange(prefix // 2, odd, device=wants.device).expand(images, -1) + 1
    return torch.cat((first, 2 * stay, odds), dim=1), torch.stack((2 * gone, 2 * partner.gather(1, gone) + 1), dim=1)


def merged(
    tokens: Float[Tensor, "image token width"],
    sizes: Float[Tensor, "image token"],
    left: Int[Tensor, "image left"],
    goes: Int[Tensor, "image two gone"] | None,
) -> tuple[Float[Tensor, "image left width"], Float[Tensor, "image left"]]:
    """Give what is left, each the mean by size of itself and all that went to it (goes None: nothing did)."""
    sums, counts = tokens * sizes[..., None], sizes.clone()
    if goes is not None:
        source, target = goes.unbind(dim=1)
        wide = (-1, -1, tokens.shape[-1])
        moved = sums.gather(1, source[..., None].expand(wide))
        sums = sums.scatter_add(1, target[..., None].expand(wide), moved)
        counts = counts.scatter_add(1, target, sizes.gather(1, source))
    counts = counts.gather(1, left)
    return sums.gather(1, left[..., None].expand(-1, -1, tokens.shape[-1])) / counts[..., None], counts


def spread_out(stream: Stream) -> Stream:
    """Repeat every token as often as its size says, so that there are as many as ever."""
    assert stream.sizes is not None, "it was merged"
    places = torch.stack(
        [torch.arange(len(row), device=row.device).repeat_interleave(row.long()) for row in stream.sizes]
    )
    tokens = stream.tokens.gather(1, places[..., None].expand(-1, -1, stream.tokens.shape[-1]))
    return Stream(tokens, stream.extra)


def merges_per_block(card: ModelCard) -> int:
    """Give how many pairs to merge in each block so that about four fifths of the patches go."""
    return max(1, round(SHARE * card.patches / card.depth))


def merge_tokens(card: ModelCard, count: int, pairs: Pairs = "alike", *, drop: bool = False) -> Intervention:
    """Merge (or drop) so many tokens in every block."""
    edit, left, blocks = MergeTokens(count=count, pairs=pairs, drop=drop), card.patches, []
    for block in range(card.depth):
        if left == 1 and not card.prefix:
            break  # a lone token reads itself, whatever it stands for
        blocks.append((block, edit))
        left -= min(count, left // 2)
    return Intervention(blocks=tuple(blocks))
