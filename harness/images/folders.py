"""Folders of pictures: labels.csv beside images/, one sub-folder per class, or pictures without labels."""

from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from harness.errors import ClaimsError
from harness.images.cues import are_cues
from harness.images.decoding import Encoded
from harness.images.labels import SUBSETS, UNKNOWN, check_numbers, class_order, imagenet_subset, synsets
from harness.images.listing import Listing
from harness.images.stored_marks import list_marks
from harness.images.tables import rows
from harness.images.walking import LeftOut, Walk, readable
from harness.models.subject import ModelCard

SPLIT_FOLDERS = {"test": ("val", "validation", "valid", "test"), "train": ("train",)}
COLUMNS = ("file", "index")


def list_folder(folder: Path, name: str, card: ModelCard) -> Listing:
    """List a folder in whichever of the three layouts it has; `name` is what reports call it.

    Raises:
        ClaimsError: the folder is empty, mixes layouts, or its labels do not fit the model.
    """
    if (folder / "labels.csv").is_file():
        return _labelled(folder, name, card)
    walk = Walk(folder)
    subfolders, loose = walk.folders(), walk.pictures(deep=False)
    if subfolders == ["images"] and not loose:
        folder, subfolders = folder / "images", []
        walk = Walk(folder)
        loose = walk.pictures(deep=True)
    if subfolders and loose:
        raise ClaimsError(
            f"{folder} holds pictures ({loose[0]!r}, ...) beside sub-folders ({subfolders[0]!r}, ...). Allowed: one "
            f"sub-folder per class, images/ with labels.csv, or pictures alone (no labels)"
        )
    if subfolders:
        return _by_class(walk, name, subfolders, card)
    if not loose:
        told = f" Left out: {'; '.join(map(str, list(walk.left_out.values())[:3]))}." if walk.left_out else ""
        raise ClaimsError(
            f"no pictures in {folder}: it has no {', '.join(sorted(readable()))} and no sub-folders.{told}"
        )
    note = "no labels: only claims that need none can be judged"
    return Listing(
        name=name,
        names=tuple(loose),
        open=_opener(folder, loose),
        note=_told(note, walk),
        left_out=tuple(walk.left_out.values()),
    )


def visible(folder: Path) -> list[Path]:
    """List what a folder holds in sorted order, hidden entries left out."""
    return [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]


def _by_class(walk: Walk, name: str, subfolders: Sequence[str], card: ModelCard) -> Listing:
    found = {subfolder: walk.pictures(subfolder, deep=True) for subfolder in subfolders}
    if are_cues(subfolders, every := [f"{folder}/{file}" for folder in subfolders for file in found[folder]]):
        note = "shape and texture by name (cue conflict), so no labels: claims that need some cannot be judged"
        return Listing(name=name, names=tuple(every), open=_opener(walk.root, every), note=_told(note, walk))
    order = class_order(subfolders, card, str(walk.root))
    unknown = order.left_out([subfolder for subfolder in subfolders for _ in found[subfolder]])
    known = [subfolder for subfolder in subfolders if subfolder not in order.strangers]
    names = [f"{subfolder}/{file}" for subfolder in known for file in found[subfolder]]
    if not names:
        raise ClaimsError(f"no pictures in {walk.root}: its {len(subfolders)} sub-folders hold none")
    return Listing(
        name=name,
        names=tuple(names),
        open=_opener(walk.root, names),
        labels=np.array([order.index[subfolder] for subfolder in known for _ in found[subfolder]], dtype=np.int64),
        classes=order.classes,
        class_names=order.names,
        note=_told(order.note, walk),
        left_out=(*walk.left_out.values(), *unknown),
    )


