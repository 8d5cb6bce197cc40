"""Small pictures for a reader: several side by side in one file, as text that a page can hold."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from harness.models.subject import Preprocessing

MOST_SIDE = 96  # pixels of a picture in a strip
LOSSLESS = 64  # pixels up to which a strip is PNG; larger ones are JPEG, or a page of them takes megabytes
QUALITY = 85
GAP = 2  # white pixels between the pictures of a strip


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a report: `media` as in HTML, `data` the file in base64."""

    title: str
    caption: str
    media: str
    data: str


def strip(title: str, caption: str, pixels: Sequence[Float[Tensor, "channel row column"]]) -> Picture:
    """Put pictures on the [0, 1] scale side by side into one; larger ones are made smaller first."""
    return sheet(title, caption, [pixels])


def sheet(title: str, caption: str, rows: Sequence[Sequence[Float[Tensor, "channel row column"]]]) -> Picture:
    """Put rows of as many pictures each, of one size, on the [0, 1] scale, below one another; otherwise as `strip`."""
    whole = _joined([_joined([np.asarray(_small(one)) for one in row], axis=1) for row in rows], axis=0)
    image, file = Image.fromarray(whole), BytesIO()
    lossless = image.height <= LOSSLESS
    image.save(file, "PNG" if lossless else "JPEG", **({} if lossless else {"quality": QUALITY}))
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return Picture(title=title, caption=caption, media="image/png" if lossless else "image/jpeg", data=data)


def pixels_of(
    images: Float[Tensor, "image channel row column"], preprocessing: Preprocessing
) -> Float[Tensor, "image channel row column"]:
    """Undo the normalization of a model's input: pixels on the [0, 1] scale."""
    mean, std = (torch.tensor(part)[:, None, None] for part in (preprocessing.mean, preprocessing.std))
    return (images.float().cpu() * std + mean).clamp(0, 1)


def _joined(parts: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Join pictures [row, column, channel] with white between them."""
    shape = list(parts[0].shape)
    shape[axis] = GAP
    white = np.full(shape, 255, dtype=np.uint8)
    return np.concatenate([piece for part in parts for piece in (white, part)][1:], axis=axis)


def _small(pixels: Tensor) -> Image.Image:
    """Make an 8-bit picture of at most MOST_SIDE pixels a side; one channel is grey."""
    colour = pixels.detach().float().cpu().expand(3, -1, -1)
    image = Image.fromarray((colour * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy())
    if max(image.size) > MOST_SIDE:
        image.thumbnail((MOST_SIDE, MOST_SIDE))
    return image
