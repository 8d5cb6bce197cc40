"""Which class of the model a class of a picture folder is."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from timm.data import ImageNetInfo, infer_imagenet_subset

from harness.errors import ClaimsError, unknown
from harness.fixtures.scenes import CLASS_NAMES
from harness.models.subject import ModelCard

SYNSET = re.compile(r"n\d{8}")


@dataclass(frozen=True, kw_only=True)
class ClassOrder:
    """Map the names of classes to labels: `index` per name, `classes` in all, `names` per label, how in `note`."""

    index: Mapping[str, int]
    classes: int
    names: tuple[str, ...] | None
    note: str


def class_order(folders: Collection[str], card: ModelCard, where: str) -> ClassOrder:
    """Find the label of each class folder: ImageNet synsets, numbers, the embedded classes, else in sorted order.

    Sorted order (torchvision's convention) only if there are as many folders as the model has classes, or the model
    has no head.

    Raises:
        ClaimsError: a synset or number that the model does not have, or a number of folders that is not its classes.
    """
    names = sorted(folders)
    if all(map(SYNSET.fullmatch, names)) and (subset := _subset(names, card)):
        return _by_synset(names, subset, where)
    if all(name.isdecimal() for name in names):
        return _by_number(names, card, where)
    if set(names) <= set(CLASS_NAMES) and card.classes in (0, len(CLASS_NAMES)):
        index = {name: number for number, name in enumerate(CLASS_NAMES)}
        return ClassOrder(index=index, classes=len(index), names=CLASS_NAMES, note="classes of the embedded pictures")
    if card.classes not in (0, len(names)):
        raise _miscounted(names, card, where)
    note = "classes in sorted order of their folders (torchvision's convention), not checked against the model"
    index = {name: number for number, name in enumerate(names)}
    return ClassOrder(index=index, classes=len(names), names=tuple(names), note=note)


def dataset_order(names: Sequence[str], card: ModelCard, where: str) -> ClassOrder:
    """Find the label of each class of a dataset that numbers its classes itself, as a Hugging Face dataset does.

    Raises:
        ClaimsError: the classes are neither synsets that the model has nor as many as the model's.
    """
    if all(map(SYNSET.fullmatch, names)) and (subset := _subset(names, card)):
        return _by_synset(names, subset, where)
    if card.classes not in (0, len(names)):
        raise _miscounted(names, card, where)
    index = {name: number for number, name in enumerate(names)}
    note = "classes in the order of the dataset, not checked against the model"
    return ClassOrder(index=index, classes=len(names), names=tuple(names), note=note)


@cache
def synsets(subset: str) -> Mapping[str, int]:
    """Give timm's order of an ImageNet subset ("imagenet-1k", ...): label per synset."""
    return {name: number for number, name in enumerate(ImageNetInfo(subset).label_names())}


def imagenet_subset(classes: int) -> str | None:
    """Name the ImageNet subset of a model with so many classes, or None."""
    return infer_imagenet_subset({"num_classes": classes})


def _subset(names: Collection[str], card: ModelCard) -> str | None:
    if card.classes:
        return imagenet_subset(card.classes)
    return "imagenet-1k" if set(names) <= set(synsets("imagenet-1k")) else None


def _by_synset(names: Collection[str], subset: str, where: str) -> ClassOrder:
    table = synsets(subset)
    if strangers := [name for name in names if name not in table]:
        raise unknown(f"{subset} synset", strangers[0], table, where)
    described = tuple(ImageNetInfo(subset).label_descriptions())
    return ClassOrder(index=table, classes=len(table), names=described, note=f"{subset} synsets in timm's order")


def _by_number(names: Collection[str], card: ModelCard, where: str) -> ClassOrder:
    index = {name: int(name) for name in names}
    classes = card.classes or max(index.values()) + 1
    for name, number in index.items():
        if number >= classes:
            raise ClaimsError(f"class folder {name!r} in {where}: the model's classes are 0 to {classes - 1}")
    return ClassOrder(index=index, classes=classes, names=None, note="class folders named by label number")


def _miscounted(names: Sequence[str], card: ModelCard, where: str) -> ClaimsError:
    plain = [name for name in names if not SYNSET.fullmatch(name)]
    count = len(names) - len(plain)
    mixed = f" {count} of them are synsets, these are not: {plain[:5]}." if plain and count else ""
    return ClaimsError(
        f"{len(names)} classes in {where} ({', '.join(names[:3])}, ...), but {card.name!r} answers {card.classes} "
        f"classes.{mixed} Allowed: classes named by ImageNet synset (n01440764) or label number, or exactly as many as "
        f"the model has, or images/ with labels.csv (file,index)."
    )
