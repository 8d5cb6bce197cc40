"""One branch of a block without the other: its write is set to zero where it would enter the stream."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.models.hooks import Tap
from harness.models.sites import Branch, Site
from harness.models.subject import Stream


@runtime_checkable
class Branched(Protocol):
    """A subject of which one branch of a block can be run without the other (capability "writes")."""

    def without(
        self,
        block: int,
        stream: Stream,
        branch: Branch,
        sites: tuple[Site, ...] = (),
        sizes: Float[Tensor, "image key"] | None = None,
    ) -> tuple[Stream, Mapping[Site, Tensor]]:
        """Run one block while this branch adds zeros, and give what passed these sites.

        With `sizes` every key counts so many times in the softmax: log(size) is added to its logit (capability
        "attention_pattern").
        """


@contextmanager
def silenced(tap: Tap, what: str) -> Iterator[None]:
    """Let the modules of a write give zeros while the context lasts; each must run exactly once.

    What follows them (LayerScale outside of the module, padding) maps zeros to zeros.
    """
    assert tap.at == "output", "a write is what a module gives"
    calls = [0] * len(tap.modules)

    def hook(place: int):
        def give_zeros(_module: object, _inputs: object, result: Tensor) -> Tensor:
            calls[place] += 1
            return torch.zeros_like(result)

        return give_zeros

    handles = []
    try:
        for place, module in enumerate(tap.modules):
            handles.append(module.register_forward_hook(hook(place)))
        yield
    finally:
        for handle in handles:
            handle.remove()
    if calls != [1] * len(tap.modules):
        raise ClaimsError(f"{what} passed {calls} times in one run of a block; each must pass exactly once")


def counted(pattern: Float[Tensor, "image head query key"], sizes: Tensor) -> Float[Tensor, "image head query key"]:
    """Weight keys by how many tokens they stand for: the softmax of logits + log(size), computed after the softmax."""
    weighted = pattern * sizes[:, None, None].to(pattern)
    return weighted / weighted.sum(dim=-1, keepdim=True)
