"""What a training sees: pictures as one array, with their labels."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.errors import ClaimsError, NotApplicable
from harness.models.subject import Preprocessing

SIDE = 28  # pixels to which pictures are made smaller, as in the sources (MNIST)
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow's conversion to "L"
LOADED = 256  # pictures at a time


@dataclass(frozen=True)
class TrainingPictures:
    """Pictures scaled to [-1, 1] [picture, channel, row, column] and their labels int64 [picture], below `classes`."""

    values: Float[Tensor, "picture channel row column"] = field(repr=False)
    labels: Int[Tensor, "picture"] = field(repr=False)
    classes: int

    def __len__(self) -> int:
        return len(self.labels)


def of_known_classes(train: TrainingPictures, test: TrainingPictures) -> tuple[TrainingPictures, TrainingPictures]:
    """Count the classes that there are training pictures of, from 0 on; test pictures of other classes are left out.

    Raises NotApplicable for training pictures of one class, and for test pictures of which none is of these classes.
    """
    known, numbers = train.labels.unique(return_inverse=True)
    kept = torch.isin(test.labels, known)
    if len(known) < 2 or not kept.any():
        raise NotApplicable(f"training pictures are of {len(known)} class(es), and {int(kept.sum())} others of these")
    return (
        replace(train, labels=numbers, classes=len(known)),
        replace(
            test, values=test.values[kept], labels=torch.searchsorted(known, test.labels[kept]), classes=len(known)
        ),
    )


def grey_pictures(images: Any, count: int | None = None) -> TrainingPictures:
    """Load the first pictures of an image set, grey, at its own size if that is smaller than SIDE.

    Raises ClaimsError for pictures without labels.
    """
    if images.labels is None:
        raise ClaimsError(f"{images.name}: trainings need labelled pictures, and these have no labels")
    side = min(SIDE, getattr(images, "side", SIDE))
    looks = Preprocessing(size=(side, side), mean=(0.5,) * 3, std=(0.5,) * 3)
    number = len(images) if count is None else min(count, len(images))
    weights = torch.tensor(GREY)[None, :, None, None]
    parts = [
        (images.load(range(start, min(start + LOADED, number)), looks) * weights).sum(dim=1, keepdim=True)
        for start in range(0, number, LOADED)
    ]
    labels = torch.from_numpy(np.asarray(images.labels[:number], dtype=np.int64))
    return TrainingPictures(values=torch.cat(parts), labels=labels, classes=images.classes)
