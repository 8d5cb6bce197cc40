"""Gradients with respect to states, pictures and attention weights; they need no gradient mode of the caller.

Everything runs outside of inference mode and with gradients on, on copies where the caller's tensors know of none.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from harness.models.attention_hooks import explicit
from harness.models.family import Family
from harness.models.hooks import values_of, watching
from harness.models.sites import Site
from harness.models.subject import Stream


def lens_gradient(family: Family, model: nn.Module, states: Tensor, labels: Tensor, double_softmax: bool) -> Tensor:
    """Differentiate the cross-entropy of norm and head on single tokens: [*place, width], labels [*place]."""
    with _differentiable():
        asked = states.clone().detach().requires_grad_()
        logits = family.head(model, family.norm(model, asked))
        scores = logits.softmax(dim=-1) if double_softmax else logits
        loss = cross_entropy(scores.flatten(0, -2), labels.clone().flatten(), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, asked)
    return gradient


def respond(family: Family, model: nn.Module, images: Tensor, block: int, site: Site) -> Tensor:
    """Embed pictures and run the blocks up to the one that holds the site: [image, place, feature]."""
    with _differentiable():
        stream = _enter(family, model, images)
        for earlier in range(block):
            stream = stream.with_tokens(family.step(model, earlier, stream, None))
        taps = {site: family.taps(model, block)[site]}
        with watching(taps) as seen:
            family.step(model, block, stream, None)
        return values_of(taps, seen)[site]


def attention_gradients(
    family: Family, model: nn.Module, images: Tensor, labels: Tensor, depth: int
) -> list[tuple[Tensor, Tensor]]:
    """Differentiate the label's logit with respect to the pattern of every block, in one backward pass."""
    patterns: list[Tensor] = []
    with _differentiable():
        stream = _enter(family, model, images.clone().detach().requires_grad_())
        with explicit([family.attention(model, block) for block in range(depth)], patterns.append):
            for block in range(depth):
                stream = stream.with_tokens(family.step(model, block, stream, None))
        chosen = family.answer(model, stream.tokens).gather(1, labels.clone()[:, None])
        gradients = torch.autograd.grad(chosen.sum(), patterns)
    return [(pattern.detach(), gradient) for pattern, gradient in zip(patterns, gradients, strict=True)]


def input_gradient(family: Family, model: nn.Module, images: Tensor, labels: Tensor, depth: int) -> Tensor:
    """Differentiate the label's logit with respect to preprocessed pictures: [image, channel, row, column]."""
    with _differentiable():
        asked = images.clone().detach().requires_grad_()
        stream = _enter(family, model, asked)
        for block in range(depth):
            stream = stream.with_tokens(family.step(model, block, stream, None))
        chosen = family.answer(model, stream.tokens).gather(1, labels.clone()[:, None])
        (gradient,) = torch.autograd.grad(chosen.sum(), asked)
    return gradient


def _enter(family: Family, model: nn.Module, images: Tensor) -> Stream:
    weight = next(model.parameters())
    known = images.clone() if images.is_inference() else images
    return family.embed(model, known.to(weight.device, weight.dtype))


@contextmanager
def _differentiable() -> Iterator[None]:
    with torch.inference_mode(False), torch.enable_grad():
        yield
