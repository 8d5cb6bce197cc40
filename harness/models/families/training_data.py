"""What a model was trained on, as far as is known: class labels, captions, or pictures alone.

Weights that timm names are looked up by their tag (`training_tags`). A module of one's own may say it in its
`pretrained_cfg` as `objective`: "labels", "clip", "dino", or anything else for none of these. Weights without a tag
count as trained with labels where they have a classification head.
"""

import re
from collections.abc import Mapping
from typing import Any

from harness.models.families.training_tags import Taught, taught
from harness.models.family import Model, Naming

OBJECTIVES = {"labels": {"label_trained"}, "clip": {"caption_trained"}, "dino": {"self_supervised"}}
FACTS = {"labels": "label_trained", "captions": "caption_trained", "pictures": "self_supervised"}
# Names of towers that have no tag of timm's, as those in folders of Hugging Face; used only there.
TOWERS, UNLABELLED = r"clip|siglip", r"dino|\bmae\b"
LABELLED = r"in1k|in12k|in2[12]k|imagenet"


def training_of(model: Model, naming: Naming) -> frozenset[str]:
    """Name what taught it: "self_supervised", "caption_trained" or "label_trained", which fine-tuning makes it.

    Weights that are not pretrained count as none of these, as do those of which nothing is known.
    """
    config = getattr(model, "pretrained_cfg", None) or {}
    if not naming.pretrained:
        return frozenset()
    if objective := config.get("objective"):
        return frozenset(OBJECTIVES.get(objective, ()))
    if model.num_classes and config.get("tag") and model.num_classes != config.get("num_classes"):
        return frozenset({"label_trained"})  # a head of other classes than timm's: weights of one's own
    if config.get("tag"):
        known = _taught(config)
        return frozenset({FACTS[known.by]} if known and known.by in FACTS else ())
    text = f"{naming.arch} {config.get('architecture') or ''}"
    if not re.search(LABELLED, text):
        if re.search(TOWERS, text):
            return frozenset({"caption_trained"})
        if re.search(UNLABELLED, text):
            return frozenset({"self_supervised"})
    return frozenset({"label_trained"} if model.num_classes else ())


def untold(model: Model, naming: Naming) -> Mapping[str, str]:
    """Give the reason why a fact of training is missing where the general one would mislead, by capability."""
    config = getattr(model, "pretrained_cfg", None) or {}
    if not naming.pretrained:
        return dict.fromkeys(FACTS.values(), "the model has random weights, which were trained on nothing")
    if config.get("objective") or not config.get("tag"):
        return {}
    name = f"{config.get('architecture') or ''}.{config['tag']}"
    known = _taught(config)
    if known is None:
        return dict.fromkeys(FACTS.values(), f"nothing here says what taught the weights {name!r}")
    if known.by == "other":
        return dict.fromkeys(FACTS.values(), f"the weights {name!r} were trained {known.how}")
    return {}


def _taught(config: Any) -> Taught | None:
    return taught(config.get("architecture") or "", config["tag"])
