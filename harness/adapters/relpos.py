"""Vision transformers with relative instead of absolute positions, with and without a class token."""

from typing import Any

import torch
from timm.models.vision_transformer_relpos import ResPostRelPosBlock, VisionTransformerRelPos
from torch import Tensor

from harness.adapters.cards import pooled_as, token_card
from harness.adapters.chain import Family, Model, Naming, carried, project
from harness.subject import ModelCard, Stream, Writes


def _card(model: Model, naming: Naming) -> ModelCard:
    reason = "the blocks add a position bias for exactly the full grid of tokens"
    return token_card(
        model,
        naming,
        family="relpos",
        depth=len(model.blocks),
        grid=model.patch_embed.grid_size,
        prefix=("class",) * (model.cls_token is not None),
        native=pooled_as(model.global_pool, model),
        can={"writes": True},
        lacks={"token_subset": reason},
    )


def _embed(model: Model, images: Tensor) -> Stream:
    tokens = model.patch_embed(images)
    if model.cls_token is not None:
        tokens = torch.cat((model.cls_token.expand(len(images), -1, -1), tokens), dim=1)
    return Stream(tokens, model.shared_rel_pos.get_bias() if model.shared_rel_pos is not None else None)


def _bias(model: Model, stream: Stream) -> Any:
    return carried(stream, model.shared_rel_pos is not None, "shared position bias")


def _step(model: Model, block: int, stream: Stream, mask: Tensor | None) -> Tensor:
    return model.blocks[block](stream.tokens, shared_rel_pos=_bias(model, stream))


def _writes(model: Model, block: int, stream: Stream) -> Writes:
    layer, tokens, bias = model.blocks[block], stream.tokens, _bias(model, stream)
    if isinstance(layer, ResPostRelPosBlock):
        attention = layer.norm1(layer.attn(tokens, shared_rel_pos=bias))
        return Writes(attention, layer.norm2(layer.mlp(tokens + attention)))
    attention = layer.ls1(layer.attn(layer.norm1(tokens), shared_rel_pos=bias))
    return Writes(attention, layer.ls2(layer.mlp(layer.norm2(tokens + attention))))


FAMILY = Family(
    name="relpos",
    models=(VisionTransformerRelPos,),
    card=_card,
    embed=_embed,
    step=_step,
    writes=_writes,
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=lambda model, tokens: model.fc_norm(model.norm(tokens)),
    head=project,
)
