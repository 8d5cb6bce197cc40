"""What every source of stored pictures comes down to: names, labels and the bytes of each picture."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from typing import TypeVar

import numpy as np

from harness.errors import ClaimsError
from harness.images.decoding import Encoded
from harness.images.stored_marks import NO_MARKS, ListedMarks
from harness.images.walking import LeftOut

WORKERS = min(4, cpu_count() or 1)
In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Stored pictures in the order of their source, before any of them is read.

    `open` gives the encoded picture of an entry, from any thread; `labels` is int64 [entry] below `classes` or None
    (then `classes` is 0), `note` says how labels were found and what was passed over, `marks` where objects are,
    `left_out` what looks like a picture and is no entry.
    """

    name: str
    names: tuple[str, ...]
    open: Callable[[int], Encoded]
    labels: np.ndarray | None = None
    classes: int = 0
    class_names: tuple[str, ...] | None = None
    note: str = ""
    marks: ListedMarks = NO_MARKS
    left_out: tuple[LeftOut, ...] = ()

    def __post_init__(self) -> None:
        if not self.names:
            raise ClaimsError(f"no pictures in {self.name!r}")
        if self.labels is not None and len(self.labels) != len(self.names):
            raise ClaimsError(f"{len(self.names)} pictures but {len(self.labels)} labels in {self.name!r}")

    def __len__(self) -> int:
        return len(self.names)


def threaded(work: Callable[[In], Out], items: Iterable[In], workers: int = WORKERS) -> Iterator[Out]:
    """Map over items with a few threads, in order."""
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(work, items)
