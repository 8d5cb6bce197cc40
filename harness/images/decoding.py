"""From stored bytes to the picture that is seen: 8-bit RGB, upright; what has no exact meaning in it is refused."""

import hashlib
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image

READING = 2  # rises with every change of what a stored picture is read as
Encoded = io.BytesIO | io.BufferedReader  # a picture as it is stored
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
SIXTEEN_BITS = ("PNG", "PPM")  # formats whose pictures of mode I hold 16 bits, scaled to all of them
WIDTH, HEIGHT, PHOTOMETRIC = 256, 257, 262  # tags of a TIFF
TIFF = "TIFF"  # Pillow turns these by itself


class Meaningless(ValueError):
    """Say why a picture has no exact meaning in 8-bit RGB."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a picture is stored: (width, height) before it is turned, Pillow's mode, EXIF orientation (1: upright)."""

    size: tuple[int, int]
    mode: str
    orientation: int = 1

    @property
    def shown(self) -> tuple[int, int]:
        """Give width and height of the upright picture."""
        return self.size[::-1] if self.orientation in SIDEWAYS else self.size

    def upright(self, stored: Image.Image) -> Image.Image:
        """Turn what lies in the stored grid as the picture is turned."""
        return stored.transpose(TURNS[self.orientation]) if self.orientation in TURNS else stored


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is kept of a picture that was decoded once: how it is stored, and a hash of the pixels that are seen."""

    shape: Shape
    pixels: str


def decode(file: Encoded) -> Image.Image:
    """Decode a picture to upright RGB, else as timm's datasets do; raises one of UNREADABLE.

    16 bits become 8 by v / 257, rounded, so that black stays black and white white.

    Raises:
        Meaningless: 32-bit and floating-point pictures, and those that are partly transparent.
    """
    with file, Image.open(file) as picture:
        return _decoded(picture, shape_of(picture))


def look(file: Encoded) -> Look:
    """Decode a picture and tell what was seen; raises as `decode`."""
    with file, Image.open(file) as picture:
        shape = shape_of(picture)
        seen = _decoded(picture, shape)
    hashed = hashlib.sha256(repr(seen.size).encode())
    hashed.update(seen.tobytes())
    return Look(shape=shape, pixels=hashed.hexdigest())


def shape_of(picture: Image.Image) -> Shape:
    """Read how a picture is stored from its header, before its pixels are loaded."""
    orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    size = picture.size
    if picture.format == TIFF:
        size = picture.tag_v2[WIDTH], picture.tag_v2[HEIGHT]  # type: ignore[attr-defined]
    return Shape(size=size, mode=picture.mode, orientation=orientation if orientation in TURNS else 1)


def fault(open_entry: Callable[[int], Encoded], entry: int) -> Look | Exception:
    """Look at a picture, or give the reason why it cannot be decoded."""
    try:
        return look(open_entry(entry))
    except UNREADABLE as error:
        return error


def _decoded(picture: Image.Image, shape: Shape) -> Image.Image:
    seen = _rgb(picture)
    return seen if picture.format == TIFF else shape.upright(seen)


def _rgb(picture: Image.Image) -> Image.Image:
    mode = picture.mode
    if mode.startswith("I;16") or (mode == "I" and picture.format in SIXTEEN_BITS):
        return _from_sixteen_bits(picture)
    if mode in ("I", "F"):
        kind = "32-bit integers" if mode == "I" else "floating-point numbers"
        raise Meaningless(f"{kind} have no exact meaning in 8 bits: store it with 8 or 16 bits")
    if picture.has_transparency_data:
        return _without_alpha(picture)
    return picture.convert("RGB")


def _from_sixteen_bits(picture: Image.Image) -> Image.Image:
    if "transparency" in picture.info:
        raise Meaningless("16 bits with a transparent grey: store it without")
    if picture.format == TIFF and picture.tag_v2.get(PHOTOMETRIC) == 0:  # type: ignore[attr-defined]
        raise Meaningless("16 bits in which 0 is white: store it with 0 as black")
    values = np.asarray(picture).astype(np.int64)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")


def _without_alpha(picture: Image.Image) -> Image.Image:
    """Drop an alpha channel that says nothing; what shows through a transparent pixel nobody can know."""
    whole = picture.convert("RGBA")
    if whole.getchannel("A").getextrema() != (255, 255):
        raise Meaningless("partly transparent, and what lies behind is not said: flatten it")
    return whole.convert("RGB")
