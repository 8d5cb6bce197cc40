"""The linear map with which a model embeds pictures: one matrix for every patch, where the first layer is one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from harness.errors import ClaimsError
from harness.models.subject import Stream, Subject


@dataclass(frozen=True, kw_only=True)
class PatchProjection:
    """How a subject embeds patches.

    `weight` [width, channel, row, column] is the matrix, by the pixels of a patch; `embed` takes preprocessed pictures
    of the card's size to projected patches with bias and positions, before any norm, [image, patch, width].
    """

    weight: Tensor
    embed: Callable[[Tensor], Tensor]


def patch_projection(subject: Subject) -> PatchProjection:
    """Give the projection of a subject with the capability "patch_projection".

    Raises ClaimsError for a subject without it, or without the module that its card speaks of.
    """
    if why := subject.card.missing(("patch_projection",)):
        raise ClaimsError(f"{subject.card.name!r} has no 'patch_projection': {why}")
    model = getattr(subject, "model", None)
    if not isinstance(model, nn.Module) or (projection := projection_of(model)) is None:
        raise ClaimsError(
            f"{subject.card.name!r} shows no module with `patch_embed` or `stem`, as its card says it has"
        )

    @torch.no_grad()
    def embed(images: Tensor) -> Tensor:
        return projected(model, lambda: subject.start(images), len(subject.card.prefix))

    return PatchProjection(weight=projection.weight.detach(), embed=embed)


def projection_of(model: nn.Module) -> nn.Conv2d | None:
    """Find the convolution that projects patches which tile the picture; None where the first layer is no such one."""
    layers = _first(model)
    found: Any = layers[0] if isinstance(layers, nn.Sequential) else getattr(layers, "proj", None)
    if not isinstance(found, nn.Conv2d) or getattr(layers, "backbone", None) is not None:
        return None
    tiles = found.kernel_size == found.stride and not any(found.padding) and set(found.dilation) == {1}  # type: ignore[arg-type]
    return found if tiles and found.groups == 1 else None


def projected(model: nn.Module, embed: Callable[[], Stream], prefix: int) -> Float[Tensor, "image patch width"]:
    """Run `embed` and give patch tokens with their positions, before any norm is applied to them.

    Where a norm follows the projection at once, that is what leaves the projection; where one follows the positions
    (CLIP), what enters that norm.
    """
    layers, late = _first(model), getattr(model, "norm_pre", nn.Identity())
    seen: list[Tensor] = []
    if isinstance(layers, nn.Sequential) or not isinstance(getattr(layers, "norm", nn.Identity()), nn.Identity):
        projection = projection_of(model)
        assert projection is not None, "who asks has looked"
        handle = projection.register_forward_hook(lambda module, given, out: seen.append(out.flatten(2).mT))
        prefix = 0
    elif isinstance(late, nn.Identity):
        return embed().tokens[:, prefix:]
    else:
        handle = late.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    try:
        embed()
    finally:
        handle.remove()
    return seen[0][:, prefix:]


def _first(model: nn.Module) -> Any:
    return getattr(model, "patch_embed", None) or getattr(model, "stem", None)
