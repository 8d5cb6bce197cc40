"""What is read: frozen descriptions of readouts, each one bounded number per image.

A readout names the layer after which it reads; what several readouts of one stream share is computed by `Reading`.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.interventions.intervention import EMBEDDING
from harness.models.sites import Site
from harness.models.subject import ModelCard
from harness.probes.fittable import Fittable, linear_fit
from harness.probes.probe import Probe, probe_inputs
from harness.readouts.reading import Head, Labels, Reading, StreamReadout, ranks


@runtime_checkable
class Readout(Protocol):
    """One number per image, between `low` and `high`, read after block `layer` (None: the last one).

    `needs_clean` asks for the unedited arm to be read beside; `fits` are what must be fitted before it can read;
    `exchanges` says that it reads something of the donors, so that a claim with such an arm is judged pair by pair;
    `sites` are those within its block that it reads (`Reading.inner`).
    """

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...

    @property
    def needs_clean(self) -> bool: ...

    @property
    def exchanges(self) -> bool: ...

    @property
    def layer(self) -> int | None: ...

    @property
    def fits(self) -> tuple[Fittable, ...]: ...

    @property
    def sites(self) -> tuple[Site, ...]: ...

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""


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
        return (reading.logits("native").argmax(-1) == _clean(reading).logits("native").argmax(-1)).float()


@dataclass(frozen=True, kw_only=True)
class SameLogits(StreamReadout):
    """1 where the logits of this head are bit-identical to those without any edit, else 0."""

    head: Head = "native"
    low = 0.0
    high = 1.0
    needs_clean = True
    layer = None

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return (reading.logits(self.head) == _clean(reading).logits(self.head)).all(dim=-1).float()


@dataclass(frozen=True, kw_only=True)
class ProbeAccuracy(StreamReadout):
    """1 where a ridge probe fitted on training images ranks the label first, else 0.

    `only_class` zeroes the patch-mean half of a "class+patch mean" probe after the fit (no refit), as the source does.
    """

    probe: Probe
    only_class: bool = False
    low = 0.0
    high = 1.0

    @property
    def fits(self) -> tuple[Probe, ...]:
        """Name the probe."""
        return (self.probe,)

    @property
    def layer(self) -> int:
        """Give the block after which it stands: before the block whose write the probe reads."""
        return self.probe.read_after

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        fit, inputs = linear_fit(reading.fits, self.probe), probe_inputs(self.probe, reading.subject, reading.stream)
        if self.only_class:
            inputs = inputs.clone()
            inputs[:, reading.card.width :] = 0.0
        return (ranks(fit.scores(inputs), reading.labels("own")) == 0).float()


def block_of(readout: Readout, card: ModelCard) -> int:
    """Give the block after which a readout reads on this model (-1: the embedding).

    Raises ValueError for a layer that the model does not have, and for sites within a block after the embedding.
    """
    block = card.depth - 1 if readout.layer is None else readout.layer
    if block not in range(-1, card.depth):
        raise ValueError(f"layer {block} does not exist; {card.name} has blocks 0..{card.depth - 1} (-1: embedding)")
    if block == EMBEDDING and readout.sites:
        raise ValueError(f"{readout!r} reads {list(readout.sites)}, which lie within a block; the embedding has none")
    return block


def _clean(reading: Reading) -> Reading:
    if reading.clean is None:
        raise ClaimsError("this readout compares with the unedited arm, which was not read beside it")
    return reading.clean