def _labelled(folder: Path, name: str, card: ModelCard) -> Listing:
    pictures = folder / "images"
    if not pictures.is_dir():
        raise ClaimsError(f"{folder} has labels.csv but no folder images/ with the pictures that it names")
    walk = Walk(pictures)
    found = walk.pictures(deep=True)
    labels, words, strangers = _read_labels(folder / "labels.csv", set(found), card)
    if not labels:
        raise ClaimsError(f"{folder / 'labels.csv'} names no picture; every row is one: file,index")
    classes = card.classes or max(labels.values()) + 1
    unnamed = len(found) - len(labels) - len(strangers)
    note = "labels.csv" + (f"; {unnamed} pictures in images/ are not in it and not used" if unnamed else "")
    return Listing(
        name=name,
        names=tuple(labels),
        open=_opener(pictures, tuple(labels)),
        labels=np.fromiter(labels.values(), dtype=np.int64),
        classes=classes,
        class_names=tuple(words[label] for label in range(classes)) if len(words) == classes else None,
        note=_told(note, walk) + _from_one(labels.values()),
        marks=list_marks(folder, tuple(labels)),
        left_out=(*walk.left_out.values(), *strangers),
    )


def _read_labels(table: Path, found: set[str], card: ModelCard) -> tuple[dict[str, int], dict[int, str], list[LeftOut]]:
    """Read label per file, name per label, and pictures of unknown synsets; refusals name the line and the value."""
    labels: dict[str, int] = {}
    words: dict[int, str] = {}
    strangers: dict[str, LeftOut] = {}
    checked = True
    for place, row in rows(table, COLUMNS, "wnid,name"):
        file, wnid = row["file"] or "", row.get("wnid") or ""
        if file not in found:
            near = get_close_matches(file, found, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ClaimsError(f"{place}: file {file!r} is not a picture in {table.parent / 'images'}.{hint}")
        if file in labels or file in strangers:
            raise ClaimsError(f"{place}: file {file!r} is listed twice; allowed: one row per picture")
        if _is_stranger(wnid, card):
            strangers[file] = LeftOut(file, f"of {wnid}, a synset that the head does not know", UNKNOWN)
            continue
        labels[file] = label = _index(row, card, place)
        checked &= bool(wnid)
        if row.get("name"):
            words[label] = row["name"]
    if not checked:
        check_numbers(labels.values(), card, str(table), "add a column wnid with the synset of each picture")
    if len(strangers) > len(labels):
        raise ClaimsError(
            f"{table}: {card.name!r} knows the synsets of {len(labels)} of {len(labels) + len(strangers)} pictures; "
            f"allowed: tables of which it knows at least half"
        )
    return labels, words, list(strangers.values())


def _is_stranger(wnid: str, card: ModelCard) -> bool:
    """Tell whether a row is of a synset that is one of ImageNet, but none of the head's."""
    subset = imagenet_subset(card.classes)
    return bool(subset) and wnid not in synsets(subset) and any(wnid in synsets(other) for other in SUBSETS)


def _from_one(labels: Collection[int]) -> str:
    """Warn of labels that may have been counted from 1."""
    if len(labels) > 1 and set(labels) == set(range(1, max(labels) + 1)):
        return f"; labels 1 to {max(labels)} and no 0: are they numbered from 1? The first class is 0"
    return ""


def _told(note: str, walk: Walk) -> str:
    """Add to a note the files that are no pictures."""
    if not walk.others:
        return note
    suffixes = sorted({Path(name).suffix or "no suffix" for name in walk.others})
    return f"{note}; {len(walk.others)} other files ({', '.join(suffixes[:4])})"


def _index(row: Mapping[str, str], card: ModelCard, place: str) -> int:
    value, allowed = row["index"], f"0 to {card.classes - 1}" if card.classes else "0 and above"
    try:
        label = int(value)
    except (TypeError, ValueError):
        raise ClaimsError(f"{place}: index {value!r} is no whole number; allowed: {allowed}") from None
    if label < 0 or (card.classes and label >= card.classes):
        hint = "; is the table numbered from 1? The first class is 0" if label == card.classes else ""
        raise ClaimsError(f"{place}: index {label} is not a class of {card.name!r}; allowed: {allowed}{hint}")
    subset = imagenet_subset(card.classes)
    order = synsets(subset) if subset else {}
    if order.get(row.get("wnid") or "", label) != label:
        raise ClaimsError(
            f"{place}: index {label} with wnid {row['wnid']!r}, which is class {order[row['wnid']]} in timm's order "
            f"of {subset}: the table is in another order"
        )
    return label


def _opener(folder: Path, names: Sequence[str]) -> Callable[[int], Encoded]:
    paths = [folder / name for name in names]
    return lambda entry: paths[entry].open("rb")
