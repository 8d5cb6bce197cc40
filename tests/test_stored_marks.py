"""Masks and boxes beside stored pictures go through the same transform as the pictures."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from harness.errors import ClaimsError
from harness.images.object_marks import ObjectMarks
from harness.images.open import ObjectImages, open_images
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.settings import Settings
from harness.models.subject import ModelCard, Preprocessing
from harness.results.measurements import Store

SIZES = {"a.png": (60, 40), "b.png": (40, 64), "sub/c.png": (48, 48), "d.png": (90, 50)}
SPOTS = {"a.png": (20, 10, 40, 30), "b.png": (5, 20, 30, 50), "sub/c.png": (0, 0, 20, 40), "d.png": (40, 5, 60, 45)}
LOOKS = [
    Preprocessing(size=(32, 32), mean=mean, std=(1.0,) * 3, crop=crop, crop_mode=mode, interpolation=how)
    for mean, crop, mode, how in (
        ((0.0,) * 3, 0.875, "center", "bicubic"),
        ((0.0,) * 3, 1.0, "squash", "bilinear"),
        ((0.7,) * 3, 0.9, "border", "bicubic"),
    )
]


def card(looks: Preprocessing) -> ModelCard:
    facts = {"family": "f", "arch": "a", "depth": 2, "width": 4, "grid": (4, 4), "prefix": (), "native": "none"}
    return ModelCard(name="model", classes=4, capabilities=frozenset(), preprocessing=looks, **facts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write pictures of a white rectangle on black, their masks and boxes; d has a second, small box."""
    rows = []
    for name, (width, height) in SIZES.items():
        x0, y0, x1, y1 = SPOTS[name]
        pixels = np.zeros((height, width), dtype=np.uint8)
        pixels[y0:y1, x0:x1] = 255
        for place, values in (("images", pixels), ("masks", pixels // 255)):
            (tmp_path / place / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(tmp_path / place / name)
        rows.append([name, x0, y0, x1, y1])
    rows.append(["d.png", 44, 20, 50, 26])
    _write(tmp_path / "boxes.csv", ["file", "x0", "y0", "x1", "y1"], rows)
    _write(tmp_path / "labels.csv", ["file", "index"], [[name, place] for place, name in enumerate(SIZES)])
    return tmp_path


def _write(path: Path, header: list, rows: list) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def opened(folder: Path, looks: Preprocessing = LOOKS[0]) -> ObjectImages:
    images = open_images(str(folder), seed=0, split="test", limit=None, card=card(looks))
    assert isinstance(images, ObjectImages)
    return images


@pytest.mark.parametrize("looks", LOOKS)
def test_masks_and_boxes_lie_where_the_object_lies_in_the_models_input(folder, looks):
    images = opened(folder, looks)
    everything = range(4)
    shown = images.load(everything, looks).mean(dim=1) + looks.mean[0] > (1 + looks.mean[0]) / 2
    masks, boxes = images.masks(everything, looks), images.boxes(everything, looks)
    assert masks.shape == shown.shape == (4, 32, 32)
    assert (masks == shown).float().mean() > 0.97
    for name, mask, found in zip(images.names, masks, boxes, strict=True):
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert found[0].tolist() == [float(corner) for corner in corners]
        assert len(found) == (2 if name == "d.png" else 1)


def test_a_box_that_the_crop_cuts_off_is_left_out(folder):
    rows = [[name, 0, 0, 3, 3] for name in SIZES]
    _write(folder / "boxes.csv", ["file", "x0", "y0", "x1", "y1"], rows)
    images = opened(folder)
    boxes = dict(zip(images.names, images.boxes(range(4), LOOKS[0]), strict=True))
    assert boxes["d.png"].shape == (0, 4)


def test_marks_are_part_of_what_the_set_is(folder):
    before = opened(folder).fingerprint
    picture = folder / "masks" / "a.png"
    values = np.asarray(Image.open(picture)).copy()
    values[0, 0] = 1
    Image.fromarray(values).save(picture)
    assert opened(folder).fingerprint != before


def test_what_is_missing_or_wrong_is_refused_when_the_set_is_opened(folder):
    (folder / "masks" / "a.png").rename(folder / "masks" / "x.png")
    with pytest.raises(ClaimsError, match=r"1 pictures, the first 'a.png', have no mark in .*masks"):
        opened(folder)
    (folder / "masks" / "x.png").rename(folder / "masks" / "a.png")
    header = ["file", "x0", "y0", "x1", "y1"]
    for rows, message in (
        ([["a.png", 0, 0, 3, 3]], "3 pictures, the first 'b.png', have no mark in .*boxes.csv"),
        ([["a.png", 0, "x", 3, 3]], "line 2: .* are no four numbers"),
        ([["a.png", 5, 0, 3, 3]], "line 2: box .* is empty or starts outside"),
    ):
        _write(folder / "boxes.csv", header, rows)
        with pytest.raises(ClaimsError, match=message):
            opened(folder)
    _write(folder / "boxes.csv", ["file", "x0"], [])
    with pytest.raises(ClaimsError, match=r"no column 'y0' among"):
        opened(folder)


def test_a_mask_of_another_size_than_its_picture_is_refused(folder):
    Image.new("L", (3, 4)).save(folder / "masks" / "a.png")
    with pytest.raises(ClaimsError, match=r"a.png has 3 x 4 pixels, its picture 60 x 40"):
        opened(folder)


def test_sets_without_marks_say_so(folder):
    (folder / "boxes.csv").unlink()
    (folder / "masks").rename(folder / "elsewhere")
    images = opened(folder)
    assert (images.has_masks, images.has_boxes) == (False, False)
    for ask in (images.masks, images.boxes):
        with pytest.raises(ClaimsError, match="beside its pictures"):
            ask(range(4), LOOKS[0])
    marks = ObjectMarks(images, range(4), LOOKS[0], "cpu")
    assert (marks.masks, marks.boxes) == (None, None)


def test_a_chunk_of_the_bench_reads_masks_only_when_somebody_asks(folder, monkeypatch):
    images = opened(folder)
    asked = []
    monkeypatch.setattr(type(images), "masks", lambda *_: asked.append(1) or torch.zeros(2, 32, 32, dtype=torch.bool))

    class Subject:
        card = card(LOOKS[0])

    bench = LoadedModel(Subject(), images, Store(None), Settings(batch_size=2))
    chunk = bench.chunk(range(2, 4))
    assert asked == []
    assert chunk.masks.shape == (2, 32, 32)
    assert chunk.masks_of("donor").shape == (2, 32, 32)
    assert asked == [1]
    assert len(chunk.boxes) == 2
