"""EVA, EVA-02, DINOv3 and their kin: rotary angles (one set for all blocks or one per block), pre- and post-norm."""

from typing import Any

from timm.models.eva import Eva, EvaBlockPostNorm
from torch import Tensor

from harness.adapters.cards import pooled_as, token_card
from harness.adapters.chain import Family, Model, Naming, carried, project
from harness.subject import ModelCard, Stream, Writes


def _card(model: Model, naming: Naming) -> ModelCard:
    registers = 0 if model.reg_token is None else model.reg_token.shape[1]
    return token_card(
        model,
        naming,
        family="eva",
        depth=len(model.blocks),
        grid=model.patch_embed.grid_size,
        prefix=("class",) * (model.cls_token is not None) + ("register",) * registers,
        native=pooled_as(model.global_pool, model),
        can={"attn_mask": True, "writes": True, "token_subset": model.rope is None},
        lacks={"token_subset": "the blocks rotate queries and keys by the angles of the full grid of tokens"},
    )


def _embed(model: Model, images: Tensor) -> Stream:
    tokens, angles = model._pos_embed(model.patch_embed(images))
    return Stream(model.norm_pre(tokens), angles)


def _angles(model: Model, block: int, stream: Stream) -> Any:
    angles = carried(stream, model.rope is not None, "rotary angles")
    return angles[block] if model.rope_mixed and angles is not None else angles


def _step(model: Model, block: int, stream: Stream, mask: Tensor | None) -> Tensor:
    return model.blocks[block](stream.tokens, rope=_angles(model, block, stream), attn_mask=mask)


def _writes(model: Model, block: int, stream: Stream) -> Writes:
    layer, tokens, angles = model.blocks[block], stream.tokens, _angles(model, block, stream)
    if isinstance(layer, EvaBlockPostNorm):
        attention = layer.norm1(layer.attn(tokens, rope=angles))
        return Writes(attention, layer.norm2(layer.mlp(tokens + attention)))
    attention = layer.attn(layer.norm1(tokens), rope=angles)
    attention = attention if layer.gamma_1 is None else layer.gamma_1 * attention
    mlp = layer.mlp(layer.norm2(tokens + attention))
    return Writes(attention, mlp if layer.gamma_2 is None else layer.gamma_2 * mlp)


FAMILY = Family(
    name="eva",
    models=(Eva,),
    card=_card,
    embed=_embed,
    step=_step,
    writes=_writes,
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=lambda model, tokens: model.fc_norm(model.norm(tokens)),
    head=project,
)
