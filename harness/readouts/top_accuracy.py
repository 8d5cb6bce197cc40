"""Whether the label is among the first few of a model's own answer."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from harness.readouts.reading import Labels, Reading, StreamReadout, ranks

FIVE_FROM = 100  # classes; of ten classes any five would be right half of the time


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
