"""Pictures that show a reader what a claim did to pictures, or what it found in a model."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from harness.interventions.intervention import PixelEdit
from harness.interventions.pixels import edit_pictures
from harness.measurement.loaded_model import Bench
from harness.measurement.on_images import SeveralBenches
from harness.measurement.plan import Plan, Weights
from harness.models.subject import Preprocessing
from harness.readouts.members import Place

MOST_PICTURES = 12  # of one outcome
SHOWN = 3  # of the pictures that an arm edits
MOST_EDITS = 12  # shown beside a picture
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


@runtime_checkable
class Shows(Protocol):
    """A readout that leaves pictures of what it found, drawn once its numbers are there."""

    def pictures(self, place: Place) -> Sequence[Picture]:
        """Draw them; what is costly should come from `place.once` or its folder."""


def pictures_of(plan: Plan, bench: Bench | SeveralBenches, pictures: int) -> tuple[Picture, ...]:
    """Collect what the arms of a plan do to pictures, and what its readouts show, each once per model and weights.

    `pictures` is how many a census looks at, as in the ledger.
    """
    found: list[Picture] = _edited(plan, bench)
    asked: list[tuple[object, Bench, Weights]] = []
    for arm in plan.arms.values():
        one = (arm.readout, bench.bench_of(arm), arm.weights)
        if not isinstance(arm.readout, Shows) or one in asked:
            continue
        asked.append(one)
        most = min(pictures, bench.usable, bench.settings.max_images or pictures)
        found += arm.readout.pictures(one[1].place(arm.weights, most, _free))
    return tuple(found[:MOST_PICTURES])


def strip(title: str, caption: str, pixels: Sequence[Float[Tensor, "channel row column"]]) -> Picture:
    """Put pictures on the [0, 1] scale side by side into one; larger ones are made smaller first."""
    parts: list[np.ndarray] = []
    for one in pixels:
        part = np.asarray(_small(one))
        parts += [np.full((part.shape[0], GAP, 3), 255, dtype=np.uint8)] if parts else []
        parts.append(part)
    side_by_side, file = Image.fromarray(np.concatenate(parts, axis=1)), BytesIO()
    lossless = side_by_side.height <= LOSSLESS
    side_by_side.save(file, "PNG" if lossless else "JPEG", **({} if lossless else {"quality": QUALITY}))
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return Picture(title=title, caption=caption, media="image/png" if lossless else "image/jpeg", data=data)


def pixels_of(
    images: Float[Tensor, "image channel row column"], preprocessing: Preprocessing
) -> Float[Tensor, "image channel row column"]:
    """Undo the normalization of a model's input: pixels on the [0, 1] scale."""
    mean, std = (torch.tensor(part)[:, None, None] for part in (preprocessing.mean, preprocessing.std))
    return (images.float().cpu() * std + mean).clamp(0, 1)


def _edited(plan: Plan, bench: Bench | SeveralBenches) -> list[Picture]:
    """Show the first pictures as they are beside what every arm makes of their pixels, as the first model sees them."""
    found: dict[PixelEdit, str] = {}
    for name, arm in plan.arms.items():
        one = bench.bench_of(arm)
        if arm.intervention.pixels is not None and one is bench.benches[0] and len(found) < MOST_EDITS:
            found.setdefault(arm.intervention.pixels, name)
    if not found:
        return []
    one, places = bench.benches[0], range(min(2 * SHOWN, bench.usable))
    chunk, looks = one.chunk(places), one.subject.card.preprocessing
    loaded = one.load(places)
    rows = [pixels_of(loaded, looks)]
    rows += [pixels_of(edit_pictures(loaded, edit, chunk, looks)[0], looks) for edit in found]
    caption = f"As it is, then as in the arms {'; '.join(found.values())}."
    return [
        strip(f"Picture {one.images.names[place]}", caption, [row[place] for row in rows]) for place in places[:SHOWN]
    ]


def _small(pixels: Tensor) -> Image.Image:
    """Make an 8-bit picture of at most MOST_SIDE pixels a side; one channel is grey."""
    colour = pixels.detach().float().cpu().expand(3, -1, -1)
    image = Image.fromarray((colour * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy())
    if max(image.size) > MOST_SIDE:
        image.thumbnail((MOST_SIDE, MOST_SIDE))
    return image


def _free(blocks: float) -> None:
    """Charge nobody: the numbers were there before."""
