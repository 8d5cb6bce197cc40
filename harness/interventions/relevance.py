"""Which patches the class token draws its class from: gradients with respect to attention weights, and rollout."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.patch_scores import Fits
from harness.models.subject import Subject

WhichLabels = Literal["own", "predicted"]


@dataclass(frozen=True, kw_only=True)
class ClassRelevance:
    """Relevance of arXiv 2310.18969: how much more attention to a patch would lower the loss, over blocks and heads.

    relevance(j) = - sum over blocks b and heads h of d CE(lens(o_b), y) / d A_b[h, class token, j], where o_b is what
    attention's output projection gives at the class token, before any LayerScale. In closed form: with g the gradient
    of the loss at o_b, the derivative is (W_O^T g)_h . v_j^h, so that no gradient passes a block. `double_softmax` is
    as in the repository of the source; `negated` ranks the other way round, for the control.
    """

    labels: WhichLabels = "own"
    double_softmax: bool = True
    negated: bool = False
    exchanges = False
    fits = ()

    @property
    def needs_labels(self) -> bool:
        """Tell whether it reads the labels."""
        return self.labels == "own"

    @property
    def passes(self) -> float:
        """Count the forward passes: one more where the label must be predicted first."""
        return 1.0 if self.labels == "own" else 2.0

    def compute(self, subject: Subject, images: Tensor, chunk: Batch, fits: Fits) -> Float[Tensor, "image patch"]:
        """Walk the blocks once; needs "weights", "attention_keys", "qkv", "token_head" and a class token."""
        labels, place = labels_for(self.labels, subject, images, chunk), _class_place(subject)
        stream = subject.start(images)
        total = torch.zeros(len(images), subject.card.patches, device=stream.tokens.device)
        for block in range(subject.card.depth):
            weights = subject.block_weights(block)
            stream, inner = subject.watch(block, stream, ("attention keys", "value"))
            written = inner["attention keys"][:, place] @ weights.attention_out.T
            written = written if weights.attention_bias is None else written + weights.attention_bias
            gradient = subject.lens_gradient(written, labels, self.double_softmax)
            values = inner["value"][:, len(subject.card.prefix) :]
            total -= torch.einsum("if,ipf->ip", gradient @ weights.attention_out, values).float()
        return -total if self.negated else total


@dataclass(frozen=True, kw_only=True)
class CheferRelevance:
    """Relevance of Chefer et al. (ICCV 2021): R += mean over heads of (gradient * attention)+ R, at the class token."""

    labels: WhichLabels = "own"
    exchanges = False
    fits = ()

    @property
    def needs_labels(self) -> bool:
        """Tell whether it reads the labels."""
        return self.labels == "own"

    @property
    def passes(self) -> float:
        """Count a forward pass and a backward pass of twice its size, and one more to predict the label."""
        return 3.0 if self.labels == "own" else 4.0

    def compute(self, subject: Subject, images: Tensor, chunk: Batch, fits: Fits) -> Float[Tensor, "image patch"]:
        """Differentiate once for the chunk; needs "attention_pattern", "head" and a class token."""
        labels, place = labels_for(self.labels, subject, images, chunk), _class_place(subject)
        relevance: Tensor | None = None
        for pattern, gradient in subject.attention_gradients(images, labels):
            positive = (gradient * pattern).clamp(min=0).mean(dim=1).float()
            if relevance is None:
                relevance = torch.eye(positive.shape[-1], device=positive.device).expand_as(positive)
            relevance = relevance + positive @ relevance
        assert relevance is not None, "a model has at least one block"
        return relevance[:, place, len(subject.card.prefix) :]


@dataclass(frozen=True)
class RolloutRelevance:
    """Attention rollout of Abnar & Zuidema (2020): the product of the blocks' mean patterns, each half the identity."""

    needs_labels = False
    exchanges = False
    fits = ()
    passes = 2.0

    def compute(self, subject: Subject, images: Tensor, chunk: Batch, fits: Fits) -> Float[Tensor, "image patch"]:
        """Read the pattern of every block, which runs it twice; needs "attention_pattern" and a class token."""
        place, stream = _class_place(subject), subject.start(images)
        rollout: Tensor | None = None
        for block in range(subject.card.depth):
            mean = subject.attention_pattern(block, stream).mean(dim=1).float()
            mixed = (mean + torch.eye(mean.shape[-1], device=mean.device)) / 2
            rollout = mixed if rollout is None else mixed @ rollout
            stream = subject.step(block, stream)
        assert rollout is not None, "a model has at least one block"
        return rollout[:, place, len(subject.card.prefix) :]


def labels_for(which: WhichLabels, subject: Subject, images: Tensor, chunk: Batch) -> Int[Tensor, "image"]:
    """Give the images' own labels, or the classes that the model predicts in a pass of its own."""
    if which == "own":
        if chunk.labels is None:
            raise ClaimsError("relevance to the own label needs labels, but the image set has none")
        return chunk.labels
    stream = subject.start(images)
    for block in range(subject.card.depth):
        stream = subject.step(block, stream)
    return subject.logits(stream).argmax(dim=-1)


def _class_place(subject: Subject) -> int:
    if "class" not in subject.card.prefix:
        raise ClaimsError(f"{subject.card.name!r} has no class token to which patches could be relevant")
    return subject.card.prefix.index("class")
