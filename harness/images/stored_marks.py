"""Objects marked beside stored pictures: masks/ with one PNG per picture, boxes.csv with one row per box.

Both are in pixels of the picture as it is stored: where EXIF turns the picture, they are turned with it, except a mask
that has the size of the upright picture and not that of the stored one. They then go through the very transform of the
picture, so that they lie where the object lies in the model's input.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.decoding import UNREADABLE, Shape, shape_of
from harness.images.preprocessing import geometry
from harness.images.tables import rows
from harness.models.subject import Preprocessing

CORNERS = ("x0", "y0", "x1", "y1")
HALF = 128  # of 255: a pixel of the input belongs to the object if at least half of it does


@dataclass(frozen=True, kw_only=True)
class ListedMarks:
    """Where objects are, by name of the picture: mask files, and boxes float [box, corner]; None without any.

    `places` says where in its table each box of a picture stands.
    """

    masks: Mapping[str, Path] | None = None
    boxes: Mapping[str, np.ndarray] | None = None
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    def check(self, name: str, shape: Shape) -> None:
        """Raise ClaimsError where the mask or a box of a picture does not fit it; reads no pixels."""
        if self.masks is not None:
            try:
                with Image.open(self.masks[name]) as mask:
                    _check_mask(self.masks[name], shape_of(mask).shown, shape)
            except UNREADABLE as error:
                raise ClaimsError(f"mask {self.masks[name]} cannot be read: {error}") from error
        width, height = shape.size
        for box, place in zip((self.boxes or {}).get(name, ()), self.places.get(name, ()), strict=False):
            if box[2] > width or box[3] > height:
                raise ClaimsError(
                    f"{place}: box {box.tolist()} reaches beyond {name!r}, which is stored with {width} x {height} "
                    f"pixels; allowed: 0 <= x0 < x1 <= {width}, 0 <= y0 < y1 <= {height}"
                )

    def digest(self) -> str:
        """Identify the content: sha256 over the bytes of all masks and the numbers of all boxes, by name."""
        hashed = hashlib.sha256()
        for name, path in sorted((self.masks or {}).items()):
            hashed.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        for name, boxes in sorted((self.boxes or {}).items()):
            hashed.update(f"{name} {boxes.tolist()}\n".encode())
        return hashed.hexdigest()


NO_MARKS = ListedMarks()


def list_marks(folder: Path, names: Sequence[str]) -> ListedMarks:
    """Find masks and boxes of all these pictures in a folder that holds masks/, boxes.csv, both or neither.

    The mask of images/a/b.jpg is masks/a/b.png; every pixel that is not black is object.

    Raises:
        ClaimsError: a picture has none where others have one, or a row of the table cannot be read.
    """
    masks = boxes = None
    places: dict[str, tuple[str, ...]] = {}
    if (folder / "masks").is_dir():
        masks = {name: (folder / "masks" / name).with_suffix(".png") for name in names}
        _refuse_gaps([name for name, path in masks.items() if not path.is_file()], folder / "masks")
    if (folder / "boxes.csv").is_file():
        found = _read_boxes(folder / "boxes.csv")
        _refuse_gaps([name for name in names if name not in found], folder / "boxes.csv")
        boxes = {name: np.array([box for _, box in found[name]]) for name in names}
        places = {name: tuple(place for place, _ in found[name]) for name in names}
    return ListedMarks(masks=masks, boxes=boxes, places=places)


def mask_at_input(path: Path, shape: Shape, preprocessing: Preprocessing) -> Bool[Tensor, "row column"]:
    """Read a mask and bring it to the model's input; `shape` is that of the picture.

    Raises ClaimsError for a mask of another size.
    """
    with Image.open(path) as picture:
        own = shape_of(picture)
        marked = Image.fromarray(np.asarray(picture.convert("RGB")).any(axis=-1))
    marked = own.upright(marked)
    _check_mask(path, marked.size, shape)
    if marked.size == shape.size:
        marked = shape.upright(marked)
    return _transformed(np.asarray(marked), preprocessing)


def boxes_at_input(boxes: np.ndarray, shape: Shape, preprocessing: Preprocessing) -> Float[Tensor, "box corner"]:
    """Bring boxes [box, corner] to the model's input, to the pixel; boxes that the crop cuts off are left out."""
    found = []
    for x0, y0, x1, y1 in boxes.tolist():
        canvas = np.zeros(shape.size[::-1], dtype=bool)
        canvas[_ends(y0, y1), _ends(x0, x1)] = True
        inside = _transformed(np.asarray(shape.upright(Image.fromarray(canvas))), preprocessing)
        there, columns = inside.any(dim=1).nonzero().flatten(), inside.any(dim=0).nonzero().flatten()
        if len(there):
            found.append([int(columns[0]), int(there[0]), int(columns[-1]) + 1, int(there[-1]) + 1])
    return torch.tensor(found, dtype=torch.float32).reshape(-1, 4)


def _check_mask(path: Path, size: tuple[int, int], shape: Shape) -> None:
    if size not in (shape.size, shape.shown):
        upright = f", {shape.shown[0]} x {shape.shown[1]} upright" if shape.shown != shape.size else ""
        raise ClaimsError(
            f"mask {path} has {size[0]} x {size[1]} pixels, its picture {shape.size[0]} x {shape.size[1]}{upright}"
        )


def _ends(start: float, stop: float) -> slice:
    return slice(round(start), max(round(stop), round(start) + 1))


def _transformed(marked: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    # Bilinear: the overshoot of a bicubic filter would move the edge that half of 255 stands for. The mean colour
    # fills what a border adds, which is no object.
    plain = replace(preprocessing, interpolation="bilinear", mean=(0.0,) * len(preprocessing.mean))
    return geometry(plain)(Image.fromarray(marked.astype(np.uint8) * 255).convert("RGB"))[0] >= HALF


def _read_boxes(table: Path) -> dict[str, list[tuple[str, list[float]]]]:
    found: dict[str, list[tuple[str, list[float]]]] = {}
    for place, row in rows(table, ("file", *CORNERS)):
        found.setdefault(row["file"], []).append((place, _corners(row, place)))
    return found


def _corners(row: Mapping[str, str], place: str) -> list[float]:
    try:
        x0, y0, x1, y1 = (float(row[corner]) for corner in CORNERS)
    except (TypeError, ValueError):
        raise ClaimsError(f"{place}: {[row[corner] for corner in CORNERS]} are no four numbers") from None
    if not (0 <= x0 < x1 and 0 <= y0 < y1):
        raise ClaimsError(
            f"{place}: box {[x0, y0, x1, y1]} is empty or starts outside; allowed: 0 <= x0 < x1, 0 <= y0 < y1"
        )
    return [x0, y0, x1, y1]


def _refuse_gaps(unmarked: Sequence[str], where: Path) -> None:
    if unmarked:
        raise ClaimsError(f"{len(unmarked)} pictures, the first {unmarked[0]!r}, have no mark in {where}")
