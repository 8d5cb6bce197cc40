"""Whether the head names the class on what a block writes, token by token."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from harness.models.sites import Site
from harness.readouts.reading import Reading, StreamReadout, ranks
from harness.readouts.writes import normed


@dataclass(frozen=True, kw_only=True)
class WriteAccuracy(StreamReadout):
    """Share of patch tokens on which norm and head, applied to a write of block `layer` alone, rank the label first."""

    layer: int
    write: Literal["attention write", "mlp write"]
    low = 0.0
    high = 1.0

    @property
    def sites(self) -> tuple[Site, ...]:
        """Name the write."""
        return (self.write,)

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        written = reading.once(("normed", self.write), lambda: normed(reading, self.write))
        logits = reading.subject.token_logits(written[:, len(reading.card.prefix) :])
        labels = reading.labels("own")[:, None].expand(logits.shape[:2])
        return (ranks(logits, labels) == 0).float().mean(dim=1)
