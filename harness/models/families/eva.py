"""EVA, EVA-02, DINOv3 and their kin: rotary angles (one set for all blocks or one per block), pre- and post-norm."""

from typing import Any

from timm.models.eva import Eva, EvaBlockPostNorm
from torch import Tensor

from harness.models.block_weights import block_weights
from harness.models.families.cards import pooled_as, token_card, with_sites
from harness.models.family import Family, Model, Naming, carried, project
from harness.models.hooks import Taps, attention_taps, mlp_taps, output
from harness.models.sites import BlockWeights
from harness.models.subject import ModelCard, Stream


def _card(model: Model, naming: Naming) -> ModelCard:
    registers = 0 if model.reg_token is None else model.reg_token.shape[1]
    card = token_card(
        model,
        naming,
        family="eva",
        depth=len(model.blocks),
        grid=model.patch_embed.grid_size,
        prefix=("class",) * (model.cls_token is not None) + ("register",) * registers,
        native=pooled_as(model.global_pool, model),
        can={"attn_mask": True, "token_subset": model.rope is None},
        lacks={"token_subset": "the blocks rotate queries and keys by the angles of the full grid of tokens"},
    )
    return with_sites(
        card,
        [_taps(model, block) for block in range(len(model.blocks))],
        attentions=(layer.attn for layer in model.blocks),
        weights=(_weights(model, block) for block in range(len(model.blocks))),
        lacks={
            "mlp_keys": "the MLP is gated: its first layer gives gates and values, not keys",
            "weights": "the MLP is gated or has a norm before its last layer, or so has attention",
        },
    )


def _embed(model: Model, images: Tensor) -> Stream:
    tokens, angles = model._pos_embed(model.patch_embed(images))
    return Stream(model.norm_pre(tokens), angles)


def _angles(model: Model, block: int, stream: Stream) -> Any:
    angles = carried(stream, model.rope is not None, "rotary angles")
    return angles[block] if model.rope_mixed and angles is not None else angles


def _step(model: Model, block: int, stream: Stream, mask: Tensor | None) -> Tensor:
    return model.blocks[block](stream.tokens, rope=_angles(model, block, stream), attn_mask=mask)


def _taps(model: Model, block: int) -> Taps:
    layer = model.blocks[block]
    if isinstance(layer, EvaBlockPostNorm):
        writes = {"attention write": output(layer.norm1), "mlp write": output(layer.norm2)}
    else:
        writes = {
            "attention write": output(layer.attn, scale=layer.gamma_1),
            "mlp write": output(layer.mlp, scale=layer.gamma_2),
        }
    return {**writes, **attention_taps(layer.attn), **mlp_taps(layer.mlp)}  # type: ignore[dict-item]


def _weights(model: Model, block: int) -> BlockWeights | None:
    layer = model.blocks[block]
    scales = getattr(layer, "gamma_1", None), getattr(layer, "gamma_2", None)
    return block_weights(layer.attn, layer.mlp, scales, normed=isinstance(layer, EvaBlockPostNorm))


FAMILY = Family(
    name="eva",
    models=(Eva,),
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
