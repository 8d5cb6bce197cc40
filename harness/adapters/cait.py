"""CaiT: blocks over patches alone, then blocks in which only the class token changes.

The stream keeps one layout throughout, class token first, so that patches are found at the same place in every
block; before it enters, the class token is a constant that no block reads.
"""

import torch
from timm.models.cait import Cait
from torch import Tensor

from harness.adapters.cards import pooled_as, token_card
from harness.adapters.chain import Family, Model, Naming, project
from harness.subject import ModelCard, Stream, Writes


def _card(model: Model, naming: Naming) -> ModelCard:
    entry, native = len(model.blocks), pooled_as(model.global_pool, model)
    late = f"the class token enters the stream only at block {entry}, where claims about earlier blocks are tautologies"
    return token_card(
        model,
        naming,
        family="cait",
        depth=entry + len(model.blocks_token_only),
        grid=model.patch_embed.grid_size,
        prefix=("class",),
        native=native,
        can={"class_token": False, "class_readout": False, "writes": True},
        lacks={
            "class_token": late,
            "token_subset": "some blocks are made for patches and some for the class token beside them",
        }
        | ({"class_readout": f"the head reads the class token, but {late}"} if native == "class" else {}),
    )


def _embed(model: Model, images: Tensor) -> Stream:
    patches = model.pos_drop(model.patch_embed(images) + model.pos_embed)
    return Stream(torch.cat((model.cls_token.expand(len(images), -1, -1), patches), dim=1))


def _step(model: Model, block: int, stream: Stream, mask: Tensor | None) -> Tensor:
    class_token, patches = stream.tokens[:, :1], stream.tokens[:, 1:]
    entry = len(model.blocks)
    if block < entry:
        patches = model.blocks[block](patches)
    else:
        class_token = model.blocks_token_only[block - entry](patches, class_token)
    return torch.cat((class_token, patches), dim=1)


def _writes(model: Model, block: int, stream: Stream) -> Writes:
    entry = len(model.blocks)
    attention, mlp = torch.zeros_like(stream.tokens), torch.zeros_like(stream.tokens)
    if block < entry:
        layer, written, read = model.blocks[block], slice(1, None), stream.tokens[:, 1:]
    else:
        layer, written, read = model.blocks_token_only[block - entry], slice(0, 1), stream.tokens
    attention[:, written] = layer.gamma_1 * layer.attn(layer.norm1(read))
    middle = (stream.tokens + attention)[:, written]
    mlp[:, written] = layer.gamma_2 * layer.mlp(layer.norm2(middle))
    return Writes(attention, mlp)


FAMILY = Family(
    name="cait",
    models=(Cait,),
    card=_card,
    embed=_embed,
    step=_step,
    writes=_writes,
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=lambda model, tokens: model.norm(tokens),
    head=project,
)
