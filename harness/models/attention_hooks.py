"""Attention weights, read and edited between the softmax and the values: by the explicit path, for one run only."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from harness.errors import ClaimsError
from harness.models.hooks import ATTENTIONS, Module

Change = Callable[[Tensor], Tensor | None]  # None leaves the pattern as it is


def has_pattern(attention: Module) -> bool:
    """Say whether the weights of this attention pass `attn_drop` between the softmax and the values."""
    return type(attention) in ATTENTIONS


@contextmanager
def explicit(attentions: Sequence[Module], change: Change) -> Iterator[None]:
    """Run these attentions by their explicit path and hand every pattern [image, head, query, key] to `change`.

    Flags and hooks are put back also after an error. Raises ClaimsError where a pattern did not pass exactly once.
    """
    fused = [attention.fused_attn for attention in attentions]
    calls = [0] * len(attentions)
    handles = []
    try:
        for place, attention in enumerate(attentions):
            attention.fused_attn = False
            handles.append(attention.attn_drop.register_forward_hook(_hook(change, calls, place)))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for attention, flag in zip(attentions, fused, strict=True):
            attention.fused_attn = flag
    if calls != [1] * len(attentions):
        raise ClaimsError(f"attention patterns passed {calls} times; each must pass exactly once")


def _hook(change: Change, calls: list[int], place: int) -> Callable[..., Tensor | None]:
    def hook(_module: object, _inputs: object, pattern: Tensor) -> Tensor | None:
        calls[place] += 1
        return change(pattern)

    return hook
