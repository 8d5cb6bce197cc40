"""Contact sheets: a unit's optimized picture, its top pictures, and where in them it is active."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from harness.images.thumbnails import Picture, pixels_of, strip
from harness.models.sites import Site
from harness.readouts.members import MemberContext
from harness.readouts.units.activations import Table, patch_part, unit_rows

TOPS = 5  # natural pictures beside an optimized one
SIDE = 64  # pixels of a picture on a sheet
MARGIN, LABEL = 3, 84

Pixels = Float[Tensor, "picture channel row column"]


def unit_row(
    place: MemberContext, block: int, site: Site, unit: int
) -> tuple[Pixels, Float[Tensor, "picture row column"]]:
    """Give the top pictures of a unit on the [0, 1] scale, and its map on each, scaled to [0, 1] over all of them."""
    subject = place.subject
    where = unit_rows(place, Table(block, site)).where[:TOPS, unit]
    batch = torch.cat([place.load(range(int(one), int(one) + 1)) for one in where])
    with torch.no_grad():
        stream = subject.start(batch)
        for earlier in range(block):
            stream = subject.step(earlier, stream)
        shape = subject.unit_shape(block)
        values = patch_part(subject.watch(block, stream, (site,))[1][site], shape)[..., unit].float().cpu()
    low, high = values.min(), values.max()
    maps = ((values - low) / (high - low).clamp(min=1e-12)).reshape(-1, shape.rows, shape.columns)
    return pixels_of(batch, subject.card.preprocessing), maps


def unit_strip(place: MemberContext, block: int, unit: int, optimized: Float[Tensor, "channel row column"]) -> Picture:
    """Draw one unit for a report: its optimized picture, then every top picture beside its map."""
    natural, maps = unit_row(place, block, "units", unit)
    parts = [optimized.cpu()]
    for picture, heat in zip(natural, maps, strict=True):
        size = tuple(picture.shape[-2:])
        parts += [picture, torch.nn.functional.interpolate(heat[None, None], size=size)[0].expand(3, -1, -1)]
    caption = (
        "Left the optimized picture; then each of its top pictures with the map of its activation there "
        "(white: most active)."
    )
    return strip(f"unit {unit} of block {block}", caption, parts)


def sheet(
    place: MemberContext, block: int, site: Site, units: Sequence[int], optimized: Sequence[tuple[str, Pixels]]
) -> Image.Image:
    """Draw a row per unit: its optimized pictures under each heading, its top pictures, and their maps below them."""
    step, columns = SIDE + MARGIN, len(optimized) + TOPS
    drawn = Image.new("RGB", (LABEL + columns * step, 14 + len(units) * (2 * step + MARGIN)), "white")
    pen = ImageDraw.Draw(drawn)
    for column, title in enumerate([*(title for title, _ in optimized), "top pictures, activation below"]):
        pen.text((LABEL + column * step, 1), title, fill="black")
    for row, unit in enumerate(units):
        top = 14 + row * (2 * step + MARGIN)
        natural, maps = unit_row(place, block, site, int(unit))
        best = unit_rows(place, Table(block, site)).top[0, unit]
        pen.text((2, top), f"{site}\nblock {block}\n{unit}\ntop {best:.2f}", fill="black")
        for column, (_, pixels) in enumerate(optimized):
            drawn.paste(_shown(pixels[row]), (LABEL + column * step, top))
        for column, (picture, heat) in enumerate(zip(natural, maps, strict=True), start=len(optimized)):
            drawn.paste(_shown(picture), (LABEL + column * step, top))
            drawn.paste(_shown(heat[None].expand(3, -1, -1)), (LABEL + column * step, top + step))
    return drawn


def _shown(pixels: Float[Tensor, "channel row column"]) -> Image.Image:
    bytes_ = (pixels.detach().cpu().float() * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(bytes_)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
