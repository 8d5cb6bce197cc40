"""NaFlexViT: a ViT that takes pictures of any shape, read for pictures of the one size that its card says."""

from timm.models.naflexvit import NaFlexVit
from torch import Tensor

from harness.models.families import vit
from harness.models.families.cards import pooled_as, preprocessing_of, token_card, with_sites
from harness.models.family import Family, Model, Naming, project
from harness.models.subject import ModelCard, Stream


def _card(model: Model, naming: Naming) -> ModelCard:
    looks = naming.preprocessing or preprocessing_of(model)
    rows, columns = (side // patch for side, patch in zip(looks.size, model.embeds.patch_size, strict=True))
    blocks = range(len(model.blocks))
    card = token_card(
        model,
        naming,
        family="naflexvit",
        depth=len(blocks),
        grid=(rows, columns),
        prefix=("class",) * model.has_class_token + ("register",) * model.num_reg_tokens,
        native=pooled_as(model.global_pool, model),
        can={"attn_mask": True, "token_subset": True},
        lacks={"position_embedding": "the position embedding is brought to the shape of every picture"},
    )
    return with_sites(
        card,
        [vit.FAMILY.taps(model, block) for block in blocks],
        attentions=(layer.attn for layer in model.blocks),
        weights=(vit.FAMILY.weights(model, block) for block in blocks),
    )


def _embed(model: Model, images: Tensor) -> Stream:
    return Stream(model._forward_embeds(images, None, None, None)["patches"])


FAMILY = Family(
    name="naflexvit",
    models=(NaFlexVit,),
    card=_card,
    embed=_embed,
    step=vit.FAMILY.step,
    taps=vit.FAMILY.taps,
    weights=vit.FAMILY.weights,
    attention=vit.FAMILY.attention,
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=lambda model, tokens: model.fc_norm(model.norm(tokens)),
    head=project,
)
