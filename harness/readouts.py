"""What is read: frozen descriptions of readouts, each one bounded number per image.

A readout names the block after which it reads; everything that several readouts of one stream share (norm, lens,
ranks) is computed once by `Reading`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.interventions import Chunk, code_revision
from harness.probes import Fit, Probe, features
from harness.subject import ModelCard, Stream, Subject

Head = Literal["native", "class", "patch mean"]
Labels = Literal["own", "donor"]


class Reading:
    """The stream of one chunk after one block under one arm, with what readouts share of it.

    `clean` is the unedited reading after the last block (None unless a readout asked for it by `needs_clean`).
    """

    def __init__(
        self, subject: Subject, stream: Stream, block: int, chunk: Chunk, fits: Mapping[Probe, Fit], clean: "Reading | None"
    ) -> None:
        self.subject, self.stream, self.block, self.chunk = subject, stream, block, chunk
        self.fits, self.clean = fits, clean

    @property
    def card(self) -> ModelCard:
        return self.subject.card

    @cached_property
    def normed(self) -> Tensor:
        """Tokens after the norm that the head expects, fp32 [image, token, width]."""
        return self.subject.normed(self.stream).float()

    @cached_property
    def _patch_correct(self) -> Tensor:
        """Whether the head ranks the label first on each patch token: bool [image, patch]."""
        logits = self.subject.token_logits(self.normed[:, len(self.card.prefix) :])
        return _rank(logits, self.labels("own")[:, None].expand(logits.shape[:2])) == 0

    @cached_property
    def _logits(self) -> dict[Head, Tensor]:
        return {}

    def logits(self, head: Head) -> Tensor:
        """Logits [image, class] of the native readout, the head on the class token, or on the mean patch token."""
        if head not in self._logits:
            self._logits[head] = self._compute(head)
        return self._logits[head]

    def labels(self, whose: Labels) -> Tensor:
        """Labels [image], one's own or those of the donors (always of another class)."""
        if self.chunk.labels is None:
            raise ClaimsError("a readout needs labels, but the image set has none; name 'labels' in the claim's needs")
        return self.chunk.labels if whose == "own" else self.chunk.labels[self.chunk.donors]

    @property
    def patch_correct(self) -> Tensor:
        """Whether the head is right on each single patch token: bool [image, patch]."""
        return self._patch_correct

    def _compute(self, head: Head) -> Tensor:
        if head == "native":
            return self.subject.logits(self.stream)
        if head == "class":
            return self.subject.token_logits(self.normed[:, self.card.prefix.index("class")])
        return self.subject.token_logits(self.normed[:, len(self.card.prefix) :].mean(dim=1))


class Readout(Protocol):
    """One number per image, between `low` and `high`."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...

    @property
    def needs_clean(self) -> bool:
        """Whether the unedited arm must be read beside."""

    def block(self, card: ModelCard) -> int:
        """Give the block after whose output the readout reads."""

    def probes(self) -> tuple[Probe, ...]:
        """List the fits that must exist before it can read."""

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """1 where the head ranks the label first (strictly), else 0; before the last block this is the lens.

    `layer` None is the last block; `labels="donor"` scores against the label of an image of another class.
    """

    head: Head = "native"
    layer: int | None = None
    labels: Labels = "own"
    low = 0.0
    high = 1.0
    needs_clean = False

    def block(self, card: ModelCard) -> int:
        return _block(self.layer, card)

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return (_rank(reading.logits(self.head), reading.labels(self.labels)) == 0).float()


@dataclass(frozen=True, kw_only=True)
class Identifiability:
    """Class identifiability 1 - rank/classes of the label at the class token (catalogue, shared metric 2)."""

    layer: int
    labels: Labels = "own"
    low = 0.0
    high = 1.0
    needs_clean = False

    def block(self, card: ModelCard) -> int:
        return _block(self.layer, card)

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        logits = reading.logits("class")
        return 1.0 - _rank(logits, reading.labels(self.labels)).float() / logits.shape[-1]


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Cross-entropy of the label in nats, capped at `high` so that its mean is bounded."""

    head: Head = "native"
    layer: int | None = None
    low = 0.0
    high: float = 10.0
    needs_clean = False

    def block(self, card: ModelCard) -> int:
        return _block(self.layer, card)

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        loss = torch.nn.functional.cross_entropy(
            reading.logits(self.head).float(), reading.labels("own"), reduction="none"
        )
        return loss.clamp(max=self.high)


@dataclass(frozen=True, kw_only=True)
class PatchAccuracy:
    """Share of patch tokens on which the head is right; with `position`, whether it is right on that one."""

    layer: int
    position: int | None = None
    low = 0.0
    high = 1.0
    needs_clean = False

    def block(self, card: ModelCard) -> int:
        return _block(self.layer, card)

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        right = reading.patch_correct.float()
        return right.mean(dim=1) if self.position is None else right[:, self.position]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """1 where the native readout predicts the same class as without any edit, else 0."""

    low = 0.0
    high = 1.0
    needs_clean = True

    def block(self, card: ModelCard) -> int:
        return card.depth - 1

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return (reading.logits("native").argmax(-1) == _clean(reading).logits("native").argmax(-1)).float()


@dataclass(frozen=True, kw_only=True)
class SameLogits:
    """1 where the logits of this head are bit-identical to those without any edit, else 0."""

    head: Head = "native"
    low = 0.0
    high = 1.0
    needs_clean = True

    def block(self, card: ModelCard) -> int:
        return card.depth - 1

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return (reading.logits(self.head) == _clean(reading).logits(self.head)).all(dim=-1).float()


@dataclass(frozen=True, kw_only=True)
class ProbeAccuracy:
    """1 where a ridge probe fitted on training images ranks the label first, else 0.

    `only_class` zeroes the patch-mean half of a "class+patch mean" probe after the fit (no refit), as the source does.
    """

    probe: Probe
    only_class: bool = False
    low = 0.0
    high = 1.0
    needs_clean = False

    def block(self, card: ModelCard) -> int:
        return _block(self.probe.layer, card)

    def probes(self) -> tuple[Probe, ...]:
        return (self.probe,)

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        fit = reading.fits[self.probe]
        inputs = features(self.probe, reading.subject, reading.stream)
        if self.only_class:
            inputs = inputs.clone()
            inputs[:, reading.card.width :] = 0.0
        return (_rank(fit.scores(inputs), reading.labels("own")) == 0).float()


def revision(readout: Readout) -> str:
    """Identify the code behind a readout: sha256 over the source of its modules."""
    return code_revision({type(readout), Probe} if readout.probes() else {type(readout)})


def _block(layer: int | None, card: ModelCard) -> int:
    block = card.depth - 1 if layer is None else layer
    if block not in range(-1, card.depth):
        raise ValueError(f"layer {layer} does not exist; {card.name} has blocks 0..{card.depth - 1} (-1: embedding)")
    return block


def _clean(reading: Reading) -> Reading:
    if reading.clean is None:
        raise ClaimsError("this readout compares with the unedited arm, which was not read beside it")
    return reading.clean


def _rank(logits: Float[Tensor, "*place classes"], labels: Tensor) -> Tensor:
    """Count strictly greater logits; a constant row ranks last, so that a zero head is never right."""
    chosen = logits.gather(-1, labels.unsqueeze(-1))
    greater = (logits > chosen).sum(-1)
    constant = logits.amax(-1) == logits.amin(-1)
    return torch.where(constant, torch.full_like(greater, logits.shape[-1] - 1), greater)
