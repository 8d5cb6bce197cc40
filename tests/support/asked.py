"""Of which models claims are asked when their plans are held against protocols: cards, alone or one per role."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.errors import NotApplicable
from harness.judging.ledger import ClaimSpec
from harness.measurement.plan import Cards, Plan, propose
from harness.models.sites import UnitShape
from harness.trainings.families import family_card
from support.cards import (
    AUGREG,
    BEIT,
    CLIP,
    CLS,
    DEIT,
    DINOV2,
    DINOV2_REG,
    DIST,
    GAP,
    NO_CLASS,
    ORIG,
    PREPROCESSING,
    at_depth,
    make_card,
)

MAIN = "orig"  # twelve blocks, as in the sources
SMALL = "small"  # a depth that no share of the depth divides


def _able(card, *capabilities, **changes):
    return replace(card, capabilities=card.capabilities | set(capabilities), **changes)


def _sized(card, pixels: int):
    return replace(card, preprocessing=replace(card.preprocessing, size=(pixels, pixels)))


def _units(side: int) -> UnitShape:
    return UnitShape(rows=side, columns=side, prefix=1, units=64 * side)


def _convolutional(arch: str, classes: int = 1000):
    card = make_card("map pool", prefix=(), arch=arch, classes=classes)
    return replace(card, capabilities=frozenset({"head", "convolution", "label_trained"}), grid=None, units=())


def _dino(arch: str):
    return _able(make_card("none", arch=arch), "self_supervised")


B32 = "vit_base_patch32_224.augreg_in21k_ft_in1k"
RPN = make_card("patch mean", prefix=(), arch="vit_base_patch16_rpn_224.sw_in1k")
RPN = replace(RPN, capabilities=RPN.capabilities - {"value_vectors"})  # it norms what blocks write
LONE: Mapping[str, Cards] = {
    "orig": ORIG,
    "small": make_card(depth=7, classes=10),
    "plain": CLS,
    **{f"{depth} blocks": at_depth(CLS, depth) for depth in (1, 2, 3, 5, 9, 20, 24)},
    **{f"{classes} classes": make_card(classes=classes) for classes in (5, 6, 100, 999)},
    "registers": make_card(prefix=("class", "register", "register")),
    "3 x 3 patches": make_card(grid=(3, 3)),
    "5 x 2 patches": make_card(grid=(5, 2)),
    "5 x 1 patches": make_card(grid=(5, 1)),
    "17 x 1 patches": make_card(grid=(17, 1)),
    "4 x 8 patches": make_card(grid=(4, 8)),
    "4 x 8 patches of 56 px": replace(make_card(grid=(4, 8)), preprocessing=replace(PREPROCESSING, size=(224, 448))),
    "32 x 32 patches": make_card(grid=(32, 32)),
    "41 x 25 patches": make_card(grid=(41, 25)),
    "37 x 37 patches": make_card(grid=(37, 37)),
    "7 x 7 patches": make_card(grid=(7, 7)),
    "21 patches, 10 classes": make_card(grid=(21, 1), classes=10),
    "22 patches, 10 classes": make_card(grid=(22, 1), classes=10),
    "width 512": make_card(width=512),
    "units that shrink": replace(CLS, units=tuple(_units(side) for side in (4, 4, 4, 8, 4, 3, 3, 4, 3, 3, 4, 4))),
    "units of 3 x 5 places": replace(CLS, units=(UnitShape(rows=3, columns=5, prefix=1, units=256),) * 12),
    "32 px": _sized(CLS, 32),
    "64 px": _sized(CLS, 64),
    "32 x 96 px": replace(CLS, preprocessing=replace(PREPROCESSING, size=(32, 96))),
    "orig at 384 px": _sized(ORIG, 384),
    "augreg": AUGREG,
    "augreg by name": replace(CLS, name=AUGREG.arch, width=768),
    "augreg, other name": replace(AUGREG, name="mine"),
    "augreg at 384 px": _sized(AUGREG, 384),
    "32 px, 5 blocks": _sized(at_depth(CLS, 5), 32),
    "orig by name": replace(CLS, name=ORIG.arch),
    "orig, other name": replace(ORIG, name="mine"),
    "B/32": make_card(arch=B32, width=768),
    "B/32 by name": replace(CLS, name=B32),
    "B/32, other name": replace(CLS, arch=B32, name="mine"),
    "B/32 at 384 px": _sized(make_card(arch=B32, width=768), 384),
    "L/16": make_card(depth=24, arch="vit_large_patch16_224.augreg_in21k_ft_in1k", width=1024),
    "L/16 by name": replace(CLS, name="vit_large_patch16_224.augreg_in21k_ft_in1k"),
    "rpn at 384 px": _sized(RPN, 384),
    "MIIL": make_card(arch="vit_base_patch16_224_miil.in21k_ft_in1k"),
    "masked only": replace(CLS, capabilities=CLS.capabilities - {"attention_pattern"}),
    "distilled": DIST,
    "small distilled": make_card("class+distillation", 7, 10, ("class", "distillation")),
    "deit": DEIT,
    **{f"distilled, {depth} blocks": at_depth(DIST, depth) for depth in (2, 3)},
    "dinov2": DINOV2,
    "dinov2, 10 blocks": at_depth(DINOV2, 10),
    "dinov2, 11 blocks": at_depth(DINOV2, 11),
    "dinov2, 14 blocks": at_depth(DINOV2, 14),
    "dinov2 by name": replace(CLS, name=DINOV2.arch),
    "dinov2, other name": replace(DINOV2, name="mine"),
    "dinov2 with a head": make_card(arch="vit_base_patch14_dinov2.mine", classes=10),
    "self-supervised, other": _able(make_card("none"), "self_supervised"),
    "dinov2, registers": DINOV2_REG,
    "clip": CLIP,
    "clip, other name": replace(CLIP, name="mine"),
    "clip by name": replace(make_card("none"), name=CLIP.arch),
    "clip with a head": make_card(arch="vit_base_patch16_clip_224.openai_ft_in1k"),
    "gap": GAP,
    "gap, head on pooled tokens alone": replace(GAP, capabilities=GAP.capabilities - {"token_head"}),
    "small gap": make_card("patch mean", 7, 10),
    "beit": BEIT,
    "beit, 1,000 classes": make_card("patch mean", arch="beit_base_patch16_224.in22k_ft_in22k_in1k"),
    "no class token": NO_CLASS,
    "no class token, units that shrink": replace(NO_CLASS, units=tuple(_units(side) for side in (*(4,) * 10, 5, 3))),
    "rpn": RPN,
    "rpn by name": replace(RPN, arch="mine"),
    "post-norm, other": replace(NO_CLASS, capabilities=RPN.capabilities),
    "post-norm with class token": replace(CLS, capabilities=CLS.capabilities - {"value_vectors"}),
    "map pool": make_card("map pool"),
}
TAUGHT: Mapping[str, Cards] = {name: _able(card, "label_trained") for name, card in LONE.items()}
VIT = _able(CLS, "label_trained")
TWIN = _able(NO_CLASS, "label_trained")
CNN = _convolutional("resnet50.a1_in1k")
RESNET = replace(CNN, family="resnet")
CAPTIONS = _able(make_card("none"), "caption_trained")
FEW = _able(make_card(classes=10, depth=7), "label_trained")
PUBLISHED = _able(CLS, "label_trained", arch="vit_base_patch16_384.orig_in21k_ft_in1k")
SHAPE = CLS.units[0]
DEIT_SMALL = _able(CLS, "label_trained", arch="deit_small_patch16_224.fb_in1k")
LARGER = _able(CLS, "label_trained", arch="vit_large_patch32_384.orig_in21k_ft_in1k")
SEVERAL: Mapping[tuple[str, ...], Mapping[str, Cards]] = {
    ("vit", "cnn"): {
        "many classes": {"vit": VIT, "cnn": CNN},
        "published": {"vit": PUBLISHED, "cnn": _convolutional("resnet50.tv_in1k")},
        "published ViT": {"vit": PUBLISHED, "cnn": CNN},
        "published CNN": {"vit": VIT, "cnn": _convolutional("resnet152.tv_in1k")},
        "other sizes": {"vit": VIT, "cnn": _sized(CNN, 160)},
        "published, larger": {"vit": LARGER, "cnn": _convolutional("resnet152.tv_in1k")},
        "999 classes": {"vit": _able(make_card(classes=999), "label_trained"), "cnn": CNN},
        "100 and 99 classes": {
            "vit": _able(make_card(classes=100), "label_trained"),
            "cnn": _convolutional("resnet50.a1_in1k", 99),
        },
        "few classes": {"vit": FEW, "cnn": _convolutional("tiny_resnet", 10)},
        "ResNet": {"vit": replace(VIT, grid=(14, 14)), "cnn": RESNET},
        "ResNet, 999 classes": {"vit": _able(make_card(classes=999), "label_trained"), "cnn": RESNET},
        "ResNet, 1,001 classes": {"vit": _able(make_card(classes=1001), "label_trained"), "cnn": RESNET},
        "ResNet, 7 x 7 patches": {"vit": replace(VIT, grid=(7, 7)), "cnn": RESNET},
        "ResNet, 4 x 8 patches": {"vit": replace(VIT, grid=(4, 8)), "cnn": RESNET},
        "ResNet, larger ViT": {"vit": _sized(VIT, 384), "cnn": RESNET},
    },
    ("vit", "twin"): {
        "many classes": {"vit": VIT, "twin": TWIN},
        "few classes": {"vit": FEW, "twin": _able(make_card("patch mean", 7, 10, ()), "label_trained")},
        "999 classes": {"vit": _able(make_card(classes=999), "label_trained"), "twin": TWIN},
        "other depth": {"vit": VIT, "twin": at_depth(TWIN, 11)},
        "other width": {"vit": VIT, "twin": replace(TWIN, width=32)},
        "other patches": {"vit": VIT, "twin": replace(TWIN, grid=(4, 5))},
        "2 blocks": {"vit": at_depth(VIT, 2), "twin": at_depth(TWIN, 2)},
        "3 blocks": {"vit": at_depth(VIT, 3), "twin": at_depth(TWIN, 3)},
    },
    ("ssl", "sup"): {
        "published": {"ssl": _dino("vit_small_patch16_224.dino"), "sup": DEIT_SMALL},
        "published, patches of 8": {"ssl": _dino("vit_small_patch8_224.dino"), "sup": DEIT_SMALL},
        "published, other teacher": {"ssl": _dino("vit_base_patch16_224.dino"), "sup": DEIT_SMALL},
        "published, other pupil": {"ssl": _dino("vit_small_patch16_224.dino"), "sup": VIT},
        "published at 384 px": {"ssl": _dino("vit_small_patch16_224.dino"), "sup": _sized(DEIT_SMALL, 384)},
        "few classes": {"ssl": _dino("tiny_dino"), "sup": FEW},
    },
    ("captions", "labels"): {
        "many classes": {"captions": CAPTIONS, "labels": VIT},
        "other units": {"captions": replace(CAPTIONS, units=(replace(SHAPE, units=9),) * 12), "labels": VIT},
        "other rows": {"captions": replace(CAPTIONS, units=(replace(SHAPE, rows=9),) * 12), "labels": VIT},
        "other columns": {"captions": replace(CAPTIONS, units=(replace(SHAPE, columns=9),) * 12), "labels": VIT},
    },
}
SHOW_OUTLIERS = (
    *("vit_large_patch14_dinov2.lvd142m", "vit_giant_patch14_dinov2.lvd142m"),
    *("vit_base_patch16_clip_224.laion2b", "vit_large_patch14_clip_224.laion2b"),
    *("deit3_base_patch16_224.fb_in1k", "deit3_large_patch16_224.fb_in1k"),
)
SHOW_MASSIVE = (
    *("vit_base_patch16_clip_224.openai", "vit_large_patch14_clip_224.openai"),
    *(f"vit_{size}_patch14_{kind}.lvd142m" for kind in ("dinov2", "reg4_dinov2") for size in ("large", "giant")),
)
REGISTER_UNITS = {"vit_base_patch16_clip_224.laion2b": 12, "vit_large_patch14_dinov2.lvd142m": 24}
MAPS = tuple(UnitShape(rows=side, columns=side, prefix=0, units=64) for side in (56, 56, 28, 14, 14, 7))
OF_SOURCE: Mapping[str, Mapping[str, Cards]] = {  # of which the claims of one source alone are asked
    "inversion": {
        "no positions": replace(CLS, capabilities=CLS.capabilities - {"position_embedding"}),
        "no projection": replace(CLS, capabilities=CLS.capabilities - {"patch_projection"}),
        "feature maps": replace(at_depth(CNN, 6), units=MAPS, capabilities=CNN.capabilities | {"units"}),
        "feature maps of 224 x 230 px": replace(
            at_depth(CNN, 6),
            units=MAPS,
            capabilities=CNN.capabilities | {"units"},
            preprocessing=replace(PREPROCESSING, size=(224, 230)),
        ),
    },
    "neural_collapse": {
        f"{classes} classes, width 512": _able(make_card(classes=classes, width=512), "label_trained")
        for classes in (100, 101, 513, 514)
    },
    "shape_bias": {"1,000 and 100 classes": {"vit": VIT, "cnn": _convolutional("resnet50.a1_in1k", 100)}},
    "outlier_tokens": {
        **{name: make_card("none", 24, arch=name) for name in SHOW_OUTLIERS},
        "by name": replace(make_card("none", 24), name=SHOW_OUTLIERS[0]),
        "other name": replace(make_card("none", 24, arch=SHOW_OUTLIERS[0]), name="mine"),
    },
    "massive_activations": {
        **{name: make_card("none", 24, arch=name) for name in SHOW_MASSIVE},
        "CLIP by name": replace(make_card("none", 24), name=SHOW_MASSIVE[0]),
        "CLIP, other name": replace(make_card("none", 24, arch=SHOW_MASSIVE[0]), name="mine"),
    },
    "test_time_registers": {
        **{name: make_card("none", depth, arch=name) for name, depth in REGISTER_UNITS.items()},
        "by name": replace(make_card("none"), name=next(iter(REGISTER_UNITS))),
        "other name": replace(make_card("none", arch=next(iter(REGISTER_UNITS))), name="mine"),
    },
}


def groups(spec: ClaimSpec) -> Mapping[str, Cards]:
    """List the models, or groups of them, of which a claim is asked here."""
    if spec.family:
        return {spec.family: family_card(spec.family)}
    alone = TAUGHT if "label_trained" in spec.needs else LONE
    return {**(SEVERAL[tuple(spec.subjects)] if spec.subjects else alone), **OF_SOURCE.get(spec.source.key, {})}


def ask(function: Callable, spec: ClaimSpec, cards: Cards) -> Plan | None:
    """Give the plan of a claim, None where it is not applicable."""
    if not isinstance(cards, Mapping) and cards.missing(spec.needs):
        return None
    try:
        return propose(function, spec, cards)
    except NotApplicable:
        return None
