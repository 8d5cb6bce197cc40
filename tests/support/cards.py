"""Model cards made by hand, one per readout family, and what each claim of the package proposes for them."""

from dataclasses import replace
from pathlib import Path

from harness.errors import NotApplicable
from harness.judging.discovery import find_claims, find_specs
from harness.measurement.plan import Plan, propose
from harness.models.sites import UnitShape
from harness.models.subject import ModelCard, Preprocessing

ROOT = Path(__file__).parents[2] / "claims"
CLAIMS = find_claims(ROOT)
SPECS = find_specs(ROOT)
PREPROCESSING = Preprocessing(size=(224, 224), mean=(0.5,) * 3, std=(0.5,) * 3)
READOUT_CAPABILITIES = {
    "class": {"class_readout", "head", "token_head"},
    "class+distillation": {"distillation_readout", "head", "token_head"},
    "patch mean": {"patch_mean_readout", "head", "token_head"},
    "map pool": {"head"},
    "none": set(),
}


WITHIN = {
    *("writes", "weights", "value_vectors", "attention_keys", "mlp_keys", "units", "qkv", "attention_pattern"),
    *("attention", "position_embedding", "patch_projection"),
}


def make_card(
    native="class", depth=12, classes=1000, prefix=("class",), arch="vit_custom", grid=(4, 4), width=64
) -> ModelCard:
    """Describe a model by hand, with the capabilities that follow."""
    has = {"patch_tokens", "attn_mask", "token_subset"} | WITHIN | READOUT_CAPABILITIES[native]
    has |= {"registers" if kind == "register" else f"{kind}_token" for kind in prefix}
    has |= {"self_supervised"} if "dinov2" in arch else set()
    return ModelCard(
        name=arch,
        family="vit",
        arch=arch,
        depth=depth,
        width=width,
        grid=grid,
        prefix=prefix,
        native=native,
        classes=0 if native == "none" else classes,
        capabilities=frozenset(has),
        preprocessing=PREPROCESSING,
        units=(UnitShape(rows=grid[0], columns=grid[1], prefix=len(prefix), units=4 * width),) * depth,
    )


def at_depth(card: ModelCard, depth: int) -> ModelCard:
    """Give the same card with another number of blocks."""
    return replace(card, depth=depth, units=card.units[:1] * depth)


CLS = make_card()
ORIG = make_card(arch="vit_base_patch16_224.orig_in21k_ft_in1k")
DIST = make_card("class+distillation", prefix=("class", "distillation"))
DEIT = replace(DIST, arch="deit_base_distilled_patch16_224.fb_in1k")
DINOV2 = make_card("none", arch="vit_base_patch14_dinov2.lvd142m")
DINOV2_REG = make_card("none", prefix=("class", *["register"] * 4), arch="vit_base_patch14_reg4_dinov2.lvd142m")
AUGREG = make_card(arch="vit_base_patch16_224.augreg_in21k_ft_in1k", width=768)
CLIP = make_card("none", arch="vit_base_patch32_clip_224.openai")
GAP = make_card("patch mean")
BEIT = make_card("patch mean", arch="beit_base_patch16_224.in22k_ft_in22k")
NO_CLASS = make_card("patch mean", prefix=())
CARDS = {
    "cls": CLS,
    "cls, depth 24": make_card(depth=24),
    "cls, depth 4, 10 classes": make_card(depth=4, classes=10),
    "cls, 100 classes": make_card(classes=100),
    "cls, 32 px": replace(CLS, preprocessing=replace(PREPROCESSING, size=(32, 32))),
    "cls, register": make_card(prefix=("class", "register", "register")),
    "orig": ORIG,
    "augreg": AUGREG,
    "cls, as MIIL": make_card(arch="vit_base_patch16_224_miil.in21k_ft_in1k"),
    "augreg, patches of 32": make_card(arch="vit_base_patch32_224.augreg_in21k_ft_in1k", width=768),
    "augreg, large": make_card(depth=24, arch="vit_large_patch16_224.augreg_in21k_ft_in1k"),
    "dist": DIST,
    "dist, depth 4, 10 classes": make_card("class+distillation", 4, 10, ("class", "distillation")),
    "deit": DEIT,
    "dinov2": DINOV2,
    "dinov2, register": DINOV2_REG,
    "clip": CLIP,
    "gap with class token": GAP,
    "gap with class token, depth 4, 10 classes": make_card("patch mean", 4, 10),
    "beit": BEIT,
    "gap without class token": NO_CLASS,
    "gap without class token, rpn": make_card("patch mean", prefix=(), arch="vit_base_patch16_rpn_224.sw_in1k"),
    "map pool": make_card("map pool"),
}


def plan_for(identifier: str, card: ModelCard) -> Plan | str:
    """Give a claim's plan for a card, or the reason why it cannot be asked."""
    listed = CLAIMS[identifier]
    if reason := card.missing(listed.spec.needs):
        return reason
    try:
        return propose(listed.function, listed.spec, card)
    except NotApplicable as reason:
        return str(reason)
