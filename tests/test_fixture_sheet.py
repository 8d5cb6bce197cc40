"""The sheet shows fifty pictures, with the pixels of the generator above the masks."""

import sys

import numpy as np
from PIL import Image

from harness.fixtures import sheet
from harness.fixtures.pictures import render


def test_the_sheet_shows_pictures_by_class_above_their_masks(tmp_path, monkeypatch) -> None:
    out = tmp_path / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["harness.fixtures.sheet", str(out)])
    sheet.main()
    shown = np.asarray(Image.open(out))
    step = sheet.SIZE * sheet.ZOOM + sheet.MARGIN
    assert shown.shape == (len(sheet.ROWS) * (sheet.LINE + 2 * step) + sheet.MARGIN, 10 * step + sheet.MARGIN, 3)
    assert len(sheet.ROWS) == 5
    pictures = render(np.arange(10), split="test", size=sheet.SIZE)
    place = int(np.flatnonzero(pictures.labels == 3)[0])
    upper, left = sheet.MARGIN + sheet.LINE, sheet.MARGIN + 3 * step
    small = shown[
        upper : upper + sheet.SIZE * sheet.ZOOM : sheet.ZOOM, left : left + sheet.SIZE * sheet.ZOOM : sheet.ZOOM
    ]
    same = (small == pictures.images[place].transpose(1, 2, 0)).all(axis=-1)
    assert same.mean() > 0.9  # all but the outline of the box
    lower = upper + step - sheet.MARGIN // 2
    mask = shown[
        lower : lower + sheet.SIZE * sheet.ZOOM : sheet.ZOOM, left : left + sheet.SIZE * sheet.ZOOM : sheet.ZOOM
    ]
    assert np.array_equal(mask[..., 0] == 255, pictures.masks[place])
