"""The image set that needs no download: procedural pictures, rendered in memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate

from harness.fingerprint import fingerprint
from harness.fixtures import pictures
from harness.fixtures.attributes import main_attributes
from harness.fixtures.vocabulary import SUPERCLASS_OF
from harness.images.preprocessing import normalized
from harness.images.procedural_switches import EmbeddedWorld
from harness.images.sampling import checked_positions, measuring_order
from harness.models.subject import Preprocessing

Split = Literal["test", "train"]

COUNTS = {"test": 2_000, "train": 10_000}
PICTURE_SEED = 0  # of the pictures themselves; their order has a seed of its own
DEFAULT = EmbeddedWorld()


@dataclass(frozen=True, kw_only=True)
class EmbeddedImages:
    """Procedural pictures in measuring order (an `ImageSet`); rendered at the first look at them, then kept.

    `seed` fixes the order, `limit` cuts it. With several objects, label, mask and box are those of the main object, the
    largest; `rendered` holds the others and all causes. The fingerprint covers the code of the generator, its seed,
    split, size, switches and count, and the seed of the order.
    """

    split: Split
    seed: int
    limit: int | None = None
    world: EmbeddedWorld = DEFAULT

    class_names = pictures.CLASS_NAMES
    classes = len(pictures.CLASS_NAMES)
    superclasses = SUPERCLASS_OF  # the superclass of every class, by number
    left_out = ()
    note = "procedural pictures, no download"
    has_boxes = True
    has_masks = True

    def __len__(self) -> int:
        count = COUNTS[self.split]
        return count if self.limit is None else min(self.limit, count)

    @property
    def name(self) -> str:
        """Name the set and what was turned."""
        turned = [str(self.world.switches)] if self.world.switches != DEFAULT.switches else []
        sized = [f"size={self.world.size}"] if self.world.size != DEFAULT.size else []
        return ":".join([f"embedded/{self.split}", *filter(None, [",".join(turned + sized)])])

    @cached_property
    def fingerprint(self) -> str:
        """Identify generator, arguments and order."""
        arguments = (
            PICTURE_SEED,
            self.split,
            self.world.size,
            repr(self.world.switches),
            COUNTS[self.split],
            self.seed,
        )
        return hashlib.sha256(f"{fingerprint(pictures.render)} {arguments!r}".encode()).hexdigest()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name the pictures by their index in the generator."""
        return tuple(f"{self.split}/{index}" for index in self._order)

    @cached_property
    def labels(self) -> np.ndarray:
        """Give the shape class per picture, int64 [picture]."""
        return self.rendered.labels

    def load(self, positions: Sequence[int], preprocessing: Preprocessing) -> Float[Tensor, "image channel row column"]:
        """Resize to the model's input size where it differs: bilinear if the model asks for it, else bicubic."""
        picked = torch.from_numpy(self.rendered.images[self._places(positions)]).float() / 255
        if tuple(picked.shape[-2:]) != preprocessing.size:
            mode = "bilinear" if preprocessing.interpolation == "bilinear" else "bicubic"
            picked = interpolate(picked, preprocessing.size, mode=mode, antialias=True).clamp(0, 1)
        return torch.from_numpy(normalized(picked.numpy(), preprocessing))

    def masks(self, positions: Sequence[int], preprocessing: Preprocessing) -> Bool[Tensor, "image row column"]:
        """Give the main object's pixels at the model's input size; a resized pixel counts if most of it is object."""
        picked = torch.from_numpy(self.rendered.masks[self._places(positions)])
        if tuple(picked.shape[-2:]) == preprocessing.size:
            return picked
        resized = interpolate(picked[:, None].float(), preprocessing.size, mode="bilinear", antialias=True)
        return resized[:, 0] >= 0.5

    def boxes(self, positions: Sequence[int], preprocessing: Preprocessing) -> tuple[Float[Tensor, "box corner"], ...]:
        """Give the main object's one box per image, in pixels of the model's input: x0 y0 x1 y1, the ends exclusive."""
        picked = torch.from_numpy(self.rendered.boxes[self._places(positions)]).float()
        rows, columns = preprocessing.size
        return (picked[:, None] * torch.tensor([columns, rows, columns, rows]) / self.world.size).unbind()

    @cached_property
    def attributes(self) -> dict[str, np.ndarray]:
        """Give the attributes of the main object or the picture, int64 [picture], -1 where there is none."""
        return main_attributes(self.rendered)

    @cached_property
    def rendered(self) -> pictures.Pictures:
        """Give pictures, masks and boxes of all objects, and all causes, in measuring order."""
        return pictures.render(
            self._order, split=self.split, seed=PICTURE_SEED, size=self.world.size, switches=self.world.switches
        )

    def _places(self, positions: Sequence[int]) -> np.ndarray:
        return checked_positions(positions, len(self))

    @cached_property
    def _order(self) -> np.ndarray:
        return measuring_order(COUNTS[self.split], self.seed)[: len(self)]
