"""Build model cards from modules, on the meta device as well as with weights."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from timm.data import resolve_model_data_config
from torch import nn

from harness.errors import ClaimsError
from harness.models.attention_hooks import has_pattern
from harness.models.block_weights import adds_value_vectors
from harness.models.family import Model, Naming
from harness.models.hooks import Taps
from harness.models.patch_projection import projection_of
from harness.models.position_hooks import has_positions
from harness.models.sites import SITE_NEEDS, BlockWeights, UnitShape
from harness.models.subject import ModelCard, Native, Preprocessing

_READOUTS: Mapping[str, str] = {
    "class": "class_readout",
    "class+distillation": "distillation_readout",
    "patch mean": "patch_mean_readout",
}


_NO_LINEAR = "the model's head is a {}, not one linear layer"


def token_card(
    model: Model,
    naming: Naming,
    *,
    family: str,
    depth: int,
    grid: tuple[int, int],
    prefix: tuple[str, ...],
    native: Native,
    can: Mapping[str, bool],
    lacks: Mapping[str, str] | None = None,
) -> ModelCard:
    """Describe a model whose stream is a sequence of tokens.

    `native` is how its head would read the tokens, `can` the family's own capabilities by name. The capabilities
    that follow from prefix, head and readout are added here.
    """
    classes, headless = head_of(model)
    native = native if classes else "none"
    has = _abilities(model, classes, prefix, native)
    reasons = dict.fromkeys(("head", "token_head", *_READOUTS.values()), headless) if headless else {}
    if has["token_head"] and not isinstance(model.head, nn.Linear):
        has, reasons = has | {"token_head": False}, {"token_head": _NO_LINEAR.format(type(model.head).__name__)}
    has |= {"attention": True, **can}
    return ModelCard(
        name=naming.name,
        family=family,
        arch=naming.arch,
        depth=depth,
        width=model.num_features,
        grid=(int(grid[0]), int(grid[1])),
        prefix=prefix,
        native=native,
        classes=classes,
        capabilities=frozenset(name for name, yes in has.items() if yes),
        preprocessing=naming.preprocessing or preprocessing_of(model),
        lacks={name: why for name, why in {**reasons, **(lacks or {})}.items() if not has.get(name)},
        pretrained=naming.pretrained,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def with_sites(
    card: ModelCard,
    taps: Sequence[Taps],
    *,
    attentions: Iterable[Model] = (),
    weights: Iterable[BlockWeights | None] = (),
    units: tuple[UnitShape, ...] | None = None,
    lacks: Mapping[str, str] | None = None,
) -> ModelCard:
    """Add to a card what can be read within the blocks: a capability where every block has all of its sites.

    `attentions` and `weights` are those of the blocks, `units` the shape of every block's units (None: one at each
    token of the stream), `lacks` the family's reasons.
    """
    found = {
        need
        for need in SITE_NEEDS.values()
        if all(site in tapped for tapped in taps for site, its in SITE_NEEDS.items() if its == need)
    }
    matrices = list(weights)
    for need, has in (
        ("attention_pattern", [has_pattern(attention) for attention in attentions]),
        ("weights", [one is not None for one in matrices]),
        ("value_vectors", [one is not None and adds_value_vectors(one) for one in matrices]),
    ):
        found |= {need} if has and all(has) else set()
    if units is None and "units" in found:
        rows, columns = card.grid or (0, 0)
        units = tuple(
            UnitShape(rows=rows, columns=columns, prefix=len(card.prefix), units=tapped["units"].width)
            for tapped in taps
        )
    reasons = {need: why for need, why in (lacks or {}).items() if need not in found}
    return replace(
        card,
        capabilities=card.capabilities | found,
        lacks={**card.lacks, **reasons},
        units=units if units and "units" in found else (),
    )


def head_of(model: Model) -> tuple[int, str | None]:
    """Count the classes of the model's own head; where it has none, give 0 and the reason.

    The output of an image tower trained against text is a projection into the shared embedding, which timm stores
    where classifiers store their head.
    """
    if not model.num_classes:
        return 0, "the model has no classification head of its own (num_classes=0)"
    config = getattr(model, "pretrained_cfg", None) or {}
    text = f"{config.get('architecture') or ''}.{config.get('tag') or ''}"
    tower = re.search(r"clip|vit_pe_core", text) and not re.search(r"in1k|in12k|in2[12]k", text)
    if tower and model.num_classes == config.get("num_classes"):
        return 0, (
            f"the {model.num_classes}-wide output of {text!r} is a projection into an embedding shared with text, "
            f"not a classification head"
        )
    return model.num_classes, None


def pooled_as(pool: str, model: Model) -> Native:
    """Name how a token model's head reads the tokens, from timm's name of its pooling."""
    names: Mapping[str, Native] = {
        "token": "class",
        "avg": "patch mean",
        "max": "token pool",
        "avgmax": "token pool",
        "map": "map pool",
        "prr": "map pool",
    }
    if pool in names:
        return "token pool" if pool == "avg" and getattr(model, "pool_include_prefix", False) else names[pool]
    if model.num_classes:
        raise ClaimsError(f"{type(model).__name__} with global_pool={pool!r} does not pool; allowed: {sorted(names)}")
    return "none"


def preprocessing_of(model: Model) -> Preprocessing:
    """Read how pictures become input from the model's timm configuration, its size from the patch embedding."""
    config = resolve_model_data_config(model)
    embed = getattr(model, "patch_embed", None) or getattr(model, "stem", None)
    rows, columns = getattr(embed, "img_size", None) or config["input_size"][-2:]
    return Preprocessing(
        size=(int(rows), int(columns)),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        crop=config["crop_pct"],
        crop_mode=config["crop_mode"],
    )


def _abilities(model: Model, classes: int, prefix: tuple[str, ...], native: Native) -> dict[str, bool]:
    """Say what follows from the embedding, prefix tokens, head and readout."""
    return {
        "patch_tokens": True,
        "class_token": "class" in prefix,
        "distillation_token": "distillation" in prefix,
        "registers": "register" in prefix,
        "head": classes > 0,
        "token_head": classes > 0 and native != "map pool",
        "position_embedding": has_positions(model),
        "patch_projection": projection_of(model) is not None,
        **{capability: native == kind for kind, capability in _READOUTS.items()},
    }
