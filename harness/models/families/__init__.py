"""Model families as subjects: one record of small functions per family, one entry point."""

from torch import nn

from harness.errors import UnsupportedModel
from harness.models.chain import ChainSubject
from harness.models.families import beit, cait, eva, mixer, relpos, staged, vit
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
    UnsupportedModel for a class that no family knows.
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
    for family in FAMILIES:
        if type(model) in family.models:
            return family
    supported = ", ".join(sorted(kind.__name__ for family in FAMILIES for kind in family.models))
    raise UnsupportedModel(
        f"no adapter reads {type(model).__module__}.{type(model).__name__} as a chain of blocks (a subclass counts as "
        f"another class, since it may change the forward pass). Supported: {supported}. For your own model return a "
        f"`harness.models.subject.Subject` from a factory."
    )
