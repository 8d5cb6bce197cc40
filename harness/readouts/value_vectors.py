"""What is read off weights alone: how the vectors that blocks write lie to the classes of the head (arXiv 2310.18969).

A value vector is a column of the matrix by which attention or an MLP writes into the stream, LayerScale applied; a
class embedding is a row of the head. Biases and the last norm's gains are left out, as in the source.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.errors import ClaimsError
from harness.judging.chance_levels import KEPT
from harness.models.sites import Branch
from harness.models.subject import Subject
from harness.readouts.members import MemberContext

MOST_RATIO = 1e3  # of a purity to its null; 1 over the chance that two classes share a group


def cosines(subject: Subject, block: int, branch: Branch) -> Float[Tensor, "class vector"]:
    """Give the cosine of every class embedding with every value vector; 0 for zeros, which point nowhere."""
    classes = torch.nn.functional.normalize(subject.head_weights().weight.float(), dim=1)
    return classes @ torch.nn.functional.normalize(subject.block_weights(block).value_vectors(branch), dim=0)


@dataclass(frozen=True, kw_only=True)
class ClassValueAgreement:
    """The largest cosine of a class with a value vector, mean over the classes of the model.

    With `with_classes` the class embeddings themselves count among the value vectors: what perfect memories would give.
    """

    block: int
    branch: Branch
    with_classes: bool = False
    low = -1.0
    high = 1.0

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        best = place.once(
            ("class-value agreement", self.block, self.branch),
            lambda: cosines(place.subject, self.block, self.branch).amax(dim=1).clamp(-1.0, 1.0),
        )
        if self.with_classes:
            classes = torch.nn.functional.normalize(place.subject.head_weights().weight.float(), dim=1)
            best = best.maximum((classes**2).sum(dim=1).clamp(max=1.0))
        return np.full(len(members), float(best.mean()))


@dataclass(frozen=True, kw_only=True)
class ClassPurity:
    """How much more often than by chance the classes that one value vector promotes most are of one superclass.

    The share of pairs of the same superclass among the `kept` classes of the largest cosines, mean over the MLP's value
    vectors of the block whose class-value agreement is largest, over that of random sets. Asks the pictures for
    `superclasses`, one number per class; raises ClaimsError where they are of another number of classes.
    """

    kept: int = KEPT
    low = 0.0
    high = MOST_RATIO

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        groups = np.asarray(getattr(place.images, "superclasses", ()))
        if len(groups) != place.subject.card.classes:
            raise ClaimsError(
                f"{len(groups)} superclasses are told for {place.subject.card.classes} classes of the head"
            )
        block = max(
            range(place.subject.card.depth),
            key=lambda b: ClassValueAgreement(block=b, branch="mlp").numbers(place, members[:1])[0],
        )
        return np.full(len(members), purity(cosines(place.subject, block, "mlp").cpu().numpy(), groups, self.kept))


@dataclass(frozen=True, kw_only=True)
class GoldenVectors:
    """The share of a published table that a block's MLP reproduces: the value vectors that promote each class most.

    `table` lists per class 0, 1, ... the numbers of the value vectors with the largest projections, in order. The head
    is normalized over classes, as in the source's tutorial, value vectors by themselves.
    """

    block: int
    table: tuple[tuple[int, ...], ...]
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        wanted = torch.tensor(self.table)
        if wanted.shape[1] > place.subject.block_weights(self.block).mlp_out.shape[1]:
            return np.zeros(len(members))
        found = tutorial_projection(place.subject, self.block)[: len(wanted)].topk(wanted.shape[1], dim=1).indices.cpu()
        hits = sum(int((row == want).sum()) for row, want in zip(found, wanted, strict=False))
        return np.full(len(members), hits / wanted.numel())


@dataclass(frozen=True, kw_only=True)
class GoldenDistance:
    """The largest distance of the strongest projections of class 0 from a published list, at most 1."""

    block: int
    values: tuple[float, ...]
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        found = tutorial_projection(place.subject, self.block)[0].topk(len(self.values)).values.cpu()
        return np.full(len(members), min(1.0, float((found - torch.tensor(self.values)).abs().max())))


def tutorial_projection(subject: Subject, block: int) -> Float[Tensor, "class vector"]:
    """Project the MLP's value vectors by the head, every feature of it normalized over classes."""
    classes = torch.nn.functional.normalize(subject.head_weights().weight.float(), dim=0)
    return classes @ torch.nn.functional.normalize(subject.block_weights(block).value_vectors("mlp"), dim=0)


def purity(scores: Float[np.ndarray, "class vector"], groups: Int[np.ndarray, "class"], kept: int) -> float:
    """Give the mean share of same-group pairs among the classes with the largest scores, over that of random sets."""
    best = groups[np.argsort(-scores, axis=0, kind="stable")[:kept]]  # [kept, vector]
    first, second = np.triu_indices(len(best), 1)
    one, other = np.triu_indices(len(groups), 1)
    return float((best[first] == best[second]).mean() / (groups[one] == groups[other]).mean())
