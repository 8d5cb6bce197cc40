"""What a model was trained on, as far as its names tell: class labels, captions, or pictures alone.

timm stores it nowhere, so it is read from architecture and tag. A module of one's own may say it in its
`pretrained_cfg` as `objective`: "labels", "clip", "dino", or anything else for none of these.
"""

import re
from typing import Any

from harness.models.family import Model, Naming

CAPTIONS = r"clip|siglip|vit_pe_|vitamin|coca"  # text towers beside them: CLIP and its kin, SigLIP, Perception Encoder
LABELLED = r"in1k|in12k|in2[12]k|inat|imagenet|miil|goog|_jft"  # label sets in timm's tags, also after captions
UNLABELLED = r"dino|\bmae\b"  # taught by pictures alone, as long as no label set follows
OBJECTIVES = {"labels": {"label_trained"}, "clip": {"caption_trained"}, "dino": {"self_supervised"}}


def training_of(model: Model, naming: Naming) -> frozenset[str]:
    """Name what taught it: "self_supervised", "caption_trained" or "label_trained", which fine-tuning makes it.

    A head without any such sign counts as trained with labels; weights that are not pretrained count as none.
    """
    config = getattr(model, "pretrained_cfg", None) or {}
    if not naming.pretrained:
        return frozenset()
    if objective := config.get("objective"):
        return frozenset(OBJECTIVES.get(objective, ()))
    text = f"{naming.arch} {full_name(config)}"
    if caption_tower(text):
        return frozenset({"caption_trained"})
    if re.search(UNLABELLED, text) and not re.search(LABELLED, text):
        return frozenset({"self_supervised"})
    return frozenset({"label_trained"} if model.num_classes else ())


def full_name(config: Any) -> str:
    """Give architecture and tag as timm's configuration has them."""
    return f"{config.get('architecture') or ''}.{config.get('tag') or ''}"


def caption_tower(text: str) -> bool:
    """Say whether a full name is that of a picture tower trained against text and not on labels afterwards."""
    return bool(re.search(CAPTIONS, text)) and not re.search(LABELLED, text)
