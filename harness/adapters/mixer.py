"""MLP-Mixer, ResMLP and gMLP: a sequence of patch tokens without prefix, mixed by MLPs instead of attention."""

from typing import NoReturn

from timm.models.mlp_mixer import MlpMixer

from harness.adapters.cards import pooled_as, token_card
from harness.adapters.chain import Family, Model, Naming, project
from harness.errors import ClaimsError
from harness.subject import ModelCard, Stream


def _card(model: Model, naming: Naming) -> ModelCard:
    return token_card(
        model,
        naming,
        family="mixer",
        depth=len(model.blocks),
        grid=model.stem.grid_size,
        prefix=(),
        native=pooled_as(model.global_pool, model),
        can={},
        lacks={
            "attn_mask": "the blocks mix tokens by an MLP, not by attention",
            "token_subset": "the blocks mix exactly the full grid of tokens",
            "writes": "the blocks mix tokens by an MLP, so none of their writes is an attention write",
        },
    )


def _writes(model: Model, block: int, stream: Stream) -> NoReturn:
    raise ClaimsError("a mixer block has no attention write")


FAMILY = Family(
    name="mixer",
    models=(MlpMixer,),
    card=_card,
    embed=lambda model, images: Stream(model.stem(images)),
    step=lambda model, block, stream, mask: model.blocks[block](stream.tokens),
    writes=_writes,
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=lambda model, tokens: model.norm(tokens),
    head=project,
)
