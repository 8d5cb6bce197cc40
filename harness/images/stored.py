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
from harness.images.audit import audit
from harness.images.checked import SHARED, Checked, Measured, check
from harness.images.cues import cues_of
from harness.images.decoding import READING, UNREADABLE, Encoded, Shape, decode
from harness.images.identity import Content
from harness.images.listing import WORKERS, Listing, threaded
from harness.images.preprocessing import geometry, normalized
from harness.images.sampling import checked_positions
from harness.images.stored_marks import NO_MARKS, ListedMarks, boxes_at_input, mask_at_input
from harness.models.subject import Preprocessing


@dataclass(frozen=True, kw_only=True)
class StoredImages:
    """Readable pictures in measuring order (an `ImageSet`); `open` gives the encoded picture at a position.

    `audit` says in one line what was found, `shapes` how each is stored, `classes_present` how many classes the whole
    set has pictures of, and `measured` what training pictures must not be among.
    """

    name: str
    fingerprint: str
    names: tuple[str, ...]
    labels: np.ndarray | None
    classes: int
    class_names: tuple[str, ...] | None
    left_out: tuple[str, ...]
    note: str
    audit: str
    marks: ListedMarks
    open: Callable[[int], Encoded]
    shapes: tuple[Shape, ...]
    classes_present: int
    measured: Measured
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
            return mask_at_input(files[self.names[position]], self.shapes[position], preprocessing)

        wanted = checked_positions(positions, len(self)).tolist()
        return torch.stack(list(threaded(read, wanted, self.workers)))

    def boxes(self, positions: Sequence[int], preprocessing: Preprocessing) -> tuple[Float[Tensor, "box corner"], ...]:
        """Give the object's boxes per image in the geometry of `load`; raises ClaimsError where there are none."""
        found = self.marks.boxes
        if found is None:
            raise ClaimsError(f"{self.name!r} has no boxes.csv beside its pictures")

        def read(position: int) -> Tensor:
            return boxes_at_input(found[self.names[position]], self.shapes[position], preprocessing)

        wanted = checked_positions(positions, len(self)).tolist()
        return tuple(threaded(read, wanted, self.workers))

    def _decoded(self, position: int) -> Image.Image:
        try:
            return decode(self.open(position))
        except UNREADABLE as error:
            raise ClaimsError(
                f"picture {self.names[position]!r} of {self.name!r} could be read when the run began and cannot be "
                f"now: {error}"
            ) from error


def store_in_order(
    listing: Listing, seed: int, limit: int | None, apart: StoredImages | None = None, by_class: bool = False
) -> StoredImages:
    """Put a listing into measuring order and leave out what cannot be decoded and what is there already.

    Every picture of the set has been decoded once; `apart` is a set that must not be met again.

    Raises:
        ClaimsError: no picture remains, or what marks an object does not fit its picture.
    """
    content = Content(listing)
    found = check(listing, content, seed, limit, None if apart is None else apart.measured, by_class)
    for entry, look in zip(found.kept, found.looks, strict=True):
        listing.marks.check(listing.names[entry], look.shape)
    parts = [content.digest(), f"reading {READING}", f"order {seed}{' by class' if by_class else ''}"]
    parts += [] if listing.marks == NO_MARKS else [f"marks {listing.marks.digest()}"]
    parts += [] if (cues := cues_of(listing.names)) is None else [f"cues {cues.tolist()}"]
    parts += sorted(one.name for one in found.left_out if one.kind == SHARED)
    return StoredImages(
        name=listing.name,
        fingerprint=hashlib.sha256(" ".join(parts).encode()).hexdigest(),
        names=tuple(listing.names[entry] for entry in found.kept),
        labels=None if listing.labels is None else listing.labels[found.kept],
        classes=listing.classes,
        class_names=listing.class_names,
        left_out=tuple(map(str, found.left_out)),
        note=listing.note,
        audit=_audited(found),
        marks=listing.marks,
        open=lambda position: listing.open(found.kept[position]),
        shapes=tuple(look.shape for look in found.looks),
        classes_present=found.classes_present,
        measured=Measured(content=content, pixels=found.pixels),
    )


def _audited(found: Checked) -> str:
    listing, present = found.listing, found.classes_present
    few = f"; about {present} of the {listing.classes} classes" if present < listing.classes else ""
    count = len(listing) + sum(one.count for one in listing.left_out)
    return audit(count, found.looks, found.left_out, f"{listing.note}{few}")
