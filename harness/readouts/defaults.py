"""What claims need to know of readout families: how a model answers, and what reads its class token alone.

Models with a head answer by it. Trunks without one answer through a ridge probe on normed features of the last
block: the class token, or class token and mean patch token side by side for trunks that are published that way
(DINOv2, DINOv3 and trunks with registers).
"""

from collections.abc import Iterable

from harness.errors import NotApplicable
from harness.models.subject import ModelCard
from harness.probes.probe import Probe
from harness.readouts.linear_probes import ProbeAccuracy
from harness.readouts.own_answer import Accuracy
from harness.readouts.readout import Readout

PUBLISHED_SIZE = (224, 224)
POOLED = ("patch mean", "token pool", "map pool")


def published_as(card: ModelCard, tags: Iterable[str]) -> str:
    """Say which of these published checkpoints a model is, by its full tag or the name that it goes by; "" if none.

    They were read at 224 px: at another size the numbers of the source are those of another model.
    """
    known = [tag for tag in tags if tag in (card.arch, card.name)]
    return known[0] if known and card.preprocessing.size == PUBLISHED_SIZE else ""


def appends_patch_mean(card: ModelCard) -> bool:
    """Say whether a head-less trunk is read from class token and mean patch token side by side (CLS+GAP)."""
    known = "dinov2" in card.arch or "dinov3" in card.arch or "register" in card.prefix
    return card.native == "none" and "class" in card.prefix and known


def final_readout(card: ModelCard) -> Readout:
    """Give the model's answer: its own head, or a fitted probe on the last block where it has none."""
    return Accuracy() if card.native != "none" else ProbeAccuracy(probe=_trunk_probe(card))


def class_readout(card: ModelCard) -> Readout:
    """Give the answer from the class token alone, every auxiliary path switched off.

    The distillation head is left out; of a probe on both features the patch half is zeroed without a refit. Raises
    NotApplicable where the model's own head reads something else.
    """
    refuse_pooled(card)
    if card.native == "class+patch mean":
        raise NotApplicable("the class half of the model's own head cannot be read apart from its patch half")
    if card.native != "none":
        return Accuracy(head="class")
    return ProbeAccuracy(probe=_trunk_probe(card), only_class=appends_patch_mean(card))


def refuse_pooled(card: ModelCard) -> None:
    """Raise NotApplicable for heads that pool patch tokens: what happens to the class token cannot matter there."""
    if card.native in POOLED:
        raise NotApplicable(f"the model's own head reads its tokens by {card.native}: a pass would be trivial")


def refuse_shallow(card: ModelCard, least: int) -> None:
    """Raise NotApplicable for models with too few blocks for the layers that a claim is about."""
    if card.depth < least:
        raise NotApplicable(f"the claim compares blocks of a model with {least} or more; this one has {card.depth}")


def _trunk_probe(card: ModelCard) -> Probe:
    if appends_patch_mean(card):
        return Probe(layer=card.depth - 1, kind="class+patch mean", normed=True)
    return Probe(layer=card.depth - 1, kind="class" if "class" in card.prefix else "patch mean", normed=True)
