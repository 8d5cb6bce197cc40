"""How much each patch matters: frozen descriptions of scores, computed once per chunk for edits that ask for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from harness.images.batch import Batch
from harness.models.subject import Subject
from harness.probes.fittable import Fittable, Fitted

Fits = Mapping[Fittable, Fitted]
ORDERS = 1000  # purposes of the chunk's random generators start here


@runtime_checkable
class Score(Protocol):
    """One number per patch, the larger the more it matters; frozen and hashable.

    `needs_labels` says that it reads the labels, `exchanges` that it reads something of the donors, `passes` what it
    costs in forward passes per image; `fits` are what must be fitted before it can be computed.
    """

    @property
    def needs_labels(self) -> bool: ...

    @property
    def exchanges(self) -> bool: ...

    @property
    def passes(self) -> float: ...

    @property
    def fits(self) -> tuple[Fittable, ...]: ...

    def compute(self, subject: Subject, images: Tensor, chunk: Batch, fits: Fits) -> Float[Tensor, "image patch"]:
        """Score the patches of preprocessed pictures [image, channel, row, column]; `fits` holds what it names."""


@dataclass(frozen=True)
class RandomOrder:
    """Score patches at random, one draw per image; another `offset` is another draw."""

    offset: int = 0
    needs_labels = False
    exchanges = False
    passes = 0.0
    fits = ()

    def compute(self, subject: Subject, images: Tensor, chunk: Batch, fits: Fits) -> Float[Tensor, "image patch"]:
        """Draw the scores."""
        drawn = torch.rand(len(images), subject.card.patches, generator=chunk.generator(ORDERS + self.offset))
        return drawn.to(images.device)


def score_of(edit: Any) -> Score | None:
    """Give the score that an edit asks for, None for an edit that asks for none."""
    return getattr(edit, "score", None)
