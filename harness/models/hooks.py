"""Reading within a block: which submodules a site passes, and hooks that last for one block and must fire once."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from timm.layers import AttentionRope, GatedMlp, GlobalResponseNormMlp, GluMlp, Mlp, SwiGLU
from timm.layers.attention import Attention
from timm.models import beit, eva, vision_transformer_relpos
from torch import Tensor, nn

from harness.errors import ClaimsError
from harness.models.sites import Site

Module = Any  # an nn.Module; its own type says of every attribute that it may be a tensor
ATTENTIONS = (
    Attention,
    AttentionRope,
    beit.Attention,
    eva.EvaAttention,
    vision_transformer_relpos.RelPosAttention,
)
PLAIN_MLPS = (Mlp, GlobalResponseNormMlp)


@dataclass(frozen=True, kw_only=True)
class Tap:
    """Where a site's values pass: the first input or the output of modules.

    `read` takes one tensor per module and gives [image, place, feature]; `width` is the number of features, where
    the card must know it.
    """

    modules: tuple[nn.Module, ...]
    at: Literal["input", "output"]
    read: Callable[..., Tensor]
    width: int = 0


Taps = Mapping[Site, Tap]
Seen = Mapping[Site, list[list[Tensor]]]


@contextmanager
def watching(taps: Taps) -> Iterator[Seen]:
    """Collect what passes the taps while the context lasts; no hook outlives it, also after an error."""
    seen: dict[Site, list[list[Tensor]]] = {site: [[] for _ in tap.modules] for site, tap in taps.items()}
    handles = []
    try:
        for site, tap in taps.items():
            for module, values in zip(tap.modules, seen[site], strict=True):
                handles.append(_hook(module, tap.at, values))
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def values_of(taps: Taps, seen: Seen) -> dict[Site, Tensor]:
    """Read the sites from what was collected.

    Raises ClaimsError for a site that did not pass exactly once: silent hooks are this field's commonest bug.
    """
    for site, lists in seen.items():
        if fired := [len(values) for values in lists if len(values) != 1]:
            raise ClaimsError(f"site {site!r} passed {fired[0]} times in one run of a block; it must pass exactly once")
    return {site: tap.read(*(values[0] for values in seen[site])) for site, tap in taps.items()}


def output(*modules: nn.Module, scale: Tensor | None = None) -> Tap:
    """Tap what modules give: their sum, times a LayerScale that is applied outside of them."""

    def read(*values: Tensor) -> Tensor:
        total = values[0] if len(values) == 1 else torch.stack(values).sum(dim=0)
        return total if scale is None else scale * total

    return Tap(modules=modules, at="output", read=read)


def attention_taps(attention: Module) -> dict[Site, Tap]:
    """Find keys, queries and values of an attention module; a site that it does not have is left out.

    With a norm or a gate behind the heads, the input of the output projection is no mixture of values.
    """
    taps: dict[Site, Tap] = {}
    if type(attention) not in ATTENTIONS:
        return taps
    if is_plain(attention):
        taps["attention keys"] = Tap(modules=(attention.proj,), at="input", read=_as_is)
    if attention.qkv is None:
        if attention.k_proj.out_features == attention.q_proj.out_features:
            projections = (attention.q_proj, attention.k_proj, attention.v_proj)
            taps |= {site: output(module) for site, module in zip(_QKV, projections, strict=True)}
        return taps
    return taps | {site: _fused(attention, place) for place, site in enumerate(_QKV)}


def is_plain(attention: Module) -> bool:
    """Say whether the output projection reads a mixture of values alone."""
    norm, gate = getattr(attention, "norm", None), getattr(attention, "gate", None)
    return type(attention) in ATTENTIONS and gate is None and (norm is None or isinstance(norm, nn.Identity))


def mlp_taps(mlp: Module) -> dict[Site, Tap]:
    """Find the hidden units of an MLP, and its keys where nothing but a nonlinearity follows its first layer."""
    if type(mlp) not in (*PLAIN_MLPS, GluMlp, SwiGLU, GatedMlp):
        return {}
    last: Module = mlp.fc2
    in_channels = isinstance(last, nn.Conv2d)
    units = Tap(
        modules=(last,),
        at="input",
        read=cells_of_channels if in_channels else cells,
        width=last.in_channels if in_channels else last.in_features,
    )
    if type(mlp) not in PLAIN_MLPS:
        return {"units": units}
    return {"units": units, "mlp keys": Tap(modules=(mlp.fc1,), at="output", read=units.read)}


def cells(values: Tensor) -> Tensor:
    """Lay [image, *place, feature] out as [image, place, feature], row by row."""
    return values.flatten(1, -2)


def cells_of_channels(values: Tensor) -> Tensor:
    """Lay [image, feature, row, column] out as [image, place, feature], row by row."""
    return values.flatten(2).transpose(1, 2)


_QKV: tuple[Site, Site, Site] = ("query", "key", "value")


def _as_is(values: Tensor) -> Tensor:
    return values


def _hook(module: nn.Module, at: str, values: list[Tensor]) -> Any:
    # The hooks return None, which leaves what passes untouched.
    if at == "input":
        return module.register_forward_pre_hook(lambda _, inputs: values.append(inputs[0]))
    return module.register_forward_hook(lambda _, inputs, result: values.append(result))


def _fused(attention: Module, place: int) -> Tap:
    """Tap a third of the fused projection; with biases of its own the module is called by its weights alone."""
    if getattr(attention, "q_bias", None) is None:
        return Tap(modules=(attention.qkv,), at="output", read=lambda values: values.chunk(3, dim=-1)[place])

    def read(values: Tensor) -> Tensor:
        bias = torch.cat((attention.q_bias, attention.k_bias, attention.v_bias))
        return nn.functional.linear(values, attention.qkv.weight, bias).chunk(3, dim=-1)[place]

    return Tap(modules=(attention,), at="input", read=read)
