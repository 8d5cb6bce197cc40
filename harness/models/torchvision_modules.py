"""torchvision's ViT, ResNet, ConvNeXt and Swin as timm's modules of the same architecture, with the same weights.

A conversion is trusted only where the answers are equal, which whoever asks for one checks (`models.factories`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from timm.models.convnext import ConvNeXt
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from harness.models.renaming import Renaming, new_name, reshaped

NORM: Any = partial(nn.LayerNorm, eps=1e-6)  # epsilon of torchvision's transformers
SWIN_NORM: Any = partial(nn.LayerNorm, eps=1e-5)
LIKE_TORCHVISION = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "interpolation": "bilinear"}


def converted(model: nn.Module) -> nn.Module | None:
    """Make timm's module of a torchvision one, with its weights; None for what is no torchvision model of these kinds.

    Weights that do not fit leave None too: somebody changed the model.
    """
    if not type(model).__module__.startswith("torchvision.models") or type(model).__name__ not in _KINDS:
        return None
    make, renaming = _KINDS[type(model).__name__]
    try:
        made = make(model)
        named = {new_name(name, renaming): value for name, value in model.state_dict().items()}
        weights = reshaped({name: value for name, value in named.items() if name}, made.state_dict())
        found = made.load_state_dict(weights, strict=False)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError):
        return None
    if found.unexpected_keys or found.missing_keys:
        return None
    config: Any = getattr(made, "pretrained_cfg", None) or {}
    made.pretrained_cfg = {**config, **LIKE_TORCHVISION, "input_size": (3, *_size(model))}  # type: ignore[assignment]
    return made.eval()


def _size(model: Any) -> tuple[int, int]:
    side = getattr(model, "image_size", 224)
    return (side, side)


def _vit(model: Any) -> nn.Module:
    block = model.encoder.layers[0]
    return VisionTransformer(
        img_size=model.image_size,
        patch_size=model.patch_size,
        embed_dim=model.hidden_dim,
        depth=len(model.encoder.layers),
        num_heads=block.num_heads,
        mlp_ratio=model.mlp_dim / model.hidden_dim,
        num_classes=model.heads.head.out_features,
        norm_layer=NORM,
    )


def _resnet(model: Any) -> nn.Module:
    block: Any = Bottleneck if type(model.layer1[0]).__name__ == "Bottleneck" else BasicBlock
    depths = tuple(len(stage) for stage in (model.layer1, model.layer2, model.layer3, model.layer4))
    return ResNet(
        block, depths, num_classes=model.fc.out_features, cardinality=model.groups, base_width=model.base_width
    )


def _convnext(model: Any) -> nn.Module:
    stages = [model.features[at] for at in range(1, len(model.features), 2)]
    return ConvNeXt(
        num_classes=model.classifier[-1].out_features,
        depths=tuple(map(len, stages)),
        dims=tuple(stage[0].block[0].in_channels for stage in stages),
        patch_size=model.features[0][0].kernel_size[0],
    )


def _swin(model: Any) -> nn.Module:
    stages = [model.features[at] for at in range(1, len(model.features), 2)]
    attention = stages[0][0].attn
    return SwinTransformer(
        img_size=224,
        patch_size=model.features[0][0].kernel_size[0],
        num_classes=model.head.out_features,
        embed_dim=model.features[0][0].out_channels,
        depths=tuple(map(len, stages)),
        num_heads=tuple(stage[0].attn.num_heads for stage in stages),
        window_size=attention.window_size[0],
        norm_layer=SWIN_NORM,
    )


_VIT: Renaming = (
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."),
    (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
)
_CONVNEXT: Renaming = (
    (r"^features\.0\.", "stem."),
    *((rf"^features\.{2 * stage + 1}\.(\d+)\.", rf"stages.{stage}.blocks.\1.") for stage in range(4)),
    *((rf"^features\.{2 * stage}\.", rf"stages.{stage}.downsample.") for stage in range(1, 4)),
    (r"\.block\.0\.", ".conv_dw."),
    (r"\.block\.2\.", ".norm."),
    (r"\.block\.3\.", ".mlp.fc1."),
    (r"\.block\.5\.", ".mlp.fc2."),
    (r"\.layer_scale$", ".gamma"),
    (r"^classifier\.0\.", "head.norm."),
    (r"^classifier\.2\.", "head.fc."),
)
_SWIN: Renaming = (
    (r".*relative_position_index$", ""),
    (r"^features\.0\.0\.", "patch_embed.proj."),
    (r"^features\.0\.2\.", "patch_embed.norm."),
    *((rf"^features\.{2 * stage + 1}\.(\d+)\.", rf"layers.{stage}.blocks.\1.") for stage in range(4)),
    *((rf"^features\.{2 * stage}\.", rf"layers.{stage}.downsample.") for stage in range(1, 4)),
    (r"\.mlp\.0\.", ".mlp.fc1."),
    (r"\.mlp\.3\.", ".mlp.fc2."),
    (r"^head\.", "head.fc."),
)
_KINDS: Mapping[str, tuple[Callable[[Any], nn.Module], Renaming]] = {
    "VisionTransformer": (_vit, _VIT),
    "ResNet": (_resnet, ()),
    "ConvNeXt": (_convnext, _CONVNEXT),
    "SwinTransformer": (_swin, _SWIN),
}
