"""The model's own answer as bounded numbers per image: right or wrong, among the first few, as without an edit.

A readout names the layer after which it reads; what several readouts of one stream share is computed by `Reading`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.readouts.reading import Head, Labels, Reading, ranks
from harness.readouts.readout import StreamReadout

FIVE_FROM = 100  # classes; of ten classes any five would be right half of the time


@dataclass(frozen=True, kw_only=True)
class Accuracy(StreamReadout):
    """1 where the head ranks the label first (strictly), else 0; before the last block this is the lens.

    `layer` None is the last block; `labels="donor"` scores against the label of the donor.
    """

    head: Head = "native"
    layer: int | None = None
    labels: Labels = "own"
    low = 0.0
    high = 1.0

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads the labels of the donors."""
        return self.labels == "donor"

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return (ranks(reading.logits(self.head), reading.labels(self.labels)) == 0).float()


@dataclass(frozen=True, kw_only=True)
class Identifiability(StreamReadout):
    """Class identifiability 1 - rank/classes of the label at the class token (catalogue, shared metric 2)."""

    layer: int
    labels: Labels = "own"
    low = 0.0
    high = 1.0

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads the labels of the donors."""
        return self.labels == "donor"

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        logits = reading.logits("class")
        return 1.0 - ranks(logits, reading.labels(self.labels)).float() / logits.shape[-1]


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(StreamReadout):
    """Cross-entropy of the label in nats, capped at `high` so that its mean is bounded."""

    head: Head = "native"
    layer: int | None = None
    low = 0.0
    high: float = 10.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        loss = torch.nn.functional.cross_entropy(
            reading.logits(self.head).float(), reading.labels("own"), reduction="none"
        )
        return loss.clamp(max=self.high)


@dataclass(frozen=True, kw_only=True)
class PatchAccuracy(StreamReadout):
    """Share of patch tokens on which the head is right; with `position`, whether it is right on that one."""

    layer: int
    position: int | None = None
    low = 0.0
    high = 1.0

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        right = reading.patch_correct.float()
        return right.mean(dim=1) if self.position is None else right[:, self.position]


@dataclass(frozen=True, kw_only=True)
class Agreement(StreamReadout):
    """1 where the native readout predicts the same class as without any edit, else 0."""

    low = 0.0
    high = 1.0
    needs_clean = True
    layer = None

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return (reading.logits("native").argmax(-1) == clean_of(reading).logits("native").argmax(-1)).float()


@dataclass(frozen=True, kw_only=True)
class SameLogits(StreamReadout):
    """1 where the logits of this head are bit-identical to those without any edit, else 0."""

    head: Head = "native"
    low = 0.0
    high = 1.0
    needs_clean = True
    layer = None

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return (reading.logits(self.head) == clean_of(reading).logits(self.head)).all(dim=-1).float()


@dataclass(frozen=True, kw_only=True)
class TopAccuracy(StreamReadout):
    """1 where fewer than `count` classes have a strictly greater logit than the label, else 0.

    `labels="donor"` scores against the label of the donor.
    """

    count: int
    labels: Labels = "own"
    layer = None
    low = 0.0
    high = 1.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"top-{self.count} accuracy; allowed: 1 or more")

    @property
    def exchanges(self) -> bool:
        """Tell whether it reads the labels of the donors."""
        return self.labels == "donor"

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return (ranks(reading.logits("native"), reading.labels(self.labels)) < self.count).float()


def usual_count(classes: int) -> int:
    """Give 5 where there are many classes, else 1."""
    return 5 if classes >= FIVE_FROM else 1


def clean_of(reading: Reading) -> Reading:
    """Give the reading of the unedited arm, which a readout asked for by `needs_clean`."""
    if reading.clean is None:
        raise ClaimsError("this readout compares with the unedited arm, which was not read beside it")
    return reading.clean
