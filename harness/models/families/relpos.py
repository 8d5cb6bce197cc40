"""Vision transformers with relative instead of absolute positions, with and without a class token."""

from typing import Any

import torch
from timm.models.vision_transformer_relpos import ResPostRelPosBlock, VisionTransformerRelPos
from torch import Tensor

from harness.models.block_weights import block_weights, scale_of
from harness.models.families.cards import pooled_as, token_card, with_sites
from harness.models.family import Family, Model, Naming, carried, project
from harness.models.hooks import Taps, attention_taps, mlp_taps, output
from harness.models.sites import BlockWeights
from harness.models.subject import ModelCard, Stream


def _card(model: Model, naming: Naming) -> ModelCard:
    reason = "the blocks add a position bias for exactly the full grid of tokens"
    card = token_card(
        model,
        naming,
        family="relpos",
        depth=len(model.blocks),
        grid=model.patch_embed.grid_size,
        prefix=("class",) * (model.cls_token is not None),
        native=pooled_as(model.global_pool, model),
        can={},
        lacks={"token_subset": reason},
    )
    blocks = range(len(model.blocks))
    return with_sites(
        card,
        [_taps(model, block) for block in blocks],
        attentions=(layer.attn for layer in model.blocks),
        weights=(_weights(model, block) for block in blocks),
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


def _taps(model: Model, block: int) -> Taps:
    layer = model.blocks[block]
    post = isinstance(layer, ResPostRelPosBlock)
    return {
        "attention write": output(layer.norm1 if post else layer.ls1),
        "mlp write": output(layer.norm2 if post else layer.ls2),
        **attention_taps(layer.attn),
        **mlp_taps(layer.mlp),
    }


def _weights(model: Model, block: int) -> BlockWeights | None:
    layer = model.blocks[block]
    scales = scale_of(layer, "ls1"), scale_of(layer, "ls2")
    return block_weights(layer.attn, layer.mlp, scales, normed=isinstance(layer, ResPostRelPosBlock))


FAMILY = Family(
    name="relpos",
    models=(VisionTransformerRelPos,),
    card=_card,
    embed=_embed,
    step=_step,
    taps=_taps,
    weights=_weights,
    attention=lambda model, block: model.blocks[block].attn,
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=lambda model, tokens: model.fc_norm(model.norm(tokens)),
    head=project,
)
