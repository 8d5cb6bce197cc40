"""The pictures of one chunk, as a pass takes them, and what is told of them."""

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from harness.images.batch import Batch
from harness.images.object_marks import ObjectMarks
from harness.images.open import ImageSet
from harness.images.sampling import donors
from harness.models.subject import Preprocessing


class Conditions(Protocol):
    """What a run decides of every chunk (see `harness.measurement.source.Settings`)."""

    @property
    def seed(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> str: ...


def chunk_of(images: ImageSet, positions: range, preprocessing: Preprocessing, conditions: Conditions) -> Batch:
    """Describe one chunk: donors and labels are fixed by the order of the images and the grid."""
    labels, device = images.labels, conditions.device
    return Batch(
        positions=positions,
        donors=torch.from_numpy(donors(len(positions))).to(device),
        labels=None if labels is None else torch.from_numpy(labels[positions.start : positions.stop]).to(device),
        seed=conditions.seed,
        marks=ObjectMarks(images, positions, preprocessing, device),
    )


def load_pictures(
    images: ImageSet, positions: range, preprocessing: Preprocessing, conditions: Conditions
) -> Float[Tensor, "image channel row column"]:
    """Load preprocessed pictures onto the device and in the dtype of the run."""
    batch = images.load(positions, preprocessing)
    return batch.to(device=conditions.device, dtype=getattr(torch, conditions.dtype))
