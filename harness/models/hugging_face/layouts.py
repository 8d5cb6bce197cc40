"""How each architecture is configured and how its weights are called, on the hub and in timm.

A layout makes timm's module from a configuration, and lists renamings as (pattern, replacement), applied in this order
to every name of a weight; names that a pattern turns into "" are left out. Queries, keys and values that lie apart are
called `...qkv.0`, `.1` and `.2` until they are put together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from timm.layers import QuickGELU
from timm.models.convnext import ConvNeXt
from timm.models.deit import VisionTransformerDistilled
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from harness.errors import ClaimsError
from harness.models.renaming import Renaming

Config = Mapping[str, Any]
ACTIVATIONS: Mapping[str, type[nn.Module]] = {"gelu": nn.GELU, "quick_gelu": QuickGELU, "relu": nn.ReLU}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One architecture: `make` builds timm's module for a configuration and a number of classes (0: no head)."""

    arch: str
    make: Callable[[Config, int], nn.Module]
    renaming: Renaming
    head: str = "classifier.weight"


def activation(config: Config) -> type[nn.Module]:
    """Give the nonlinearity; ClaimsError for one that timm would compute otherwise."""
    name = config.get("hidden_act", "gelu")
    if name not in ACTIVATIONS:
        raise ClaimsError(f"hidden_act {name!r} in config.json; allowed: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _refuse_other_activations(config: Config, only: str) -> None:
    """Refuse what timm's module would compute with another nonlinearity."""
    if (name := config.get("hidden_act", only)) != only:
        raise ClaimsError(f"hidden_act {name!r} in config.json; allowed: {only}")


def _vit(config: Config, classes: int, kind: Callable[..., nn.Module] = VisionTransformer, **more: Any) -> nn.Module:
    width = config["hidden_size"]
    return kind(
        img_size=config["image_size"],
        patch_size=config["patch_size"],
        in_chans=config.get("num_channels", 3),
        embed_dim=width,
        depth=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        mlp_ratio=more.pop("mlp", config.get("intermediate_size", 4 * width)) / width,
        qkv_bias=config.get("qkv_bias", True),
        num_classes=classes,
        norm_layer=partial(nn.LayerNorm, eps=config.get("layer_norm_eps", 1e-12)),
        act_layer=activation(config),
        **more,
    )


def _dinov2(config: Config, classes: int) -> nn.Module:
    if config.get("use_swiglu_ffn"):
        raise ClaimsError("use_swiglu_ffn in config.json: such a model is read under its timm name alone")
    mlp = int(config["hidden_size"] * config.get("mlp_ratio", 4))
    return _vit({"layer_norm_eps": 1e-6, **config}, classes, init_values=1.0, mlp=mlp)


def _clip(config: Config, classes: int) -> nn.Module:
    config = {"layer_norm_eps": 1e-5, "hidden_act": "quick_gelu", **config}
    return _vit(config, classes, pre_norm=True, class_token=True)


def _convnext(config: Config, classes: int) -> nn.Module:
    return ConvNeXt(
        in_chans=config.get("num_channels", 3),
        num_classes=classes,
        depths=tuple(config["depths"]),
        dims=tuple(config["hidden_sizes"]),
        patch_size=config.get("patch_size", 4),
        act_layer=config.get("hidden_act", "gelu"),
        ls_init_value=1.0 if config.get("layer_scale_init_value", 1e-6) > 0 else None,
        norm_eps=1e-6,
    )


def _resnet(config: Config, classes: int) -> nn.Module:
    _refuse_other_activations(config, "relu")
    if config.get("downsample_in_bottleneck") or config.get("downsample_in_first_stage"):
        raise ClaimsError("downsample_in_bottleneck or _in_first_stage in config.json; timm's ResNet has neither")
    basic = config.get("layer_type", "bottleneck") == "basic"
    block: Any = BasicBlock if basic else Bottleneck
    channels = tuple(size // block.expansion for size in config["hidden_sizes"])
    if (config["embedding_size"], channels) != (64, (64, 128, 256, 512)):
        raise ClaimsError(
            f"hidden_sizes {list(config['hidden_sizes'])} after embedding_size {config['embedding_size']} in "
            f"config.json; allowed: the widths of ResNet-18 to ResNet-152"
        )
    return ResNet(
        block,
        tuple(config["depths"]),
        in_chans=config.get("num_channels", 3),
        num_classes=classes,
    )


def _swin(config: Config, classes: int) -> nn.Module:
    _refuse_other_activations(config, "gelu")
    if config.get("use_absolute_embeddings"):
        raise ClaimsError("use_absolute_embeddings in config.json; timm's Swin has none")
    norm: Any = partial(nn.LayerNorm, eps=config.get("layer_norm_eps", 1e-5))
    return SwinTransformer(
        img_size=config["image_size"],
        patch_size=config["patch_size"],
        in_chans=config.get("num_channels", 3),
        num_classes=classes,
        embed_dim=config["embed_dim"],
        depths=tuple(config["depths"]),
        num_heads=tuple(config["num_heads"]),
        window_size=config["window_size"],
        mlp_ratio=config.get("mlp_ratio", 4.0),
        qkv_bias=config.get("qkv_bias", True),
        norm_layer=norm,
    )


_ATTENTION: Renaming = (
    (r"attention\.(attention|self)\.query\.", r"attn.qkv.0."),
    (r"attention\.(attention|self)\.key\.", r"attn.qkv.1."),
    (r"attention\.(attention|self)\.value\.", r"attn.qkv.2."),
    (r"attention\.self\.", r"attn."),
    (r"attention\.output\.dense\.", r"attn.proj."),
)
_BLOCK: Renaming = (
    *_ATTENTION,
    (r"intermediate\.dense\.", r"mlp.fc1."),
    (r"output\.dense\.", r"mlp.fc2."),
    (r"layernorm_before\.", r"norm1."),
    (r"layernorm_after\.", r"norm2."),
)
_VIT: Renaming = (
    (r"^(vit|deit|dinov2)\.", r""),
    (r"^embeddings\.mask_token$", r""),
    (r"^pooler\..*", r""),
    (r"^embeddings\.cls_token$", r"cls_token"),
    (r"^embeddings\.distillation_token$", r"dist_token"),
    (r"^embeddings\.position_embeddings$", r"pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", r"patch_embed.proj."),
    (r"^encoder\.layer\.", r"blocks."),
    *_BLOCK,
    (r"layer_scale(\d)\.lambda1$", r"ls\1.gamma"),
    (r"^layernorm\.", r"norm."),
    (r"^(cls_)?classifier\.", r"head."),
    (r"^distillation_classifier\.", r"head_dist."),
)
_CLIP: Renaming = (
    (r"^(text_model|text_projection|visual_projection|logit_scale)\b.*", r""),  # no head: into a shared space
    (r"^vision_model\.", r""),
    (r".*position_ids$", r""),
    (r"^embeddings\.class_embedding$", r"cls_token"),
    (r"^embeddings\.patch_embedding\.", r"patch_embed.proj."),
    (r"^embeddings\.position_embedding\.weight$", r"pos_embed"),
    (r"^pre_layrnorm\.", r"norm_pre."),
    (r"^post_layernorm\.", r"norm."),
    (r"^encoder\.layers\.", r"blocks."),
    (r"self_attn\.q_proj\.", r"attn.qkv.0."),
    (r"self_attn\.k_proj\.", r"attn.qkv.1."),
    (r"self_attn\.v_proj\.", r"attn.qkv.2."),
    (r"self_attn\.out_proj\.", r"attn.proj."),
    (r"layer_norm(\d)\.", r"norm\1."),
)
_CONVNEXT: Renaming = (
    (r"^convnext\.", r""),
    (r"^embeddings\.patch_embeddings\.", r"stem.0."),
    (r"^embeddings\.layernorm\.", r"stem.1."),
    (r"^encoder\.", r""),
    (r"\.downsampling_layer\.", r".downsample."),
    (r"\.layers\.", r".blocks."),
    (r"\.dwconv\.", r".conv_dw."),
    (r"\.layernorm\.", r".norm."),
    (r"\.pwconv(\d)\.", r".mlp.fc\1."),
    (r"\.layer_scale_parameter$", r".gamma"),
    (r"^layernorm\.", r"head.norm."),
    (r"^classifier\.", r"head.fc."),
)
_RESNET: Renaming = (
    (r"^resnet\.", r""),
    (r"^embedder\.embedder\.convolution\.", r"conv1."),
    (r"^embedder\.embedder\.normalization\.", r"bn1."),
    *((rf"^encoder\.stages\.{stage}\.layers\.", rf"layer{stage + 1}.") for stage in range(4)),
    *((rf"\.layer\.{at}\.convolution\.", rf".conv{at + 1}.") for at in range(3)),
    *((rf"\.layer\.{at}\.normalization\.", rf".bn{at + 1}.") for at in range(3)),
    (r"\.shortcut\.convolution\.", r".downsample.0."),
    (r"\.shortcut\.normalization\.", r".downsample.1."),
    (r"^classifier\.1\.", r"fc."),
)
_SWIN: Renaming = (
    (r"^swin\.", r""),
    (r".*relative_position_index$", r""),
    (r"^embeddings\.patch_embeddings\.projection\.", r"patch_embed.proj."),
    (r"^embeddings\.norm\.", r"patch_embed.norm."),
    # timm merges patches at the start of a stage, the hub at the end of the one before.
    *((rf"^encoder\.layers\.{stage}\.downsample\.", rf"layers.{stage + 1}.downsample.") for stage in range(9)),
    (r"^encoder\.layers\.", r"layers."),
    *_BLOCK,
    (r"^layernorm\.", r"norm."),
    (r"^classifier\.", r"head.fc."),
)
LAYOUTS: Mapping[str, Layout] = {
    "vit": Layout(arch="vit", make=_vit, renaming=_VIT),
    "deit": Layout(
        arch="deit_distilled",
        make=partial(_vit, kind=VisionTransformerDistilled),
        renaming=_VIT,
        head="cls_classifier.weight",
    ),
    "dinov2": Layout(arch="vit_dinov2", make=_dinov2, renaming=_VIT),
    "clip_vision_model": Layout(arch="vit_clip", make=_clip, renaming=_CLIP),
    "convnext": Layout(arch="convnext", make=_convnext, renaming=_CONVNEXT),
    "resnet": Layout(arch="resnet", make=_resnet, renaming=_RESNET, head="classifier.1.weight"),
    "swin": Layout(arch="swin", make=_swin, renaming=_SWIN),
}
