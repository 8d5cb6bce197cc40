"""What every source of stored pictures comes down to: names, labels and the bytes of each picture."""

import hashlib
import io
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from os import cpu_count
from typing import TypeVar

import numpy as np
from PIL import Image

from harness.errors import ClaimsError
from harness.images.stored_marks import NO_MARKS, ListedMarks

EDGE = 4096  # bytes of a picture's file that count for its identity, at either end
BLOCK = 256  # files hashed in one task
WORKERS = min(4, cpu_count() or 1)
Encoded = io.BytesIO | io.BufferedReader  # a picture as it is stored
In = TypeVar("In")
Out = TypeVar("Out")
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Stored pictures in the order of their source, before any of them is read.

    `open` gives the encoded picture of an entry, from any thread; `labels` is int64 [entry] below `classes` or None
    (then `classes` is 0), `note` says how labels were found and what was passed over, `marks` where objects are.
    """

    name: str
    names: tuple[str, ...]
    open: Callable[[int], Encoded]
    labels: np.ndarray | None = None
    classes: int = 0
    class_names: tuple[str, ...] | None = None
    note: str = ""
    marks: ListedMarks = NO_MARKS

    def __post_init__(self) -> None:
        if not self.names:
            raise ClaimsError(f"no pictures in {self.name!r}")
        if self.labels is not None and len(self.labels) != len(self.names):
            raise ClaimsError(f"{len(self.names)} pictures but {len(self.labels)} labels in {self.name!r}")

    def __len__(self) -> int:
        return len(self.names)


def decode(file: Encoded) -> Image.Image:
    """Decode a picture to RGB as timm's datasets do; raises one of UNREADABLE."""
    with file, Image.open(file) as picture:
        return picture.convert("RGB")


def fault(open_entry: Callable[[int], Encoded], entry: int) -> str | None:
    """Say why a picture cannot be decoded, or None; JPEGs at an eighth of their size, which still reads every byte."""
    try:
        with open_entry(entry) as file, Image.open(file) as picture:
            picture.draft("RGB", (1, 1))
            picture.convert("RGB")
    except UNREADABLE as error:
        return f"{type(error).__name__}: {error}".replace("\n", " ")
    return None


def digest(listing: Listing) -> str:
    """Identify the content: sha256 over (name, size in bytes, label, first and last 4 kB) of all entries by name.

    Neither the place of the folder nor the time stamps count. A file of more than 8 kB that is changed in its middle
    only, at the same size, keeps its identity: hashing 50,000 whole pictures would take minutes.
    """
    labels = [None] * len(listing) if listing.labels is None else listing.labels.tolist()
    blocks = threaded(lambda start: _edges(listing, start), range(0, len(listing), BLOCK))
    rows = zip(listing.names, labels, chain.from_iterable(blocks), strict=True)
    hashed = hashlib.sha256()
    for name, label, (size, edges) in sorted(rows, key=lambda row: row[0]):
        hashed.update(json.dumps([name, size, label, edges]).encode())
    return hashed.hexdigest()


def threaded(work: Callable[[In], Out], items: Iterable[In], workers: int = WORKERS) -> Iterator[Out]:
    """Map over items with a few threads, in order."""
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(work, items)


def _edges(listing: Listing, start: int) -> list[tuple[int, str]]:
    """Hash a block of entries at a time, for a task of a thread costs more than a small file."""
    return [_edge(listing, entry) for entry in range(start, min(start + BLOCK, len(listing)))]


def _edge(listing: Listing, entry: int) -> tuple[int, str]:
    """Hash both ends of a file; an entry that cannot even be opened counts as empty and is named when it is checked."""
    try:
        with listing.open(entry) as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            hashed = hashlib.sha256(file.read(EDGE))
            file.seek(max(0, size - EDGE))
            hashed.update(file.read(EDGE))
    except OSError:
        return 0, ""
    return size, hashed.hexdigest()
