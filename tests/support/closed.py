"""What a subject made by hand answers where nothing within its blocks can be read."""

from collections.abc import Mapping

import torch

from harness.errors import ClaimsError
from harness.models.sites import BlockWeights, HeadWeights, Site, UnitShape
from harness.models.subject import Stream

WITHIN = frozenset(
    {"attention_keys", "mlp_keys", "units", "qkv", "position_embedding", "attention_pattern", "weights"}
)  # capabilities that it lacks


class Closed:
    """The part of a Subject that looks into blocks, refused; without sites a block is watched as it is stepped."""

    def watch(
        self,
        block: int,
        stream: Stream,
        sites: tuple[Site, ...],
        mask: torch.Tensor | None = None,
        renormalize: bool = True,
    ) -> tuple[Stream, Mapping[Site, torch.Tensor]]:
        if sites:
            raise ClaimsError(f"a model made by hand has no sites {sites}")
        return self.step(block, stream, mask, renormalize), {}

    def block_weights(self, block: int) -> BlockWeights:
        raise ClaimsError("a model made by hand has no weights")

    def head_weights(self) -> HeadWeights:
        raise ClaimsError("a model made by hand has no weights")

    def lens_gradient(self, states, labels, double_softmax: bool = False) -> torch.Tensor:
        raise ClaimsError("a model made by hand has no gradient")

    def respond(self, images: torch.Tensor, block: int, site: Site) -> torch.Tensor:
        raise ClaimsError("a model made by hand has no gradient")

    def attention_gradients(self, images: torch.Tensor, labels: torch.Tensor) -> list:
        raise ClaimsError("a model made by hand has no gradient")

    def attention_pattern(self, block: int, stream: Stream) -> torch.Tensor:
        raise ClaimsError("a model made by hand has no attention pattern")

    def unit_shape(self, block: int) -> UnitShape:
        raise ClaimsError("a model made by hand has no units")
