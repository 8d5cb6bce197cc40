"""Plain vision transformers: ViT, DeiT with and without distillation, DeiT-III, DINOv2, CLIP and SigLIP towers."""

from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import Block, ParallelThingsBlock, ResPostBlock, VisionTransformer
from torch import Tensor

from harness.models.block_weights import block_weights, scale_of
from harness.models.families.cards import pooled_as, token_card, with_sites
from harness.models.family import Family, Model, Naming, project
from harness.models.hooks import Taps, attention_taps, mlp_taps, output
from harness.models.sites import BlockWeights
from harness.models.subject import ModelCard, Stream


def _card(model: Model, naming: Naming) -> ModelCard:
    distilled = isinstance(model, VisionTransformerDistilled)
    prefix = (
        ("class",) * (model.cls_token is not None)
        + ("distillation",) * distilled
        + ("register",) * model.num_reg_tokens
    )
    card = token_card(
        model,
        naming,
        family="vit",
        depth=len(model.blocks),
        grid=model.patch_embed.grid_size,
        prefix=prefix,
        native="class+distillation" if distilled else pooled_as(model.global_pool, model),
        can={"attn_mask": True, "token_subset": True},
    )
    side_by_side = "the blocks run several attentions and MLPs side by side"
    several = type(model.blocks[0]) not in (Block, ResPostBlock)
    within = ("attention_keys", "mlp_keys", "units", "qkv", "attention_pattern")
    return with_sites(
        card,
        [_taps(model, block) for block in range(len(model.blocks))],
        attentions=(getattr(layer, "attn", None) for layer in model.blocks),
        weights=(_weights(model, block) for block in range(len(model.blocks))),
        lacks=dict.fromkeys(within, side_by_side) if several else {},
    )


def _embed(model: Model, images: Tensor) -> Stream:
    return Stream(model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(images)))))


def _step(model: Model, block: int, stream: Stream, mask: Tensor | None) -> Tensor:
    if mask is None:
        return model.blocks[block](stream.tokens)
    return model.blocks[block](stream.tokens, attn_mask=mask)


def _taps(model: Model, block: int) -> Taps:
    layer = model.blocks[block]
    kind = type(layer)
    if kind is ParallelThingsBlock:
        # Masked, the branches are not called as a whole: LayerScale is the last of their parts that always runs.
        return {
            "attention write": output(*(branch.ls for branch in layer.attns)),
            "mlp write": output(*(branch.ls for branch in layer.ffns)),
        }
    if kind not in (Block, ResPostBlock):
        return {}
    writers = (layer.ls1, layer.ls2) if kind is Block else (layer.norm1, layer.norm2)
    return {
        "attention write": output(writers[0]),
        "mlp write": output(writers[1]),
        **attention_taps(layer.attn),
        **mlp_taps(layer.mlp),
    }


def _weights(model: Model, block: int) -> BlockWeights | None:
    layer = model.blocks[block]
    if type(layer) not in (Block, ResPostBlock):
        return None
    scales = scale_of(layer, "ls1"), scale_of(layer, "ls2")
    return block_weights(layer.attn, layer.mlp, scales, normed=type(layer) is ResPostBlock)


FAMILY = Family(
    name="vit",
    models=(VisionTransformer, VisionTransformerDistilled),
    card=_card,
    embed=_embed,
    step=_step,
    taps=_taps,
    weights=_weights,
    attention=lambda model, block: getattr(model.blocks[block], "attn", None),
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=lambda model, tokens: model.fc_norm(model.norm(tokens)),
    head=project,
)
