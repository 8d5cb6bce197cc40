"""Folders of pictures: labels.csv beside images/, one sub-folder per class, or pictures without labels."""

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from harness.errors import ClaimsError
from harness.images.labels import class_order, imagenet_subset, synsets
from harness.images.listing import Encoded, Listing
from harness.images.stored_marks import list_marks
from harness.models.subject import ModelCard

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})
SPLIT_FOLDERS = {"test": ("val", "validation", "valid", "test"), "train": ("train",)}
COLUMNS = ("file", "index")


def list_folder(folder: Path, name: str, card: ModelCard) -> Listing:
    """List a folder in whichever of the three layouts it has; `name` is what reports call it.

    Raises:
        ClaimsError: the folder is empty, mixes layouts, or its labels do not fit the model.
    """
    if (folder / "labels.csv").is_file():
        return _labelled(folder, name, card)
    subfolders = [entry.name for entry in visible(folder) if entry.is_dir()]
    loose = _pictures(folder, deep=False)
    if subfolders == ["images"] and not loose:
        folder, subfolders = folder / "images", []
        loose = _pictures(folder, deep=True)
    if subfolders and loose:
        raise ClaimsError(
            f"{folder} holds pictures ({loose[0]!r}, ...) beside sub-folders ({subfolders[0]!r}, ...). Allowed: one "
            f"sub-folder per class, images/ with labels.csv, or pictures alone (no labels)"
        )
    if subfolders:
        return _by_class(folder, name, subfolders, card)
    if not loose:
        raise ClaimsError(f"no pictures in {folder}: it has no {', '.join(sorted(PICTURES))} and no sub-folders")
    note = "no labels: only claims that need none can be judged"
    return Listing(name=name, names=tuple(loose), open=_opener(folder, loose), note=note)


def visible(folder: Path) -> list[Path]:
    """List what a folder holds in sorted order, hidden entries left out."""
    return [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]


def _by_class(folder: Path, name: str, subfolders: Sequence[str], card: ModelCard) -> Listing:
    order = class_order(subfolders, card, str(folder))
    names, labels = [], []
    for subfolder in subfolders:
        found = _pictures(folder / subfolder, deep=True)
        names += [f"{subfolder}/{file}" for file in found]
        labels += [order.index[subfolder]] * len(found)
    if not names:
        raise ClaimsError(f"no pictures in {folder}: its {len(subfolders)} sub-folders hold none")
    return Listing(
        name=name,
        names=tuple(names),
        open=_opener(folder, names),
        labels=np.array(labels, dtype=np.int64),
        classes=order.classes,
        class_names=order.names,
        note=order.note,
    )


def _labelled(folder: Path, name: str, card: ModelCard) -> Listing:
    pictures = folder / "images"
    if not pictures.is_dir():
        raise ClaimsError(f"{folder} has labels.csv but no folder images/ with the pictures that it names")
    found = _pictures(pictures, deep=True)
    labels, words = _read_labels(folder / "labels.csv", set(found), card)
    if not labels:
        raise ClaimsError(f"{folder / 'labels.csv'} names no picture; every row is one: file,index")
    classes = card.classes or max(labels.values()) + 1
    unnamed = len(found) - len(labels)
    return Listing(
        name=name,
        names=tuple(labels),
        open=_opener(pictures, tuple(labels)),
        labels=np.fromiter(labels.values(), dtype=np.int64),
        classes=classes,
        class_names=tuple(words[label] for label in range(classes)) if len(words) == classes else None,
        note="labels.csv" + (f"; {unnamed} pictures in images/ are not in it and not used" if unnamed else ""),
        marks=list_marks(folder, tuple(labels)),
    )


def _read_labels(table: Path, found: set[str], card: ModelCard) -> tuple[dict[str, int], dict[int, str]]:
    """Read label per file and name per label; every refusal names the line and the value."""
    labels: dict[str, int] = {}
    words: dict[int, str] = {}
    for place, row in _rows(table):
        file = row["file"] or ""
        if file not in found:
            near = get_close_matches(file, found, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ClaimsError(f"{place}: file {file!r} is not a picture in {table.parent / 'images'}.{hint}")
        if file in labels:
            raise ClaimsError(f"{place}: file {file!r} is listed twice; allowed: one row per picture")
        labels[file] = label = _index(row, card, place)
        if row.get("name"):
            words[label] = row["name"]
    return labels, words


def _rows(table: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        for missing in COLUMNS:
            if missing not in columns:
                raise ClaimsError(
                    f"{table} line 1: no column {missing!r} among {list(columns)}; needed: file,index; optional: "
                    f"wnid,name"
                )
        for row in reader:
            yield f"{table} line {reader.line_num}", row


def _index(row: Mapping[str, str], card: ModelCard, place: str) -> int:
    value, allowed = row["index"], f"0 to {card.classes - 1}" if card.classes else "0 and above"
    try:
        label = int(value)
    except (TypeError, ValueError):
        raise ClaimsError(f"{place}: index {value!r} is no whole number; allowed: {allowed}") from None
    if label < 0 or (card.classes and label >= card.classes):
        raise ClaimsError(f"{place}: index {label} is not a class of {card.name!r}; allowed: {allowed}")
    subset = imagenet_subset(card.classes)
    order = synsets(subset) if subset else {}
    if order.get(row.get("wnid") or "", label) != label:
        raise ClaimsError(
            f"{place}: index {label} with wnid {row['wnid']!r}, which is class {order[row['wnid']]} in timm's order "
            f"of {subset}: the table is in another order"
        )
    return label


def _pictures(folder: Path, *, deep: bool) -> list[str]:
    """List picture files below a folder as sorted relative paths; links are followed, hidden files left out."""
    if not deep:
        return [entry.name for entry in visible(folder) if entry.suffix.lower() in PICTURES and entry.is_file()]
    found = []
    for place, _, files in os.walk(folder, followlinks=True):
        shown = [file for file in files if not file.startswith(".") and Path(file).suffix.lower() in PICTURES]
        found += [(Path(place) / file).relative_to(folder).as_posix() for file in shown]
    return sorted(found)


def _opener(folder: Path, names: Sequence[str]) -> Callable[[int], Encoded]:
    paths = [folder / name for name in names]
    return lambda entry: paths[entry].open("rb")
