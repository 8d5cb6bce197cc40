"""Where the objects of a chunk's pictures are, read from the image set when somebody first asks for it."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from harness.errors import ClaimsError
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

    @property
    def _marked(self) -> ObjectImages:
        if not isinstance(self.images, ObjectImages):
            raise ClaimsError(f"{self.images.name!r} says that its objects are marked but has no `masks` and `boxes`")
        return self.images
