"""Training learned readouts: Adam on cached tokens, one frozen block per step, checkpointed and resumable.

Order, draws and schedule follow from the recipe and the number of the step alone, so that a killed training goes on
to the same bits.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from harness.errors import ClaimsError
from harness.models.chain import ChainSubject
from harness.models.subject import Stream, Subject
from harness.probes.learned_token import (
    TokenFit,
    TokenReadout,
    check_token_readout,
    entering,
    initial_parameters,
    learned,
    probe_logits,
    read_token,
    seeded,
)
from harness.probes.training import linear
from harness.probes.training.code import code_of
from harness.probes.training.files import FitPlace, partial_name
from harness.probes.training.linear import Advance, Training
from harness.probes.training.token_cache import TokenCache, cache_groups

BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam
READ_AT_ONCE = 256


def fit_tokens(
    readouts: Sequence[TokenReadout], training: Training, place: FitPlace, advance: Advance
) -> Iterator[tuple[TokenReadout, TokenFit]]:
    """Learn readouts, block by block; all modes of a block share its tokens.

    Raises ClaimsError for readouts that the model cannot have and training images without labels.
    """
    card = training.subject.card
    for readout in readouts:
        check_token_readout(readout, card)
    by_size: dict[int, dict[int, list[TokenReadout]]] = defaultdict(lambda: defaultdict(list))
    for readout in readouts:
        if readout.learns == "nothing":
            yield readout, TokenFit(parameters=initial_parameters(readout, card.width, training.classes))
            continue
        images = min(len(training.labels), readout.recipe.images or len(training.labels))
        by_size[images][readout.block].append(readout)
    for images, by_block in sorted(by_size.items()):
        for blocks in cache_groups(sorted(by_block), training, images):
            with closing(TokenCache(training, blocks, images, place.folder)) as cache:
                cache.fill(advance)
                for readout in (readout for block in blocks for readout in by_block[block]):
                    yield readout, _Training(readout, cache, place).run(advance)


def differentiable_step(subject: Subject, block: int, stream: Stream) -> Tensor:
    """Run one block so that gradients reach the tokens that enter it.

    Raises ClaimsError where none do.
    """
    with torch.set_grad_enabled(stream.tokens.requires_grad):
        if isinstance(subject, ChainSubject):
            tokens = subject.family.step(subject.model, block, stream, None)
        else:
            tokens = subject.step(block, stream).tokens
    if stream.tokens.requires_grad and not tokens.requires_grad:
        raise ClaimsError(f"block {block} of {subject.card.name!r} passes no gradient to the tokens that enter it")
    return tokens


class _Training:
    """One readout while it is trained."""

    def __init__(self, readout: TokenReadout, cache: TokenCache, place: FitPlace) -> None:
        self.readout, self.cache, self.place = readout, cache, place
        training = cache.training
        self.subject, self.labels = training.subject, torch.from_numpy(training.labels[: cache.images])
        self.name = partial_name([place.id(readout, code_of(readout))])
        drawn = initial_parameters(readout, training.subject.card.width, training.classes)
        self.parameters = {name: value.to(cache.device) for name, value in drawn.items()}
        self.names = [name for name in self.parameters if learned(readout, name)]
        self.first = {name: torch.zeros_like(self.parameters[name]) for name in self.names}
        self.second = {name: torch.zeros_like(self.parameters[name]) for name in self.names}
        recipe = readout.recipe
        self.per_epoch = math.ceil(cache.images / recipe.batch)
        self.steps = self.per_epoch * recipe.epochs
        self._fixed: Tensor | None = None

    def run(self, advance: Advance) -> TokenFit:
        """Train to the end, from the checkpoint if there is one."""
        what = f"{self.readout.mode} readout of block {self.readout.block}"
        saved, total = time.monotonic(), self.cache.images * self.readout.recipe.epochs
        for step in range(self._resume(), self.steps):
            self._update(step, *self._gradients(step))
            epoch, within = divmod(step + 1, self.per_epoch)
            done = epoch * self.cache.images + within * self.readout.recipe.batch
            if time.monotonic() - saved > linear.CHECKPOINT_SECONDS:
                self.place.write(self.name, self._arrays(step + 1))
                saved = time.monotonic()
            advance(what, min(done, total), total)
        self.place.drop(self.name)
        return TokenFit(parameters={name: value.detach().cpu() for name, value in self.parameters.items()})

    def rows(self, step: int) -> np.ndarray:
        """Give the images of one step: every epoch goes through all of them in an order of its own."""
        recipe = self.readout.recipe
        epoch, within = divmod(step, self.per_epoch)
        order = np.random.Generator(np.random.PCG64([recipe.seed, 11, epoch])).permutation(self.cache.images)
        return order[within * recipe.batch : (within + 1) * recipe.batch]

    def _gradients(self, step: int) -> tuple[Tensor, ...]:
        rows = self.rows(step)
        parameters = {name: value.requires_grad_(name in self.names) for name, value in self.parameters.items()}
        token = self._read(rows, step)
        loss = torch.nn.functional.cross_entropy(probe_logits(parameters, token), self.labels[rows].to(token.device))
        return torch.autograd.grad(loss, [parameters[name] for name in self.names])

    def _read(self, rows: np.ndarray, step: int) -> Tensor:
        """Give what leaves the block at the token that is read, differentiable where a token is learned."""
        readout = self.readout
        if readout.keeps_class:
            return self._class_tokens()[rows]
        stream, card = self.cache.stream(readout.block, rows), self.subject.card
        noise = None
        if readout.draws:
            noise = torch.randn(len(rows), card.width, generator=seeded(readout.recipe.seed, "noise", step))
        entered = stream.with_tokens(entering(readout, self.parameters, card, stream.tokens, noise))
        return read_token(readout, card, differentiable_step(self.subject, readout.block, entered))

    def _class_tokens(self) -> Tensor:
        """Run the block once for all images where nothing before the probe is learned: [image, width]."""
        if self._fixed is None:
            parts = []
            for start in range(0, self.cache.images, READ_AT_ONCE):
                rows = np.arange(start, min(start + READ_AT_ONCE, self.cache.images))
                after = self.subject.step(self.readout.block, self.cache.stream(self.readout.block, rows))
                parts.append(read_token(self.readout, self.subject.card, after.tokens))
            self._fixed = torch.cat(parts)
        return self._fixed

    @torch.no_grad()
    def _update(self, step: int, *gradients: Tensor) -> None:
        """Take one step of Adam at the rate of the cosine schedule."""
        rate = 0.5 * self.readout.recipe.rate * (1.0 + math.cos(math.pi * step / self.steps))
        for name, gradient in zip(self.names, gradients, strict=True):
            first = self.first[name].mul_(BETAS[0]).add_(gradient, alpha=1 - BETAS[0])
            second = self.second[name].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            scale = (second / (1 - BETAS[1] ** (step + 1))).sqrt_().add_(EPSILON)
            self.parameters[name].addcdiv_(first, scale, value=-rate / (1 - BETAS[0] ** (step + 1)))

    def _arrays(self, done: int) -> dict[str, np.ndarray]:
        kinds = {"value": self.parameters, "first": self.first, "second": self.second}
        named = {f"{kind}|{name}": t.detach().cpu().numpy() for kind, held in kinds.items() for name, t in held.items()}
        return {"done": np.array([done]), **named}

    def _resume(self) -> int:
        if (arrays := self.place.read(self.name)) is None:
            return 0
        for kind, held in (("value", self.parameters), ("first", self.first), ("second", self.second)):
            held |= {name: torch.from_numpy(arrays[f"{kind}|{name}"]).to(self.cache.device) for name in held}
        return int(arrays["done"][0])
