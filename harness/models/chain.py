"""The one subject of this package: a chain of blocks described by a family record, with every refusal in one place."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from harness.errors import ClaimsError, unknown
from harness.models.attention_hooks import explicit
from harness.models.branches import counted, silenced
from harness.models.family import Family
from harness.models.finite import refuse_not_finite
from harness.models.gradients import attention_gradients, input_gradient, lens_gradient, respond
from harness.models.head_input import HeadInput, head_input
from harness.models.hooks import values_of, watching
from harness.models.partial_twins import partly_fresh
from harness.models.position_hooks import other_positions
from harness.models.sites import SITE_NEEDS, BlockWeights, Branch, HeadWeights, Site, UnitShape, Writes
from harness.models.stream_checks import check_mask, check_tokens
from harness.models.subject import ModelCard, Positions, Stream, Subject
from harness.models.weights import fresh_copy, hash_weights


@dataclass(frozen=True, eq=False, kw_only=True)
class ChainSubject:
    """A module in evaluation mode, read through its family; no hook outlives a call and nothing is written to it."""

    card: ModelCard
    model: nn.Module
    family: Family

    @torch.no_grad()
    def start(self, images: Float[Tensor, "image channel row column"], positions: Positions = "own") -> Stream:
        """Embed preprocessed pictures of the card's size, moved to the device and dtype of the weights."""
        self._check_size(images)
        weight = next(self.model.parameters())
        with self._positions(positions):
            stream = self.family.embed(self.model, images.to(weight.device, weight.dtype))
        refuse_not_finite(stream.tokens, f"the embedding of {self.card.name!r}")
        return stream

    @torch.no_grad()
    def step(self, block: int, stream: Stream, mask: Tensor | None = None, renormalize: bool = True) -> Stream:
        """Run one block; `mask` [query, key] or [image, query, key] is bool, best on the CPU, where it is checked."""
        return self._run(block, stream, (), mask, renormalize)[0]

    @torch.no_grad()
    def watch(
        self,
        block: int,
        stream: Stream,
        sites: tuple[Site, ...],
        mask: Tensor | None = None,
        renormalize: bool = True,
    ) -> tuple[Stream, Mapping[Site, Tensor]]:
        """Run one block as `step` does, and give what passed these sites, [image, place, feature] each."""
        return self._run(block, stream, sites, mask, renormalize)

    @torch.no_grad()
    def attention_pattern(self, block: int, stream: Stream) -> Float[Tensor, "image head query key"]:
        """Give the attention weights of one block, by the explicit path where the model has a fused one."""
        self._need("attention_pattern")
        self._check_block(block)
        check_tokens(self.card, stream)
        seen: list[Tensor] = []
        with explicit([self.family.attention(self.model, block)], seen.append):
            self.family.step(self.model, block, stream, None)
        refuse_not_finite(seen[0], f"the attention pattern of {self.card.name!r} in block {block}")
        return seen[0]

    def unit_shape(self, block: int) -> UnitShape:
        """Say where the units of this block are."""
        self._need("units")
        self._check_block(block)
        return self.card.units[block]

    @torch.no_grad()
    def writes(self, block: int, stream: Stream) -> Writes:
        """Give what this block's attention and MLP add, as they enter the stream."""
        written = self._run(block, stream, ("attention write", "mlp write"), None, True)[1]
        return Writes(written["attention write"], written["mlp write"])

    @torch.no_grad()
    def without(
        self, block: int, stream: Stream, branch: Branch, sites: tuple[Site, ...] = (), sizes: Tensor | None = None
    ) -> tuple[Stream, Mapping[Site, Tensor]]:
        """Run one block while one branch adds zeros (see `harness.models.branches.Branched`)."""
        site: Site = "attention write" if branch == "attention" else "mlp write"
        self._need_site(site)
        self._check_block(block)
        with ExitStack() as changed:
            changed.enter_context(silenced(self.family.taps(self.model, block)[site], f"{branch} of block {block}"))
            if sizes is not None:
                self._need("attention_pattern")
                attention = [self.family.attention(self.model, block)]
                changed.enter_context(explicit(attention, lambda pattern: counted(pattern, sizes)))
            return self._run(block, stream, sites, None, True)

    def block_weights(self, block: int) -> BlockWeights:
        """Give the weights of one block as plain matrices, without gradient."""
        self._need("weights")
        self._check_block(block)
        matrices = self.family.weights(self.model, block)
        assert matrices is not None, "the card says that every block has them"
        return matrices

    def head_weights(self) -> HeadWeights:
        """Give the class head that `token_logits` applies, without gradient; raises ClaimsError for one of layers."""
        self._need("token_head")
        head = self.model.head
        if not isinstance(head, nn.Linear):
            raise ClaimsError(f"the head of {self.card.name!r} is a {type(head).__name__}, not one linear layer")
        return HeadWeights(weight=head.weight.detach(), bias=None if head.bias is None else head.bias.detach())

    def lens_gradient(
        self, states: Float[Tensor, "*place width"], labels: Int[Tensor, "*place"], double_softmax: bool = False
    ) -> Float[Tensor, "*place width"]:
        """Give the gradient of the lens's cross-entropy with respect to states; also within inference mode."""
        self._need("token_head")
        return lens_gradient(self.family, self.model, states, labels, double_softmax)

    def respond(
        self, images: Float[Tensor, "image channel row column"], block: int, site: Site
    ) -> Float[Tensor, "image place feature"]:
        """Give what passes a site as a differentiable function of preprocessed pictures of the card's size."""
        self._check_block(block)
        self._need_site(site)
        self._check_size(images)
        return respond(self.family, self.model, images, block, site)

    def attention_gradients(
        self, images: Float[Tensor, "image channel row column"], labels: Int[Tensor, "image"]
    ) -> list[tuple[Tensor, Tensor]]:
        """Give the attention pattern of every block, and the gradient of the label's logit with respect to it."""
        self._need("attention_pattern")
        self._need("head")
        self._check_size(images)
        return attention_gradients(self.family, self.model, images, labels, self.card.depth)

    def input_gradient(
        self, images: Float[Tensor, "image channel row column"], labels: Int[Tensor, "image"]
    ) -> Float[Tensor, "image channel row column"]:
        """Give the gradient of the label's logit with respect to preprocessed pictures; also within inference mode."""
        self._need("head")
        self._check_size(images)
        return input_gradient(self.family, self.model, images, labels, self.card.depth)

    @torch.no_grad()
    def logits(self, stream: Stream) -> Float[Tensor, "image class"]:
        """Give the model's own answer from the stream after the last block, bit for bit."""
        self._need("head")
        logits = self.family.answer(self.model, stream.tokens)
        refuse_not_finite(logits, f"the logits of {self.card.name!r}")
        return logits

    @torch.no_grad()
    def head_input(self, stream: Stream) -> HeadInput:
        """Give the features that the class head reads from the stream after the last block."""
        self._need("head")
        found = head_input(self.model, lambda: self.family.answer(self.model, stream.tokens), self.card.name)
        refuse_not_finite(found.features, f"what enters the head of {self.card.name!r}")
        return found

    @torch.no_grad()
    def normed(self, stream: Stream) -> Float[Tensor, "image token width"]:
        """Apply the head's norm to every token; an extrapolation where the model pools before it norms."""
        self._need("patch_tokens")
        return self.family.norm(self.model, stream.tokens)

    @torch.no_grad()
    def token_logits(self, features: Float[Tensor, "*place width"]) -> Float[Tensor, "*place class"]:
        """Apply the class head to normed features; for distilled models that is `head`, never `head_dist`."""
        self._need("token_head")
        logits = self.family.head(self.model, features)
        refuse_not_finite(logits, f"the logits of {self.card.name!r}")
        return logits

    def untrained(self, seed: int) -> Subject:
        """Return a twin with fresh weights; its card says `pretrained=False` and carries the seed in its name."""
        card = replace(self.card, pretrained=False, name=f"{self.card.name}@untrained-{seed}")
        return replace(self, card=card, model=fresh_copy(self.model, seed))

    def partly_untrained(self, seed: int, blocks: int) -> Subject:
        """Return a twin of which the head is drawn anew, and with `blocks` the final norm and the last so many too."""
        card = replace(self.card, name=f"{self.card.name}@drawn-{blocks}-{seed}")
        return replace(self, card=card, model=partly_fresh(self.model, self.card, seed, blocks))

    def weights_hash(self) -> str:
        """Identify the weights by the sha256 of the state dict."""
        return hash_weights(self.model)

    def _run(
        self, block: int, stream: Stream, sites: tuple[Site, ...], mask: Tensor | None, renormalize: bool
    ) -> tuple[Stream, dict[Site, Tensor]]:
        self._check_block(block)
        check_tokens(self.card, stream)
        for site in sites:
            self._need_site(site)
        if mask is not None:
            self._need("attn_mask" if renormalize else "attention_pattern")
            check_mask(self.card, mask, stream, renormalize)
            mask = mask.to(stream.tokens.device, non_blocking=True)
            mask = mask[:, None] if mask.ndim == 3 else mask  # the same for every head
        every = self.family.taps(self.model, block) if sites else {}
        taps = {site: every[site] for site in sites}
        with watching(taps) as seen:
            tokens = self._step(block, stream, mask, renormalize)
        refuse_not_finite(tokens, f"the stream of {self.card.name!r} after block {block}")
        inner = values_of(taps, seen)
        for site, values in inner.items():
            refuse_not_finite(values, f"the {site} of {self.card.name!r} in block {block}")
        return stream.with_tokens(tokens), inner

    def _step(self, block: int, stream: Stream, mask: Tensor | None, renormalize: bool) -> Tensor:
        if mask is None or renormalize:
            return self.family.step(self.model, block, stream, mask)
        keep = mask
        with explicit([self.family.attention(self.model, block)], lambda pattern: pattern * keep):
            return self.family.step(self.model, block, stream, None)

    def _positions(self, positions: Positions) -> AbstractContextManager[None]:
        if positions == "own":
            return nullcontext()
        self._need("position_embedding")
        return other_positions(self.model, positions)

    def _need_site(self, site: str) -> None:
        needs = dict[str, str](SITE_NEEDS)  # type: ignore[arg-type]
        if site not in needs:
            raise unknown("site", site, needs, f"a block of {self.card.name!r}")
        self._need(needs[site])

    def _need(self, capability: str) -> None:
        if reason := self.card.missing((capability,)):
            raise ClaimsError(f"{self.card.name!r} has no {capability!r}: {reason}")

    def _check_size(self, images: Tensor) -> None:
        size = tuple(images.shape[-2:])
        if size != self.card.preprocessing.size:
            raise ClaimsError(
                f"pictures of {size} pixels for {self.card.name!r}, which takes {self.card.preprocessing.size}"
            )

    def _check_block(self, block: int) -> None:
        if not 0 <= block < self.card.depth:
            raise ClaimsError(f"block {block!r} of {self.card.name!r}, which has blocks 0 to {self.card.depth - 1}")
