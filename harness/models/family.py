"""What an adapter says of a family of models: one record of small functions, and what several families share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from harness.errors import ClaimsError
from harness.models.hooks import Taps
from harness.models.sites import BlockWeights
from harness.models.subject import ModelCard, Preprocessing, Stream

Model = Any  # an nn.Module; its own type says of every attribute that it may be a tensor


@dataclass(frozen=True, kw_only=True)
class Naming:
    """What a card cannot read from the module: its names, where its weights come from, how pictures are prepared."""

    name: str
    arch: str
    pretrained: bool
    preprocessing: Preprocessing | None = None


@dataclass(frozen=True, kw_only=True)
class Family:
    """How one family of models is read as a chain; all functions take the module first and keep no state.

    `models` are the exact classes, since a subclass may change the forward pass. `step` gives the tokens after a
    block; `taps` says where the sites are that can be read within it, `attention` gives the module whose pattern can be
    edited, `weights` the block's matrices (None: there are none such). `answer` reads logits from the tokens after the
    last block; `norm` and `head` are its two halves for one token.
    """

    name: str
    models: tuple[type[nn.Module], ...]
    card: Callable[[Model, Naming], ModelCard]
    embed: Callable[[Model, Tensor], Stream]
    step: Callable[[Model, int, Stream, Tensor | None], Tensor]
    taps: Callable[[Model, int], Taps]
    answer: Callable[[Model, Tensor], Tensor]
    norm: Callable[[Model, Tensor], Tensor]
    head: Callable[[Model, Tensor], Tensor]
    attention: Callable[[Model, int], Model | None] = lambda model, block: None
    weights: Callable[[Model, int], BlockWeights | None] = lambda model, block: None


def carried(stream: Stream, needed: bool, what: str) -> Any:
    """Return what `start` put beside the tokens, or refuse a stream that has lost it."""
    if needed and stream.extra is None:
        raise ClaimsError(f"this stream has lost its {what} (`Stream.extra`); make edited streams by `with_tokens`")
    return stream.extra


def project(model: nn.Module, features: Tensor) -> Tensor:
    """Apply the linear head `model.head` to features, in fp32 where they are fp32 and the model is in half precision.

    bf16 and fp16 flip ranks near ties, so a lens on a half-precision trunk is projected in the precision asked for.
    """
    head: nn.Module = model.head  # type: ignore[assignment]
    if isinstance(head, nn.Linear) and head.weight.dtype != features.dtype:
        bias = None if head.bias is None else head.bias.to(features.dtype)
        return nn.functional.linear(features, head.weight.to(features.dtype), bias)
    return head(features)
