"""Image sets that are read from disk: a listing of pictures, checked, ordered and preprocessed."""

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.listing import UNREADABLE, WORKERS, Encoded, Listing, decode, digest, fault, threaded
from harness.images.preprocessing import geometry, normalized
from harness.images.sampling import checked_positions, measuring_order
from harness.images.stored_marks import NO_MARKS, ListedMarks, boxes_at_input, mask_at_input
from harness.models.subject import Preprocessing

BLOCK = 256  # pictures checked at a time while opening


@dataclass(frozen=True, kw_only=True)
class StoredImages:
    """Readable pictures in measuring order (an `ImageSet`); `open` gives the encoded picture at a position."""

    name: str
    fingerprint: str
    names: tuple[str, ...]
    labels: np.ndarray | None
    classes: int
    class_names: tuple[str, ...] | None
    left_out: tuple[str, ...]
    note: str
    marks: ListedMarks
    open: Callable[[int], Encoded]
    workers: int = WORKERS

    def __len__(self) -> int:
        return len(self.names)

    def load(self, positions: Sequence[int], preprocessing: Preprocessing) -> Float[Tensor, "image channel row column"]:
        """Decode with a few threads and preprocess as timm does for evaluation, bit for bit.

        Raises:
            ClaimsError: a picture that could be decoded when the set was opened cannot be any more.
        """
        wanted = checked_positions(positions, len(self)).tolist()
        loaded = np.empty((len(wanted), 3, *preprocessing.size), dtype=np.float32)

        def fill(row: int) -> None:
            pixels = geometry(preprocessing)(self._decoded(wanted[row])).numpy()
            np.divide(pixels, np.float32(255), out=loaded[row])
            normalized(loaded[row], preprocessing)

        deque(threaded(fill, range(len(wanted)), self.workers), maxlen=0)
        return torch.from_numpy(loaded)

    @property
    def has_masks(self) -> bool:
        """Tell whether the objects have masks."""
        return self.marks.masks is not None

    @property
    def has_boxes(self) -> bool:
        """Tell whether the objects have boxes."""
        return self.marks.boxes is not None

    def masks(self, positions: Sequence[int], preprocessing: Preprocessing) -> Bool[Tensor, "image row column"]:
        """Give the object's pixels in the geometry of `load`; raises ClaimsError where there are no masks."""
        files = self.marks.masks
        if files is None:
            raise ClaimsError(f"{self.name!r} has no masks/ beside its pictures")

        def read(position: int) -> Tensor:
            return mask_at_input(files[self.names[position]], self._size(position), preprocessing)

        wanted = checked_positions(positions, len(self)).tolist()
        return torch.stack(list(threaded(read, wanted, self.workers)))

    def boxes(self, positions: Sequence[int], preprocessing: Preprocessing) -> tuple[Float[Tensor, "box corner"], ...]:
        """Give the object's boxes per image in the geometry of `load`; raises ClaimsError where there are none."""
        found = self.marks.boxes
        if found is None:
            raise ClaimsError(f"{self.name!r} has no boxes.csv beside its pictures")

        def read(position: int) -> Tensor:
            return boxes_at_input(found[self.names[position]], self._size(position), preprocessing)

        wanted = checked_positions(positions, len(self)).tolist()
        return tuple(threaded(read, wanted, self.workers))

    def _size(self, position: int) -> tuple[int, int]:
        with self.open(position) as file, Image.open(file) as picture:
            return picture.size

    def _decoded(self, position: int) -> Image.Image:
        try:
            return decode(self.open(position))
        except UNREADABLE as error:
            raise ClaimsError(
                f"picture {self.names[position]!r} of {self.name!r} could be read when the run began and cannot be "
                f"now: {error}"
            ) from error


def store_in_order(listing: Listing, seed: int, limit: int | None) -> StoredImages:
    """Put a listing into measuring order and leave out what cannot be decoded.

    All entries, sorted by name, are permuted; then they are decoded from the first on until `limit` of them are
    found readable (None: all). So a larger limit adds pictures at the end and moves none, and every picture that the
    set offers has been decoded once.

    Raises:
        ClaimsError: no picture can be decoded.
    """
    by_name = np.array(sorted(range(len(listing)), key=listing.names.__getitem__), dtype=np.int64)
    kept, left_out = _readable(listing, by_name[measuring_order(len(listing), seed)], limit)
    if not kept:
        raise ClaimsError(f"none of the {len(listing)} pictures of {listing.name!r} can be read: {left_out[0]}, ...")
    marked = "" if listing.marks == NO_MARKS else f" marks {listing.marks.digest()}"
    return StoredImages(
        name=listing.name,
        fingerprint=hashlib.sha256(f"{digest(listing)}{marked} order {seed}".encode()).hexdigest(),
        names=tuple(listing.names[entry] for entry in kept),
        labels=None if listing.labels is None else listing.labels[kept],
        classes=listing.classes,
        class_names=listing.class_names,
        left_out=tuple(left_out),
        note=listing.note,
        marks=listing.marks,
        open=lambda position: listing.open(kept[position]),
    )


def _readable(listing: Listing, order: np.ndarray, limit: int | None) -> tuple[list[int], list[str]]:
    kept: list[int] = []
    left_out: list[str] = []
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK].tolist()
        for entry, reason in zip(block, threaded(lambda entry: fault(listing.open, entry), block), strict=True):
            if limit is not None and len(kept) == limit:
                return kept, left_out
            if reason is None:
                kept.append(entry)
            else:
                left_out.append(f"{listing.names[entry]}: {reason}")
    return kept, left_out
