"""Probes: linear readouts of one place in the stream, to be fitted on training images.

A `Probe` says what is read, on which images it is fitted and how; a `Fit` is what comes of it. Probes with equal
`reads` share their features, whatever else differs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.models.subject import ModelCard, Stream, Subject

Kind = Literal["class", "patch mean", "class+patch mean", "patch", "largest patch", "median patch"]
Site = Literal["resid", "attention write", "mlp write"]
Family = Literal["ridge", "lda", "logistic", "sgd"]
LabelKind = Literal["own", "permuted"]
FOLDS = 5
ABSENT = -1e4  # the score of a class that no training image has, for families that cannot fit one


class Reads(NamedTuple):
    """What a probe reads of a training image: probes with equal ones share their features."""

    layer: int
    kind: Kind
    position: int | None
    stream: Site
    normed: bool
    after: int | None


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A probe to be fitted: which features of which block, on which images, and by which family.

    `kind` "patch" reads the patch token `position` alone, "largest patch" the one with the largest norm in the picture
    and "median patch" the one with the median norm, before any norm is applied. `stream` is what is read: the residual
    stream after block `layer` (-1: the embedding) or what that block's attention or MLP adds to it. `normed` applies
    the head's own norm
    first. `after` fits on training images whose class tokens were exchanged in pairs after that block; a pair of one
    class takes no part. `shots` fits on the first so many training images of every class (None: on all).
    `standardized` scales every feature to unit variance over the images of the fit; ridge alone may go without.
    `family` "sgd" is deliberately under-trained, the control of claims about families. `labels` "permuted" fits on
    labels permuted among the training images, the control that must fail; with `shots`, where these are a multiple
    of the classes, every class holds every label equally often.

    Raises ValueError for fields that do not go together.
    """

    layer: int
    kind: Kind = "class"
    position: int | None = None
    stream: Site = "resid"
    normed: bool = False
    after: int | None = None
    shots: int | None = None
    standardized: bool = False
    family: Family = "ridge"
    labels: LabelKind = "own"

    def __post_init__(self) -> None:
        if (self.kind == "patch") != (self.position is not None):
            raise ValueError(f"a probe of kind {self.kind!r} at position {self.position!r}; only 'patch' has one")
        if self.stream != "resid" and self.layer < 0:
            raise ValueError(f"layer {self.layer} has no {self.stream!r}: blocks alone write, from 0 on")
        if self.shots is not None and self.shots < 1:
            raise ValueError(f"a probe of {self.shots!r} shots; allowed: 1 or more, None for all images")
        if self.family != "ridge" and not self.standardized:
            raise ValueError(f"probes of family {self.family!r} standardize their features: say standardized=True")

    @property
    def reads(self) -> Reads:
        """Name what the probe reads; an exchange that comes later than its place cannot reach it."""
        reached = self.after is not None and (self.after < self.layer + (self.stream == "resid"))
        after = self.after if reached else None
        return Reads(self.layer, self.kind, self.position, self.stream, self.normed, after)

    @property
    def read_after(self) -> int:
        """Give the block after which a readout of this probe stands: before the block whose write is read."""
        return self.layer if self.stream == "resid" else self.layer - 1


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted probe: scores = (features - centre) @ weights + bias, [feature, class] and [class].

    `strength` is the regularization that cross-validation chose (nan for a family without any).
    """

    centre: Tensor
    weights: Tensor
    bias: Tensor
    strength: float

    def scores(self, inputs: Float[Tensor, "image feature"]) -> Float[Tensor, "image class"]:
        """Score images for all classes, where the images are."""
        centre, weights, bias = (part.to(inputs.device) for part in (self.centre, self.weights, self.bias))
        return (inputs.to(weights.dtype) - centre) @ weights + bias


def features(probe: Probe | Reads, subject: Subject, stream: Stream) -> Float[Tensor, "image feature"]:
    """Read what a probe reads from the stream after its block, or from what the block writes, fp32."""
    tokens = subject.normed(stream) if probe.normed else stream.tokens
    patches = len(subject.card.prefix)
    if probe.position is not None:
        return tokens[:, patches + probe.position].float()
    if probe.kind in ("largest patch", "median patch"):
        norms = stream.tokens[:, patches:].float().norm(dim=2)
        chosen = norms.argmax(dim=1) if probe.kind == "largest patch" else norms.median(dim=1).indices
        return tokens[torch.arange(len(tokens), device=chosen.device), patches + chosen].float()
    parts = []
    if probe.kind in ("class", "class+patch mean"):
        parts.append(tokens[:, subject.card.prefix.index("class")])
    if probe.kind in ("patch mean", "class+patch mean"):
        parts.append(tokens[:, patches:].mean(dim=1))
    return torch.cat(parts, dim=-1).float()


def written(site: Site, subject: Subject, block: int, before: Stream) -> Stream:
    """Give what the attention or the MLP of a block adds, from the stream before it, as a stream of its own."""
    writes = subject.writes(block, before)
    return before.with_tokens(writes.attention if site == "attention write" else writes.mlp)


def probe_inputs(probe: Probe, subject: Subject, stream: Stream) -> Float[Tensor, "image feature"]:
    """Read what a probe reads, from the stream after block `read_after`; a write is computed without any mask."""
    if probe.stream != "resid":
        stream = written(probe.stream, subject, probe.layer, stream)
    return features(probe, subject, stream)


def at_patches(probe: Probe, positions: Iterable[int]) -> tuple[Probe, ...]:
    """Give the probes of these patch tokens that are otherwise like this one."""
    return tuple(replace(probe, kind="patch", position=position) for position in positions)


def entropies(scores: Float[Tensor, "image class"], classes: int) -> Float[Tensor, "image"]:
    """Give the entropy of the softmax in nats; rounding is kept below log(classes)."""
    logs = torch.log_softmax(scores.double(), dim=-1)
    return -(logs.exp() * logs).sum(dim=-1).clamp(min=-math.log(classes), max=0.0)


def check_probe(probe: Probe, card: ModelCard) -> None:
    """Refuse a probe of what the model does not have, before any forward pass.

    Raises ClaimsError for blocks, patches or tokens that do not exist and for writes that the model cannot give.
    """
    where = f"{probe!r} on {card.name!r}"
    blocks = range(-1, card.depth)
    if probe.layer not in blocks or (probe.after is not None and probe.after not in blocks):
        raise ClaimsError(f"{where}: the blocks are 0..{card.depth - 1}, -1 is the embedding")
    if probe.position is not None and probe.position not in range(card.patches):
        raise ClaimsError(f"{where}: the patch tokens are 0..{card.patches - 1}")
    if (probe.kind.startswith("class") or probe.after is not None) and "class" not in card.prefix:
        raise ClaimsError(f"{where}: the model has no class token in its stream")
    if probe.stream != "resid" and (reason := card.missing(("writes",))):
        raise ClaimsError(f"{where}: {reason}")
