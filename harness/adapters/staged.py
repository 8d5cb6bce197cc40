"""Swin, ConvNeXt and ResNet: a chain of single blocks over a feature map that shrinks and widens from stage to stage.

Downsampling belongs to the first block of its stage. The stream is the feature map in the model's own layout.
"""

from typing import NoReturn

from timm.models.convnext import ConvNeXt
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from harness.adapters.cards import head_of, preprocessing_of
from harness.adapters.chain import Family, Model, Naming
from harness.errors import ClaimsError
from harness.subject import ModelCard, Native, Stream

_MAP = "the stream is a feature map whose size and width change from stage to stage"


def _card(model: Model, naming: Naming, *, family: str) -> ModelCard:
    classes, headless = head_of(model)
    native: Native = "token pool" if classes else "none"
    lacks = dict.fromkeys(("class_token", "patch_tokens", "token_head", "token_subset", "patch_mean_readout"), _MAP)
    return ModelCard(
        name=naming.name,
        family=family,
        arch=naming.arch,
        depth=len(_chain(model)),
        width=model.num_features,
        grid=None,
        prefix=(),
        native=native,
        classes=classes,
        capabilities=frozenset({"head"} if classes else ()),
        preprocessing=naming.preprocessing or preprocessing_of(model),
        lacks=lacks | ({"head": headless} if headless else {}),
        pretrained=naming.pretrained,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _chain(model: Model) -> list[tuple[nn.Module, ...]]:
    """List what each step runs: a block, after its stage's downsampling if it is the first."""
    kind = type(model)
    if kind is ResNet:
        return [(block,) for stage in (model.layer1, model.layer2, model.layer3, model.layer4) for block in stage]
    stages = model.layers if kind is SwinTransformer else model.stages
    return [
        (stage.downsample, block) if index == 0 else (block,)
        for stage in stages
        for index, block in enumerate(stage.blocks)
    ]


def _step(model: Model, block: int, stream: Stream, mask: Tensor | None) -> Tensor:
    tokens = stream.tokens
    for module in _chain(model)[block]:
        tokens = module(tokens)
    return tokens


def _refuse(model: Model, *_: object) -> NoReturn:
    raise ClaimsError(f"{type(model).__name__}: {_MAP}")


def _resnet_stem(model: Model, images: Tensor) -> Stream:
    return Stream(model.maxpool(model.act1(model.bn1(model.conv1(images)))))


SWIN = Family(
    name="swin",
    models=(SwinTransformer,),
    card=lambda model, naming: _card(model, naming, family="swin"),
    embed=lambda model, images: Stream(model.patch_embed(images)),
    step=_step,
    writes=_refuse,
    answer=lambda model, tokens: model.forward_head(model.norm(tokens)),
    norm=_refuse,
    head=_refuse,
)
CONVNEXT = Family(
    name="convnext",
    models=(ConvNeXt,),
    card=lambda model, naming: _card(model, naming, family="convnext"),
    embed=lambda model, images: Stream(model.stem(images)),
    step=_step,
    writes=_refuse,
    answer=lambda model, tokens: model.forward_head(model.norm_pre(tokens)),
    norm=_refuse,
    head=_refuse,
)
RESNET = Family(
    name="resnet",
    models=(ResNet,),
    card=lambda model, naming: _card(model, naming, family="resnet"),
    embed=_resnet_stem,
    step=_step,
    writes=_refuse,
    answer=lambda model, tokens: model.forward_head(tokens),
    norm=_refuse,
    head=_refuse,
)
