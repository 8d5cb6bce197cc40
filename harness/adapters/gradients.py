"""Gradients with respect to states, pictures and attention weights; they need no gradient mode of the caller.

Everything runs outside of inference mode and with gradients on, on copies where the caller's tensors know of none.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from harness.adapters.family import Family


def lens_gradient(family: Family, model: nn.Module, states: Tensor, labels: Tensor, double_softmax: bool) -> Tensor:
    """Differentiate the cross-entropy of norm and head on single tokens: [*place, width], labels [*place]."""
    with _differentiable():
        asked = states.clone().detach().requires_grad_()
        logits = family.head(model, family.norm(model, asked))
        scores = logits.softmax(dim=-1) if double_softmax else logits
        loss = cross_entropy(scores.flatten(0, -2), labels.clone().flatten(), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, asked)
    return gradient


@contextmanager
def _differentiable() -> Iterator[None]:
    with torch.inference_mode(False), torch.enable_grad():
        yield
