"""Handwritten digits that scikit-learn ships (1,797 pictures of 8 x 8): real pictures that need no download.

They are for networks that are trained in a run: no model that comes from elsewhere has these ten digits as its classes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from harness.errors import ClaimsError
from harness.images.preprocessing import normalized
from harness.images.procedural import Split
from harness.images.procedural_switches import DIGITS
from harness.images.sampling import checked_positions, measuring_order
from harness.models.subject import ModelCard, Preprocessing

TESTED = 500  # the last ones, by other writers than most of the first (as in scikit-learn's own example)
DARKEST = 16.0


@dataclass(frozen=True, kw_only=True)
class DigitImages:
    """Digits in measuring order (an `ImageSet`); `seed` fixes the order, `limit` cuts it."""

    split: Split
    seed: int
    limit: int | None = None

    class_names = tuple("0123456789")
    classes = 10
    side = 8
    left_out = ()
    note = "scikit-learn's digits, no download"
    has_boxes = False
    has_masks = False

    def __len__(self) -> int:
        return len(self._order)

    @property
    def name(self) -> str:
        """Name the set."""
        return f"{DIGITS}/{self.split}"

    @cached_property
    def fingerprint(self) -> str:
        """Identify the pictures and their order."""
        values, labels = self._all
        content = hashlib.sha256(values.tobytes() + labels.tobytes()).hexdigest()
        return hashlib.sha256(f"{content} {self.split} {self.seed}".encode()).hexdigest()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name the pictures by their places."""
        return tuple(f"{self.split}/{place}" for place in self._order)

    @cached_property
    def labels(self) -> np.ndarray:
        """Give the digits, int64 [picture]."""
        return self._all[1][self._order]

    def load(self, positions: Sequence[int], preprocessing: Preprocessing) -> Float[Tensor, "image channel row column"]:
        """Give grey pictures in three equal channels, resized bicubically where the size differs."""
        chosen = self._order[checked_positions(positions, len(self))]
        grey = torch.from_numpy(self._all[0][chosen])[:, None].expand(-1, 3, -1, -1)
        if tuple(grey.shape[-2:]) != preprocessing.size:
            grey = interpolate(grey, preprocessing.size, mode="bicubic", antialias=True).clamp(0, 1)
        return torch.from_numpy(normalized(grey.numpy(), preprocessing))

    @cached_property
    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        """Read pictures in [0, 1] and digits of the split, in their own order."""
        from sklearn.datasets import load_digits

        read = load_digits()
        part = slice(-TESTED, None) if self.split == "test" else slice(None, -TESTED)
        return (read.images[part] / DARKEST).astype(np.float32), read.target[part].astype(np.int64)

    @cached_property
    def _order(self) -> np.ndarray:
        order = measuring_order(len(self._all[1]), self.seed)
        return order if self.limit is None else order[: self.limit]


def check_digits(card: ModelCard) -> None:
    """Refuse digits for a model with classes of its own, or without scikit-learn; ClaimsError says which."""
    if card.classes:
        raise ClaimsError(
            f"--data {DIGITS}: {card.name!r} answers {card.classes} classes of its own, not these ten; "
            "they are for what a run trains (claims about families of fits)"
        )
    if find_spec("sklearn") is None:
        raise ClaimsError(f"--data {DIGITS} needs scikit-learn, which is not installed here: pip install scikit-learn")
