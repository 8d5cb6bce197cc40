"""Which frequencies of the feature map a branch of a block raises or lowers (arXiv 2202.06709).

The patch tokens of the stream are a map of rows and columns; its spectrum is log(|FFT| + 1e-6), a channel at a time.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.models.sites import Site
from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout
from harness.readouts.writes import Branch

TINY = 1e-6  # of the source's code, so that a frequency that is not there has a logarithm
MOST = 3.0  # cut of the change of one picture, so that it is bounded: a factor of 20 between the two frequencies


@dataclass(frozen=True, kw_only=True)
class SpectrumChange(StreamReadout):
    """By how much a branch raises the highest frequency of the patch map above the mean, cut off at +-MOST.

    The stream after the branch (what entered it included) less that before: log amplitude at the corner of the
    spectrum, the highest frequency in both directions, minus that of the constant, averaged over channels.
    """

    layer: int
    branch: Branch
    low = -MOST
    high = MOST

    @property
    def sites(self) -> tuple[Site, ...]:
        """Name attention's write, and the MLP's beside it where that is the branch."""
        return ("attention write",) if self.branch == "attention" else ("attention write", "mlp write")

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image; ClaimsError after the embedding, or where tokens lie on no grid."""
        if reading.before is None:
            raise ClaimsError("what a branch changes is read after a block; the embedding has none")
        entered, middle = reading.before.tokens, reading.before.tokens + reading.inner["attention write"]

        def after_attention() -> Tensor:
            return lead_of_highest(_map(reading, middle))

        between = reading.once("lead after attention", after_attention)
        if self.branch == "attention":
            change = between - lead_of_highest(_map(reading, entered))
        else:
            change = lead_of_highest(_map(reading, middle + reading.inner["mlp write"])) - between
        return change.clamp(self.low, self.high)


def lead_of_highest(features: Float[Tensor, "image row column channel"]) -> Float[Tensor, "image"]:
    """Give log amplitude of the highest frequency (Nyquist's where sides are even) minus that of the mean."""
    spectrum = torch.fft.fft2(features.float(), dim=(1, 2)).abs().add(TINY).log().mean(dim=-1)
    return spectrum[:, features.shape[1] // 2, features.shape[2] // 2] - spectrum[:, 0, 0]


def _map(reading: Reading, tokens: Tensor) -> Float[Tensor, "image row column channel"]:
    if (grid := reading.card.grid) is None:
        raise ClaimsError(f"{reading.card.name!r} has no patch tokens on a grid")
    return tokens[:, len(reading.card.prefix) :].unflatten(1, grid)
