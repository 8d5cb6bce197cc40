"""BEiT and BEiT v2: patches and a class token with a relative position bias in every block, or one shared by all."""

from typing import Any

import torch
from timm.models.beit import Beit
from torch import Tensor

from harness.models.block_weights import block_weights
from harness.models.families.cards import pooled_as, token_card, with_sites
from harness.models.family import Family, Model, Naming, carried, project
from harness.models.hooks import Taps, attention_taps, mlp_taps, output
from harness.models.sites import BlockWeights
from harness.models.subject import ModelCard, Stream


def _card(model: Model, naming: Naming) -> ModelCard:
    biased = model.rel_pos_bias is not None or model.blocks[0].attn.relative_position_bias_table is not None
    reason = "the blocks add a position bias for exactly the full grid of tokens"
    card = token_card(
        model,
        naming,
        family="beit",
        depth=len(model.blocks),
        grid=model.patch_embed.grid_size,
        prefix=("class",),
        native=pooled_as(model.global_pool, model),
        can={"token_subset": not biased},
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
    tokens = torch.cat((model.cls_token.expand(len(images), -1, -1), model.patch_embed(images)), dim=1)
    if model.pos_embed is not None:
        tokens = tokens + model.pos_embed
    return Stream(model.pos_drop(tokens), model.rel_pos_bias() if model.rel_pos_bias is not None else None)


def _bias(model: Model, stream: Stream) -> Any:
    return carried(stream, model.rel_pos_bias is not None, "shared position bias")


def _step(model: Model, block: int, stream: Stream, mask: Tensor | None) -> Tensor:
    return model.blocks[block](stream.tokens, shared_rel_pos_bias=_bias(model, stream))


def _taps(model: Model, block: int) -> Taps:
    layer = model.blocks[block]
    return {
        "attention write": output(layer.attn, scale=layer.gamma_1),
        "mlp write": output(layer.mlp, scale=layer.gamma_2),
        **attention_taps(layer.attn),
        **mlp_taps(layer.mlp),
    }


def _weights(model: Model, block: int) -> BlockWeights | None:
    layer = model.blocks[block]
    return block_weights(layer.attn, layer.mlp, (layer.gamma_1, layer.gamma_2))


FAMILY = Family(
    name="beit",
    models=(Beit,),
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
