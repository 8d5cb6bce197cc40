"""Which loss teaches which part: every head its own, the encoder a weighted sum of both; and the proof of it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.errors import ClaimsError
from harness.trainings.two_heads import Networks

CROSSED = 1e-4  # of the gradient's largest entry: what rounding may leave between the routed one and its two parts
Losses = Callable[[Tensor], tuple[Tensor, Tensor]]


class _Scaled(torch.autograd.Function):
    """The identity, whose gradient is scaled."""

    @staticmethod
    def forward(context: Any, values: Tensor, scale: Tensor) -> Tensor:
        """Give the values as they are."""
        context.save_for_backward(scale)
        return values.view_as(values)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Scale what comes back."""
        return gradients[0] * context.saved_tensors[0], None


def scaled_back(values: Tensor, scale: Tensor) -> Tensor:
    """Give the values, through which gradients come back scaled."""
    return _Scaled.apply(values, scale)


def refuse_crossing(networks: Networks, losses: Losses, trade_offs: Tensor, what: str) -> None:
    """Prove that decoder and classifier learn from their own loss alone, and the encoder from both, weighted.

    `losses` gives MSE and cross-entropy for trade-offs [member, 1, 1].

    Raises ClaimsError where a gradient crosses: then a sweep over trade-offs means nothing.
    """
    for loss, other in zip(losses(trade_offs), (networks.classifier, networks.decoder), strict=True):
        theirs = _learning(other)
        if theirs and any(one is not None for one in torch.autograd.grad(loss, theirs, allow_unused=True)):
            raise ClaimsError(f"{what}: the gradient of one head's loss reaches the other head")
    if not (encoder := _learning(networks.encoder)):
        return
    routed = torch.autograd.grad(sum(losses(trade_offs), torch.zeros(())), encoder)
    of_error = torch.autograd.grad(losses(torch.ones_like(trade_offs))[0], encoder)
    of_entropy = torch.autograd.grad(losses(torch.zeros_like(trade_offs))[1], encoder)
    for found, first, second in zip(routed, of_error, of_entropy, strict=True):
        share = trade_offs.view(-1, *[1] * (first.ndim - 1))
        meant = share * first + (1.0 - share) * second
        if (found - meant).abs().max() > CROSSED * max(float(meant.abs().max()), 1e-12):
            raise ClaimsError(f"{what}: the encoder does not learn from the weighted sum of both losses")


def _learning(layers: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    return [tensor for layer in layers for tensor in layer if tensor.requires_grad]
