"""Images measured together, as interventions and readouts see them: places, donors, labels, and what marks objects."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from harness.errors import ClaimsError
from harness.models.subject import ModelCard

Whose = Literal["own", "donor"]


@runtime_checkable
class Marks(Protocol):
    """What marks the objects of a chunk's pictures, in the geometry of the model's input; read at the first look."""

    @property
    def masks(self) -> Bool[Tensor, "image row column"] | None:
        """Give the object's pixels, None where the image set has no masks."""

    @property
    def boxes(self) -> tuple[Float[Tensor, "box corner"], ...] | None:
        """Give the object's boxes per image, x0 y0 x1 y1 with exclusive ends; None where the image set has none."""

    @property
    def pictures(self) -> Float[Tensor, "image channel row column"]:
        """Give the preprocessed pictures."""

    @property
    def cues(self) -> Int[Tensor, "image cue"] | None:
        """Give the numbers of the categories whose shape and texture each image shows; None where none are told."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images measured together: their positions in measuring order, their donors and labels.

    `donors` [image] points into the chunk: each image's neighbour, with which it exchanges (an odd last one: itself).
    Where both are of one class the exchange takes place and does not count (`harness.images.sampling.exchange_pairs`).
    `marks` tells where the objects are; `scores` holds what a pass computed for the edits that ask for it, [image,
    patch] each, and `fits` what was fitted for them.
    """

    positions: range
    donors: Int[Tensor, "image"]
    labels: Int[Tensor, "image"] | None
    seed: int
    marks: Any = None  # `Marks`, or None: whoever checked its type would read what nobody asked for yet
    scores: Mapping[Any, Tensor] = field(default_factory=dict)
    fits: Mapping[Any, Any] = field(default_factory=dict)

    @property
    def alone(self) -> "Batch":
        """Give the chunk to who does not exchange: its donors lie outside, so that using them is an error."""
        return replace(self, donors=torch.full_like(self.donors, len(self.donors)))

    @property
    def masks(self) -> Bool[Tensor, "image row column"] | None:
        """Give the object's pixels of every image, None where the image set has no masks."""
        return None if self.marks is None else self.marks.masks

    @property
    def boxes(self) -> tuple[Float[Tensor, "box corner"], ...] | None:
        """Give the object's boxes of every image, None where the image set has none."""
        return None if self.marks is None else self.marks.boxes

    def masks_of(self, whose: Whose) -> Bool[Tensor, "image row column"]:
        """Give the images' own masks, or those of their donors; raises ClaimsError without masks."""
        masks = self.masks
        if masks is None:
            raise ClaimsError("object masks are needed, but the image set has none; name 'masks' in the claim's needs")
        return masks if whose == "own" else masks[self.donors.to(masks.device)]

    def boxes_of(self, whose: Whose) -> tuple[Float[Tensor, "box corner"], ...]:
        """Give the images' own boxes, or those of their donors; raises ClaimsError without boxes."""
        boxes = self.boxes
        if boxes is None:
            raise ClaimsError("object boxes are needed, but the image set has none; name 'boxes' in the claim's needs")
        return boxes if whose == "own" else tuple(boxes[donor] for donor in self.donors.tolist())

    @property
    def pictures(self) -> Float[Tensor, "image channel row column"]:
        """Give the preprocessed pictures once more; ClaimsError for a chunk that was made without them."""
        if self.marks is None:
            raise ClaimsError("this chunk was made without its image set, and has no pictures")
        return self.marks.pictures

    @property
    def cues(self) -> Int[Tensor, "image cue"]:
        """Give shape and texture of every image, by number of category; ClaimsError where the image set tells none."""
        if self.marks is None or (cues := self.marks.cues) is None:
            raise ClaimsError("shape and texture are needed; name 'cues' in the claim's needs")
        return cues

    def generator(self, purpose: int) -> torch.Generator:
        """Make the random generator of this chunk for one purpose; the same whatever else is measured."""
        words = f"{self.seed}/{self.positions.start}/{self.positions.stop}/{purpose}"
        return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(words.encode()).digest()[:7], "big"))


@dataclass(frozen=True)
class ShuffleClass:
    """Resample ablation of the class token: each image receives the class token of its donor."""

    exchanges = True

    def apply(
        self, tokens: Float[Tensor, "image token width"], card: ModelCard, chunk: Batch
    ) -> Float[Tensor, "image token width"]:
        """Return the stream with exchanged class tokens."""
        position = card.prefix.index("class")
        edited = tokens.clone()
        edited[:, position] = tokens[chunk.donors.to(tokens.device), position]
        return edited


def object_patches(masks: Bool[Tensor, "image row column"], grid: tuple[int, int]) -> Bool[Tensor, "image patch"]:
    """Say which patches are object: those of whose pixels at least half are."""
    return (adaptive_avg_pool2d(masks[:, None].float(), grid) >= 0.5).flatten(1)
