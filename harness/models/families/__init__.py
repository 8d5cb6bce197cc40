"""Model families as subjects: one record of small functions per family, one entry point."""

from dataclasses import replace
from typing import Any

from timm.models.naflexvit import NaFlexVit
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.vision_transformer import Block
from torch import nn

from harness.models.chain import ChainSubject
from harness.models.families import beit, cait, eva, late, mixer, naflex, relpos, staged, traced, vit
from harness.models.families.training_data import training_of, untold
from harness.models.family import Family, Naming
from harness.models.subject import ModelCard, Preprocessing, Subject

FAMILIES: tuple[Family, ...] = (
    vit.FAMILY,
    beit.FAMILY,
    eva.FAMILY,
    relpos.FAMILY,
    cait.FAMILY,
    late.XCIT,
    late.CONVIT,
    naflex.FAMILY,
    mixer.FAMILY,
    staged.SWIN,
    staged.CONVNEXT,
    staged.RESNET,
)


def adapt(
    model: nn.Module, *, name: str, arch: str, pretrained: bool, preprocessing: Preprocessing | None = None
) -> Subject:
    """Wrap a module as a subject and put it into evaluation mode.

    Without `preprocessing` the model's timm configuration is read (ImageNet's where it has none). Raises
    UnsupportedModel for a model of a class that no family knows and that cannot be followed by its data flow either.
    """
    naming = Naming(name=name, arch=arch, pretrained=pretrained, preprocessing=preprocessing)
    family = _family_of(model)
    return ChainSubject(card=_card(family, model, naming), model=model.eval(), family=family)


def card_of(
    model: nn.Module, *, name: str, arch: str, pretrained: bool, preprocessing: Preprocessing | None = None
) -> ModelCard:
    """Describe a module without touching its weights; it may live on the meta device."""
    naming = Naming(name=name, arch=arch, pretrained=pretrained, preprocessing=preprocessing)
    return _card(_family_of(model), model, naming)


def _card(family: Family, model: nn.Module, naming: Naming) -> ModelCard:
    """Describe a model, with what is and is not known of its training: that changes what is asked, and no number."""
    card = family.card(model, naming)
    told = training_of(model, naming)
    reasons = {fact: why for fact, why in untold(model, naming).items() if fact not in told}
    return replace(card, capabilities=card.capabilities | told, lacks={**card.lacks, **reasons})


def _family_of(model: nn.Module) -> Family:
    """Find the family that knows this class, or else follow the model by its data flow."""
    for family in FAMILIES:
        if type(model) in family.models and not _is_built_otherwise(model):
            return family
    return traced.FAMILY


def _is_built_otherwise(model: Any) -> bool:
    """Say whether a class that is known is made of parts that its family does not know.

    ResNeSt and Res2Net are ResNets of other blocks, and a NaFlexViT with rotary positions has other blocks too.
    """
    if isinstance(model, ResNet):
        first: Any = model.layer1
        return any(type(block) not in (BasicBlock, Bottleneck) for block in first)
    return isinstance(model, NaFlexVit) and any(type(block) is not Block for block in model.blocks)
