"""Model families as subjects: one record of small functions per family, one entry point."""

from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

from harness.models.chain import ChainSubject
from harness.models.families import beit, cait, eva, mixer, relpos, staged, traced, vit
from harness.models.family import Family, Naming
from harness.models.subject import ModelCard, Preprocessing, Subject

FAMILIES: tuple[Family, ...] = (
    vit.FAMILY,
    beit.FAMILY,
    eva.FAMILY,
    relpos.FAMILY,
    cait.FAMILY,
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
    return ChainSubject(card=family.card(model, naming), model=model.eval(), family=family)


def card_of(
    model: nn.Module, *, name: str, arch: str, pretrained: bool, preprocessing: Preprocessing | None = None
) -> ModelCard:
    """Describe a module without touching its weights; it may live on the meta device."""
    naming = Naming(name=name, arch=arch, pretrained=pretrained, preprocessing=preprocessing)
    return _family_of(model).card(model, naming)


def _family_of(model: nn.Module) -> Family:
    """Find the family that knows this class, or else follow the model by its data flow."""
    for family in FAMILIES:
        if type(model) in family.models and not _of_other_blocks(model):
            return family
    return traced.FAMILY


def _of_other_blocks(model: nn.Module) -> bool:
    """Say whether a ResNet is made of others than its own two kinds of blocks, as ResNeSt and Res2Net are."""
    own, blocks = (BasicBlock, Bottleneck), getattr(model, "layer1", ())
    return isinstance(model, ResNet) and any(type(block) not in own for block in blocks)
