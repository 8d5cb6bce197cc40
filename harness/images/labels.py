"""Which class of the model a class of a picture folder is."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from timm.data import ImageNetInfo, infer_imagenet_subset

from harness.errors import ClaimsError, unknown
from harness.fixtures.scenes import CLASS_NAMES
from harness.images.walking import LeftOut
from harness.models.subject import ModelCard

SYNSET = re.compile(r"n\d{8}")
UNKNOWN = "of synsets unknown to the head"
LEAST_KNOWN = 0.5  # share of the synsets of a folder that the head must know
FIRST = "imagenet-1k"
SUBSETS = (FIRST, "imagenet-12k", "imagenet-21k-miil", "imagenet-21k-goog", "imagenet-22k", "imagenet-22k-ms")


@dataclass(frozen=True, kw_only=True)
class ClassOrder:
    """Map the names of classes to labels: `index` per name, `classes` in all, `names` per label, how in `note`.

    `strangers` are the synsets that the model does not know; the others are enough to measure on.
    """

    index: Mapping[str, int]
    classes: int
    names: tuple[str, ...] | None
    note: str
    strangers: tuple[str, ...] = ()

    def left_out(self, of_entry: Sequence[str]) -> tuple[LeftOut, ...]:
        """Leave out the pictures of unknown classes; `of_entry` is the class of every picture."""
        counted = Counter(name for name in of_entry if name in self.strangers)
        return tuple(
            LeftOut(name, f"{count} pictures of a synset that the head does not know", UNKNOWN, count)
            for name, count in sorted(counted.items())
        )


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


def check_numbers(numbers: Collection[int], card: ModelCard, where: str, cure: str) -> None:
    """Refuse labels that are evidently numbers of ImageNet-1k beside a head whose classes are in another order.

    Raises:
        ClaimsError: the head answers a larger ImageNet, and no label is beyond the 1,000 of ImageNet-1k.
    """
    subset = imagenet_subset(card.classes)
    if subset is None or subset == FIRST or not numbers or max(numbers) >= len(synsets(FIRST)):
        return
    theirs, first = synsets(subset), synsets(FIRST)
    if all(theirs.get(name) == first_number for name, first_number in first.items()):
        return
    raise ClaimsError(
        f"all labels in {where} are below 1000, as those of ImageNet-1k are, but {card.name!r} answers the "
        f"{card.classes:,} classes of {subset}, whose order is another. Cure: {cure}"
    )


def _subset(names: Collection[str], card: ModelCard) -> str | None:
    if card.classes:
        return imagenet_subset(card.classes)
    return FIRST if set(names) <= set(synsets(FIRST)) else None


def _by_synset(names: Collection[str], subset: str, where: str) -> ClassOrder:
    table = synsets(subset)
    strangers = tuple(sorted(name for name in names if name not in table))
    for name in strangers:
        if not any(name in synsets(other) for other in SUBSETS):
            raise unknown(f"{subset} synset", name, table, where)
    known = len(names) - len(strangers)
    if known < LEAST_KNOWN * len(names):
        raise ClaimsError(
            f"of the {len(names)} synsets in {where} the head of {subset} knows {known}: {strangers[0]} is "
            f"not among its {len(table):,}; allowed: folders of which it knows at least half"
        )
    described = tuple(ImageNetInfo(subset).label_descriptions())
    note = f"{subset} synsets in timm's order"
    return ClassOrder(index=table, classes=len(table), names=described, note=note, strangers=strangers)


def _by_number(names: Collection[str], card: ModelCard, where: str) -> ClassOrder:
    index = {name: int(name) for name in names}
    numbers = sorted(index.values())
    if len(set(numbers)) < len(numbers):
        raise ClaimsError(f"two class folders in {where} have one number: {', '.join(sorted(names)[:5])}, ...")
    if len(numbers) > 1 and numbers == list(range(1, len(numbers) + 1)):
        raise ClaimsError(
            f"class folders in {where} are numbered from 1 to {len(numbers)}; a model's first class is 0, so "
            f"every label would be shifted. Cure: rename them 0 to {len(numbers) - 1}, or, if class 0 is just absent, "
            "give labels.csv (file,index)"
        )
    check_numbers(numbers, card, where, "name the folders by synset")
    classes = card.classes or numbers[-1] + 1
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
