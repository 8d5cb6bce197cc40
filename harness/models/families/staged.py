"""Swin, ConvNeXt and ResNet: a chain of single blocks over a feature map that shrinks and widens from stage to stage.

Downsampling belongs to the first block of its stage. The stream is the feature map in the model's own layout.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

from timm.models.convnext import ConvNeXt
from timm.models.resnet import Bottleneck, ResNet
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from harness.errors import ClaimsError
from harness.models.families.cards import head_of, preprocessing_of, with_sites
from harness.models.family import Family, Model, Naming
from harness.models.hooks import Tap, Taps, cells_of_channels, mlp_taps
from harness.models.patch_projection import projection_of
from harness.models.sites import UnitShape
from harness.models.subject import ModelCard, Native, Stream

_WITHIN = ("writes", "attention_keys", "qkv")
_MAP = "the stream is a feature map whose size and width change from stage to stage"


def _card(model: Model, naming: Naming, *, family: str) -> ModelCard:
    classes, headless = head_of(model)
    native: Native = "token pool" if classes else "none"
    lacks = dict.fromkeys(("class_token", "patch_tokens", "token_head", "token_subset", "patch_mean_readout"), _MAP)
    mixing = set() if isinstance(model, SwinTransformer) else {"convolution"}
    mixing |= set() if projection_of(model) is None else {"patch_projection"}
    if isinstance(model, SwinTransformer):
        lacks["attention"] = "the blocks attend within windows of a map that shrinks, not over one grid of patches"
    card = ModelCard(
        name=naming.name,
        family=family,
        arch=naming.arch,
        depth=len(_chain(model)),
        width=model.num_features,
        grid=None,
        prefix=(),
        native=native,
        classes=classes,
        capabilities=frozenset(({"head"} if classes else set()) | mixing),
        preprocessing=naming.preprocessing or preprocessing_of(model),
        lacks=lacks | ({"head": headless} if headless else {}),
        pretrained=naming.pretrained,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )
    taps = [_taps(model, block) for block in range(card.depth)]
    return with_sites(card, taps, units=_units(model, card, taps), lacks=dict.fromkeys(_WITHIN, _MAP))


def _stages(model: Model) -> list:
    if isinstance(model, ResNet):
        return [model.layer1, model.layer2, model.layer3, model.layer4]
    return [stage.blocks for stage in (model.layers if isinstance(model, SwinTransformer) else model.stages)]


def _chain(model: Model) -> list[tuple[nn.Module, ...]]:
    """List what each step runs: a block, after its stage's downsampling if it is the first."""
    if isinstance(model, ResNet):
        return [(block,) for stage in _stages(model) for block in stage]
    stages: Any = model.layers if isinstance(model, SwinTransformer) else model.stages
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


def _taps(model: Model, block: int) -> Taps:
    """Find the units: hidden ones of the MLP, in a ResNet the channels that leave the block's last activation."""
    layer: Model = _chain(model)[block][-1]
    if isinstance(model, ResNet):
        last = layer.conv3 if isinstance(layer, Bottleneck) else layer.conv2
        return {"units": Tap(modules=(layer,), at="output", read=cells_of_channels, width=last.out_channels)}
    return mlp_taps(layer.mlp)


def _units(model: Model, card: ModelCard, taps: Sequence[Taps]) -> tuple[UnitShape, ...]:
    """Read the size of every block's map from timm's list of stages; a ResNet's paddings round it up."""
    stages = [(len(stage), info["reduction"]) for stage, info in zip(_stages(model), _infos(model), strict=True)]
    strides = [stride for count, stride in stages for _ in range(count)]
    up = isinstance(model, ResNet)
    sides = [tuple(-(-side // s) if up else side // s for side in card.preprocessing.size) for s in strides]
    return tuple(
        UnitShape(rows=rows, columns=columns, prefix=0, units=tapped["units"].width)
        for (rows, columns), tapped in zip(sides, taps, strict=True)
    )


def _infos(model: Model) -> list[dict]:
    infos = list(model.feature_info)
    return infos[1:] if isinstance(model, ResNet) else infos  # the first one of a ResNet is its stem


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
    taps=_taps,
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
    taps=_taps,
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
    taps=_taps,
    answer=lambda model, tokens: model.forward_head(tokens),
    norm=_refuse,
    head=_refuse,
)
