"""Where the objects of a chunk's pictures are and what they show, asked of the image set at the first look."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.cues import cues_of
from harness.images.open import ImageSet, ObjectImages
from harness.models.subject import Preprocessing


@dataclass(frozen=True, eq=False)
class ObjectMarks:
    """The masks and boxes of some pictures of a set, in the geometry of the model's input (as `Marks`)."""

    images: ImageSet
    positions: range
    preprocessing: Preprocessing
    device: str

    @cached_property
    def masks(self) -> Tensor | None:
        """Give the object's pixels, bool [image, row, column], or None."""
        if not self.images.has_masks:
            return None
        return self._marked.masks(self.positions, self.preprocessing).to(self.device)

    @cached_property
    def boxes(self) -> tuple[Tensor, ...] | None:
        """Give the object's boxes per image, float [box, corner], or None."""
        if not self.images.has_boxes:
            return None
        return tuple(boxes.to(self.device) for boxes in self._marked.boxes(self.positions, self.preprocessing))

    @cached_property
    def pictures(self) -> Tensor:
        """Load the preprocessed pictures once more, for who reads something of them that the stream no longer holds."""
        return self.images.load(self.positions, self.preprocessing).to(self.device)

    @cached_property
    def cues(self) -> Tensor | None:
        """Give shape and texture, int64 [image, cue] of `harness.images.cues`, or None."""
        found = cues_of(self.images.names[position] for position in self.positions)
        return None if found is None else torch.from_numpy(found).to(self.device)

    @property
    def _marked(self) -> ObjectImages:
        if not isinstance(self.images, ObjectImages):
            raise ClaimsError(f"{self.images.name!r} says that its objects are marked but has no `masks` and `boxes`")
        return self.images
