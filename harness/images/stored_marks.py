"""Objects marked beside stored pictures: masks/ with one PNG per picture, boxes.csv with one row per box.

Both are in pixels of the stored picture and go through the very transform of the picture, so that they lie where the
object lies in the model's input.
"""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.preprocessing import geometry
from harness.models.subject import Preprocessing

CORNERS = ("x0", "y0", "x1", "y1")
HALF = 128  # of 255: a pixel of the input belongs to the object if at least half of it does


@dataclass(frozen=True, kw_only=True)
class ListedMarks:
    """Where objects are, by name of the picture: mask files, and boxes float [box, corner]; None without any."""

    masks: Mapping[str, Path] | None = None
    boxes: Mapping[str, np.ndarray] | None = None

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
    if (folder / "masks").is_dir():
        masks = {name: (folder / "masks" / name).with_suffix(".png") for name in names}
        _refuse_gaps([name for name, path in masks.items() if not path.is_file()], folder / "masks")
    if (folder / "boxes.csv").is_file():
        boxes = _read_boxes(folder / "boxes.csv")
        _refuse_gaps([name for name in names if name not in boxes], folder / "boxes.csv")
        boxes = {name: boxes[name] for name in names}
    return ListedMarks(masks=masks, boxes=boxes)


def mask_at_input(path: Path, size: tuple[int, int], preprocessing: Preprocessing) -> Bool[Tensor, "row column"]:
    """Read a mask and bring it to the model's input; `size` (width, height) is that of the picture.

    Raises ClaimsError for a mask of another size.
    """
    with Image.open(path) as picture:
        marked = np.asarray(picture.convert("RGB")).any(axis=-1)
    if marked.shape != size[::-1]:
        raise ClaimsError(
            f"mask {path} has {marked.shape[1]} x {marked.shape[0]} pixels, its picture {size[0]} x {size[1]}"
        )
    return _transformed(marked, preprocessing)


def boxes_at_input(
    boxes: np.ndarray, size: tuple[int, int], preprocessing: Preprocessing
) -> Float[Tensor, "box corner"]:
    """Bring boxes [box, corner] to the model's input, to the pixel; boxes that the crop cuts off are left out."""
    found = []
    for x0, y0, x1, y1 in boxes.tolist():
        canvas = np.zeros(size[::-1], dtype=bool)
        canvas[_ends(y0, y1), _ends(x0, x1)] = True
        inside = _transformed(canvas, preprocessing)
        rows, columns = inside.any(dim=1).nonzero().flatten(), inside.any(dim=0).nonzero().flatten()
        if len(rows):
            found.append([int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1])
    return torch.tensor(found, dtype=torch.float32).reshape(-1, 4)


def _ends(start: float, stop: float) -> slice:
    return slice(round(start), max(round(stop), round(start) + 1))


def _transformed(marked: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    # Bilinear: the overshoot of a bicubic filter would move the edge that half of 255 stands for. The mean colour
    # fills what a border adds, which is no object.
    plain = replace(preprocessing, interpolation="bilinear", mean=(0.0,) * len(preprocessing.mean))
    return geometry(plain)(Image.fromarray(marked.astype(np.uint8) * 255).convert("RGB"))[0] >= HALF


def _read_boxes(table: Path) -> dict[str, np.ndarray]:
    found: dict[str, list[list[float]]] = {}
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if missing := {"file", *CORNERS} - set(reader.fieldnames or []):
            raise ClaimsError(f"{table} line 1: no columns {sorted(missing)}; needed: file,{','.join(CORNERS)}")
        for row in reader:
            found.setdefault(row["file"], []).append(_corners(row, f"{table} line {reader.line_num}"))
    return {name: np.array(rows) for name, rows in found.items()}


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
