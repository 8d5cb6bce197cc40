"""MLP-Mixer, ResMLP and gMLP: a sequence of patch tokens without prefix, mixed by MLPs instead of attention."""

from timm.models.mlp_mixer import MlpMixer

from harness.models.families.cards import pooled_as, token_card, with_sites
from harness.models.family import Family, Model, Naming, project
from harness.models.hooks import Taps, mlp_taps
from harness.models.subject import ModelCard, Stream

_LACKS = {
    "writes": "the blocks mix tokens by an MLP, so none of their writes is an attention write",
    "attention_keys": "the blocks mix tokens by an MLP, not by attention",
    "attention_pattern": "the blocks mix tokens by an MLP, not by attention",
    "qkv": "the blocks mix tokens by an MLP, not by attention",
    "mlp_keys": "the MLP over channels is gated: its first layer gives gates and values, not keys",
}


def _card(model: Model, naming: Naming) -> ModelCard:
    card = token_card(
        model,
        naming,
        family="mixer",
        depth=len(model.blocks),
        grid=model.stem.grid_size,
        prefix=(),
        native=pooled_as(model.global_pool, model),
        can={"attention": False},
        lacks={
            "attention": "the blocks mix tokens by an MLP, not by attention",
            "attn_mask": "the blocks mix tokens by an MLP, not by attention",
            "token_subset": "the blocks mix exactly the full grid of tokens",
        },
    )
    return with_sites(card, [_taps(model, block) for block in range(len(model.blocks))], lacks=_LACKS)


def _taps(model: Model, block: int) -> Taps:
    return mlp_taps(model.blocks[block].mlp_channels)


FAMILY = Family(
    name="mixer",
    models=(MlpMixer,),
    card=_card,
    embed=lambda model, images: Stream(model.stem(images)),
    step=lambda model, block, stream, mask: model.blocks[block](stream.tokens),
    taps=_taps,
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=lambda model, tokens: model.norm(tokens),
    head=project,
)
