"""Plain vision transformers: ViT, DeiT with and without distillation, DeiT-III, DINOv2, CLIP and SigLIP towers."""

from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import Block, ParallelThingsBlock, ResPostBlock, VisionTransformer
from torch import Tensor

from harness.adapters.cards import pooled_as, token_card
from harness.adapters.chain import Family, Model, Naming, project
from harness.subject import ModelCard, Stream, Writes


def _card(model: Model, naming: Naming) -> ModelCard:
    distilled = isinstance(model, VisionTransformerDistilled)
    prefix = (
        ("class",) * (model.cls_token is not None)
        + ("distillation",) * distilled
        + ("register",) * model.num_reg_tokens
    )
    can = {"attn_mask": True, "token_subset": True, "writes": type(model.blocks[0]) in _WRITES}
    return token_card(
        model,
        naming,
        family="vit",
        depth=len(model.blocks),
        grid=model.patch_embed.grid_size,
        prefix=prefix,
        native="class+distillation" if distilled else pooled_as(model.global_pool, model),
        can=can,
    )


def _embed(model: Model, images: Tensor) -> Stream:
    return Stream(model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(images)))))


def _step(model: Model, block: int, stream: Stream, mask: Tensor | None) -> Tensor:
    if mask is None:
        return model.blocks[block](stream.tokens)
    return model.blocks[block](stream.tokens, attn_mask=mask)


def _writes(model: Model, block: int, stream: Stream) -> Writes:
    return _WRITES[type(model.blocks[block])](model.blocks[block], stream.tokens)


def _pre_norm_writes(block: Model, tokens: Tensor) -> Writes:
    attention = block.ls1(block.attn(block.norm1(tokens)))
    return Writes(attention, block.ls2(block.mlp(block.norm2(tokens + attention))))


def _post_norm_writes(block: Model, tokens: Tensor) -> Writes:
    attention = block.norm1(block.attn(tokens))
    return Writes(attention, block.norm2(block.mlp(tokens + attention)))


def _parallel_writes(block: Model, tokens: Tensor) -> Writes:
    attention = sum(branch(tokens) for branch in block.attns)
    return Writes(attention, sum(branch(tokens + attention) for branch in block.ffns))


_WRITES = {Block: _pre_norm_writes, ResPostBlock: _post_norm_writes, ParallelThingsBlock: _parallel_writes}

FAMILY = Family(
    name="vit",
    models=(VisionTransformer, VisionTransformerDistilled),
    card=_card,
    embed=_embed,
    step=_step,
    writes=_writes,
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=lambda model, tokens: model.fc_norm(model.norm(tokens)),
    head=project,
)
