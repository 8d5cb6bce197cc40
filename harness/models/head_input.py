"""What the class head of a model is applied to: one vector per picture, and the linear layer that reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from harness.errors import ClaimsError


@dataclass(frozen=True, kw_only=True)
class HeadInput:
    """Features before the class head [image, width], and the weight of the head [class, width], without gradient."""

    features: Tensor
    weight: Tensor


def linear_head(model: nn.Module) -> nn.Linear | None:
    """Find the linear layer that answers, of a distilled model that of the class token; None where there is no one."""
    classifier: Any = getattr(model, "get_classifier", None)
    found: Any = getattr(model, "head", None) if classifier is None else classifier()
    found = found[0] if isinstance(found, (tuple, nn.ModuleList)) else found
    return found if isinstance(found, nn.Linear) else None


def head_input(model: nn.Module, answer: Callable[[], Tensor], name: str) -> HeadInput:
    """Run `answer` and give what entered the linear head.

    Raises:
        ClaimsError: the model has no such head, or it does not read one vector per picture.
    """
    if (head := linear_head(model)) is None:
        raise ClaimsError(f"{name!r} answers by no linear layer, so it has no features before one")
    entered: list[Float[Tensor, "image width"]] = []
    handle = head.register_forward_pre_hook(lambda module, given: entered.append(given[0].detach()))
    try:
        answer()
    finally:
        handle.remove()
    if len(entered) != 1 or entered[0].ndim != 2:
        shapes = [list(one.shape) for one in entered]
        raise ClaimsError(f"the head of {name!r} reads {shapes or 'nothing'}, not one vector per picture")
    return HeadInput(features=entered[0], weight=head.weight.detach())
