"""CaiT: blocks over patches alone, then blocks in which only the class token changes.

The stream keeps one layout throughout, class token first, so that patches are found at the same place in every
block; before it enters, the class token is a constant that no block reads.
"""

from collections.abc import Sequence

import torch
from timm.models.cait import Cait
from torch import Tensor, nn

from harness.models.families.cards import pooled_as, token_card, with_sites
from harness.models.family import Family, Model, Naming, project
from harness.models.hooks import Tap, Taps, mlp_taps
from harness.models.sites import UnitShape
from harness.models.subject import ModelCard, Stream


def _card(model: Model, naming: Naming) -> ModelCard:
    entry, native = len(model.blocks), pooled_as(model.global_pool, model)
    late = f"the class token enters the stream only at block {entry}, where claims about earlier blocks are tautologies"
    card = token_card(
        model,
        naming,
        family="cait",
        depth=entry + len(model.blocks_token_only),
        grid=model.patch_embed.grid_size,
        prefix=("class",),
        native=native,
        can={"class_token": False, "class_readout": False},
        lacks={
            "class_token": late,
            "token_subset": "some blocks are made for patches and some for the class token beside them",
        }
        | ({"class_readout": f"the head reads the class token, but {late}"} if native == "class" else {}),
    )
    taps = [_taps(model, block) for block in range(card.depth)]
    some = "a block reads and writes either the patches or the class token, never all tokens"
    lacks = dict.fromkeys(("attention_keys", "mlp_keys", "qkv"), some)
    return with_sites(card, taps, units=_units(model, taps), lacks=lacks)


def _units(model: Model, taps: Sequence[Taps]) -> tuple[UnitShape, ...]:
    """Find the units at the patches in the early blocks, at the class token alone in the late ones."""
    rows, columns = model.patch_embed.grid_size
    shapes = []
    for block, tapped in enumerate(taps):
        early, units = block < len(model.blocks), tapped["units"].width
        if early:
            shapes.append(UnitShape(rows=int(rows), columns=int(columns), prefix=0, units=units))
        else:
            shapes.append(UnitShape(rows=0, columns=0, prefix=1, units=units))
    return tuple(shapes)


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


def _taps(model: Model, block: int) -> Taps:
    entry, patches = len(model.blocks), model.patch_embed.num_patches
    early = block < entry
    layer = model.blocks[block] if early else model.blocks_token_only[block - entry]
    missing = (0, 0, 1, 0) if early else (0, 0, 0, patches)  # tokens that the block does not write: zeros
    return {
        "attention write": _padded(layer.attn, layer.gamma_1, missing),
        "mlp write": _padded(layer.mlp, layer.gamma_2, missing),
        "units": mlp_taps(layer.mlp)["units"],
    }


def _padded(module: nn.Module, scale: Tensor, missing: tuple[int, ...]) -> Tap:
    return Tap(modules=(module,), at="output", read=lambda values: nn.functional.pad(scale * values, missing))


FAMILY = Family(
    name="cait",
    models=(Cait,),
    card=_card,
    embed=_embed,
    step=_step,
    taps=_taps,
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=lambda model, tokens: model.norm(tokens),
    head=project,
)
