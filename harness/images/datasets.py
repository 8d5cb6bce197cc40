"""Datasets by name, through timm's readers: Hugging Face (`hfds/`, streamed `hfids/`) and TensorFlow (`tfds/`)."""

import io
from collections.abc import Callable, Sequence
from heapq import nsmallest
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image
from timm.data import create_reader

from harness.errors import ClaimsError, NotApplicable
from harness.images.decoding import UNREADABLE, Encoded
from harness.images.labels import check_numbers, dataset_order
from harness.images.listing import Listing
from harness.images.procedural import Split
from harness.models.subject import ModelCard

PREFIXES = {"hfds": "datasets", "hfids": "datasets", "tfds": "tensorflow_datasets"}
SPLIT_NAMES = {"test": ("validation", "val", "valid", "test"), "train": ("train",)}


def list_dataset(data: str, split: Split, card: ModelCard, *, seed: int, limit: int | None) -> Listing:
    """List the dataset prefix/NAME in the first split of the right kind that it has.

    Streamed datasets (`hfids/`, `tfds/`) cannot be read in random order: they are read once to their end, and `limit`
    pictures drawn by the seed are kept in memory. Their fingerprint therefore depends on the limit.

    Raises:
        ClaimsError: the package behind the prefix or the dataset is missing, or its labels do not fit the model.
        NotApplicable: train pictures are asked for, and it has none.
    """
    prefix, _, name = data.partition("/")
    package = PREFIXES[prefix.lower()]
    if find_spec(package) is None:
        raise ClaimsError(
            f"--data {data!r} needs the package {package!r}, which is not installed here: pip install {package}"
        )
    reader, found = _reader(f"{prefix.lower()}/{name}", SPLIT_NAMES[split])
    if prefix.lower() == "hfds":
        targets, sources = list(reader.iter_targets()), None
    else:
        targets, sources = _drawn(reader, seed, limit)
    labels, facts = _labels(targets, reader.class_to_idx, card, data)
    opened = _open_stored(reader) if sources is None else _open_drawn(list(sources.values()))
    numbers = list(sources or range(len(targets)))
    known = range(len(numbers)) if labels is None else np.flatnonzero(labels >= 0).tolist()
    return Listing(
        name=f"{data}/{found}",
        names=tuple(f"{found}/{numbers[entry]:08d}" for entry in known),
        open=lambda entry: opened(known[entry]),
        labels=None if labels is None else labels[labels >= 0],
        **facts,
    )


def _reader(data: str, splits: Sequence[str]) -> tuple[Any, str]:
    errors = []
    for split in splits:
        try:
            return create_reader(data, split=split), split
        except (ValueError, KeyError) as error:
            errors.append(f"{split}: {error}")
        except OSError as error:
            raise ClaimsError(f"--data {data!r} cannot be opened: {error}") from error
    absent = f"{data!r} has none of the splits {', '.join(splits)} ({'; '.join(errors)})"
    raise NotApplicable(absent) if splits == SPLIT_NAMES["train"] else ClaimsError(absent)


def _drawn(reader: Any, seed: int, limit: int | None) -> tuple[list[int], dict[int, bytes]]:
    """Read a stream to its end and keep `limit` random pictures: their targets, and PNGs by number in the stream."""
    random = np.random.Generator(np.random.PCG64(seed))
    number = -1

    def keyed():
        nonlocal number
        for number, (picture, target) in enumerate(reader):
            yield random.random(), number, picture, int(target)

    try:
        rows = list(keyed()) if limit is None else nsmallest(limit, keyed(), key=lambda row: row[:2])
    except UNREADABLE as error:
        raise ClaimsError(f"the stream cannot be read after {number + 1} pictures: {error}") from error
    return [target for *_, target in rows], {number: _png(picture) for _, number, picture, _ in rows}


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _labels(
    targets: Sequence[int], class_to_idx: dict[str, int], card: ModelCard, data: str
) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Translate the dataset's labels to the model's, -1 where it has none; None where the split itself has none."""
    values = np.array([-1 if target is None else target for target in targets], dtype=np.int64)
    if (values < 0).any():
        return None, {"note": "no labels in this split"}
    if class_to_idx:
        names = sorted(class_to_idx, key=class_to_idx.__getitem__)
        order = dataset_order(names, card, data)
        unknown = order.left_out([names[value] for value in values])
        known = {name: number for name, number in order.index.items() if name not in order.strangers}
        translation = np.array([known.get(name, -1) for name in names], dtype=np.int64)
        facts = {"classes": order.classes, "class_names": order.names, "note": order.note, "left_out": unknown}
        return translation[values], facts
    classes = card.classes or int(values.max()) + 1
    if values.max() >= classes:
        raise ClaimsError(
            f"label {values.max()} in {data} is not a class of {card.name!r}; allowed: 0 to {classes - 1}"
        )
    check_numbers(values.tolist(), card, data, "take a dataset that names its classes")
    return values, {
        "classes": classes,
        "note": "labels are the dataset's numbers, not checked against the model",
    }


def _open_stored(reader: Any) -> Callable[[int], Encoded]:
    return lambda entry: io.BytesIO(reader[entry][0].read())


def _open_drawn(pictures: Sequence[bytes]) -> Callable[[int], Encoded]:
    return lambda entry: io.BytesIO(pictures[entry])
