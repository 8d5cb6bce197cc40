"""XCiT and ConViT: blocks over patches alone, then blocks over a class token beside them.

The stream keeps one layout throughout, class token first, so that patches are found at the same place in every
block; before it enters, the class token is a constant that no block reads.
"""

from dataclasses import replace
from typing import Any

import torch
from timm.layers import to_2tuple
from timm.models.convit import ConVit
from timm.models.xcit import Xcit
from torch import Tensor

from harness.models.families.cards import pooled_as, token_card, with_sites
from harness.models.family import Family, Model, Naming, project
from harness.models.hooks import Tap, Taps, mlp_taps, output
from harness.models.sites import Site, UnitShape
from harness.models.subject import ModelCard, Stream

_LATE = "the class token enters the stream only at block {}, where claims about earlier blocks are tautologies"
_ONE_KIND = "some blocks are made for patches and some for the class token beside them"
_XCIT = {
    "attention": "the attention of the blocks runs over channels; tokens are mixed by a convolution",
    "writes": "the blocks are a sum of three writes, with a convolution over patches between attention and MLP",
    "attention_keys": "the attention of the blocks mixes channels, so that it has no keys for tokens",
    "qkv": "the attention of the blocks runs over channels, and in the last blocks for the class token alone",
    "attention_pattern": "the attention of the blocks is a matrix over channels, not over tokens",
    "attn_mask": "the attention of the blocks is a matrix over channels, not over tokens",
    "mlp_keys": "the MLP of the last blocks reads the class token alone",
}
_APART = "the attention of the early blocks has no queries, keys and values like that of the late ones"
_CONVIT = {
    "qkv": _APART,
    "attention_keys": _APART,
    "weights": _APART,
    "attention_pattern": "the attention of the blocks mixes a softmax over positions into that over tokens",
    "attn_mask": "the attention of the blocks mixes a softmax over positions into that over tokens",
}


def _card(model: Model, naming: Naming, *, family: str, reasons: dict[str, str]) -> ModelCard:
    entry, native = _entry(model), pooled_as(model.global_pool, model)
    late = _LATE.format(entry)
    card = token_card(
        model,
        naming,
        family=family,
        depth=len(_blocks(model)),
        grid=_grid(model),
        prefix=("class",),
        native=native,
        can={"class_token": False, "class_readout": False, "attention": "attention" not in reasons},
        lacks={"class_token": late, "token_subset": _ONE_KIND, **reasons}
        | ({"class_readout": f"the head reads the class token, but {late}"} if native == "class" else {}),
    )
    taps = [_taps(model, block) for block in range(card.depth)]
    rows, columns = _grid(model)
    shapes = []
    for block, tapped in enumerate(taps):
        alone = block >= entry and isinstance(model, Xcit)  # their MLPs read the class token alone
        units, prefix = tapped["units"].width, 1 if block >= entry else 0
        shapes.append(UnitShape(rows=0 if alone else rows, columns=0 if alone else columns, prefix=prefix, units=units))
    return with_sites(card, taps, units=tuple(shapes), lacks=reasons)


def _grid(model: Model) -> tuple[int, int]:
    embed = model.patch_embed
    if not isinstance(model, Xcit):
        return tuple(embed.grid_size)
    rows, columns = to_2tuple(embed.img_size)
    return rows // embed.patch_size, columns // embed.patch_size


def _blocks(model: Model) -> list[Any]:
    return [*model.blocks, *getattr(model, "cls_attn_blocks", ())]


def _entry(model: Model) -> int:
    """Say at which block the class token enters."""
    return len(model.blocks) if isinstance(model, Xcit) else model.local_up_to_layer


def _embed(model: Model, images: Tensor) -> Stream:
    patches = model.patch_embed(images)
    if isinstance(model, Xcit):
        patches, (rows, columns) = patches
        if model.pos_embed is not None:
            positions = model.pos_embed(len(images), rows, columns)
            patches = patches + positions.reshape(len(images), -1, patches.shape[1]).permute(0, 2, 1)
    elif model.use_pos_embed:
        patches = patches + model.pos_embed
    patches = model.pos_drop(patches)
    return Stream(torch.cat((model.cls_token.expand(len(images), -1, -1), patches), dim=1))


def _step(model: Model, block: int, stream: Stream, mask: Tensor | None) -> Tensor:
    layer = _blocks(model)[block]
    if block >= _entry(model):
        return layer(stream.tokens)
    grid = _grid(model) if isinstance(model, Xcit) else ()
    return torch.cat((stream.tokens[:, :1], layer(stream.tokens[:, 1:], *grid)), dim=1)


def _taps(model: Model, block: int) -> Taps:
    layer = _blocks(model)[block]
    found: dict[Site, Tap] = {"units": mlp_taps(layer.mlp)["units"]}
    if isinstance(model, Xcit):
        return found
    # One module drops paths of both writes, so these are read before it, where they are the same.
    early = block < _entry(model)
    return found | {"attention write": _padded(layer.attn, early), "mlp write": _padded(layer.mlp, early)}


def _padded(module: Any, early: bool) -> Tap:
    """Tap what a module adds; to a class token that has not entered it adds nothing."""
    if not early:
        return output(module)
    return Tap(modules=(module,), at="output", read=lambda values: torch.nn.functional.pad(values, (0, 0, 1, 0)))


XCIT = Family(
    name="xcit",
    models=(Xcit,),
    card=lambda model, naming: _card(model, naming, family="xcit", reasons=_XCIT),
    embed=_embed,
    step=_step,
    taps=_taps,
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=lambda model, tokens: model.norm(tokens),
    head=project,
)
CONVIT = replace(
    XCIT,
    name="convit",
    models=(ConVit,),
    card=lambda model, naming: _card(model, naming, family="convit", reasons=_CONVIT),
)
