"""Fresh weights for the untrained twin, and the hash that identifies weights."""

import copy
import hashlib
from typing import Any

import torch
from torch import Tensor, nn

UNTOLD = ("training", "fused_attn")  # what a run decides and not the model
SILENT = 0.05  # a weight that starts as a constant below this scales something away


def fresh_copy(model: nn.Module, seed: int) -> nn.Module:
    """Return a deep copy with freshly initialized weights; the same seed gives the same bits on every device.

    The architecture's own `reset_parameters` and `init_weights` fill what they know; every parameter is first set to
    NaN, so one that they leave out is seen and filled by rule instead of keeping what it had learned. Scales start at
    one where their own start would silence a branch.
    """
    weight = next(model.parameters())
    twin: Any = copy.deepcopy(model).to("cpu", torch.float32)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would also move the state of every device
        for parameter in twin.parameters():
            parameter.fill_(float("nan"))
        module: Any
        for module in reversed(list(twin.modules())):
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        if hasattr(twin, "init_weights"):
            twin.init_weights()
        for name, parameter in twin.named_parameters():
            _complete(name, parameter)
    return twin.to(weight.device, weight.dtype).eval()


def hash_weights(model: nn.Module) -> str:
    """Give the sha256 over what modules the model is made of, and over its state dict, sorted by name.

    Modules count with their kind and plain settings (heads, activation, epsilon): the same weights in another
    architecture are another model.
    """
    digest = hashlib.sha256()
    for name, module in model.named_modules():
        settings = {key: _setting(value) for key, value in sorted(vars(module).items()) if key not in UNTOLD}
        told = {key: text for key, text in settings.items() if text is not None and not key.startswith("_")}
        digest.update(f"{name} {type(module).__qualname__} {told}\n".encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _setting(value: Any) -> str | None:
    """Say what a module was told, None for what is no plain setting (its configuration, tensors, other modules)."""
    if isinstance(value, bool | int | float | str | type(None)):
        return repr(value)
    if isinstance(value, tuple | list) and all(isinstance(one, bool | int | float | str) for one in value):
        return repr(tuple(value))
    return getattr(value, "__qualname__", None) if callable(value) and not isinstance(value, nn.Module) else None


def _complete(name: str, parameter: Tensor) -> None:
    """Fill what no initializer filled, and weights that would silence what they scale.

    A zero head, a zeroed last norm of a branch or LayerScale at its usual start of 1e-5 makes a twin that gives every
    picture the same answer: as a control it would show that no intervention does anything.
    """
    last = name.rsplit(".", 1)[-1]
    unset = bool(parameter.isnan().any())
    silent = not unset and parameter.dim() and parameter.min() == parameter.max() and parameter.abs().max() < SILENT
    if ("bias" in last and "table" not in last) or last == "beta":
        if unset:
            parameter.zero_()
    elif unset or silent:
        scale = parameter.squeeze().dim() <= 1 and "token" not in last
        parameter.fill_(1.0) if scale else nn.init.trunc_normal_(parameter, std=0.02)
