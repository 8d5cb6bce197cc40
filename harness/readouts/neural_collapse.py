"""How far features have collapsed to their class means (PNAS 2020, arXiv 2008.08186), on batches of training pictures.

Written with its numbers: NC1 is tr(S_W S_B^+) / C with the covariance within classes and that of the class means, the
angle is the mean distance of the cosines of centred class means from -1/(C - 1), and NC4 the share of pictures whose
nearest class mean is not the class that the model answers.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.errors import ClaimsError
from harness.models.head_input import HeadInput
from harness.models.subject import Stream
from harness.readouts.members import MemberContext

Number = Literal["within", "angle", "spread", "duality", "disagreement"]
Features = Float[np.ndarray, "image width"]
MOST = 1e4  # cut of what has no upper end: a hundred times that of a model without training


@dataclass(frozen=True, kw_only=True)
class NeuralCollapse:
    """One number about the features after a block, or before the class head (`block` None), on a batch.

    "within" is NC1 over C, "angle" and "spread" are about the class means (NC2: cosines, and how their lengths vary),
    "duality" the distance of the class means from the rows of the head (NC3, before the head alone), "disagreement"
    NC4. After a block the features are the class token, or the mean over places where the model answers from those.
    """

    number: Number
    block: int | None = None
    low = 0.0
    high = MOST

    def __post_init__(self) -> None:
        if self.number == "duality" and self.block is not None:
            raise ValueError(f"'duality' after block {self.block}; allowed: before the head, whose rows it is about")

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        """Compute the number of a batch; ClaimsError without labels, or for subjects that show no head input."""
        wanted = {one.block for one in (*place.beside, self) if isinstance(one, NeuralCollapse)}
        name: Hashable = ("features", tuple(sorted(wanted, key=str)))
        seen = place.once(name, lambda: _look(place, wanted))
        features = seen.features[self.block]
        if self.number == "disagreement":
            return np.full(len(members), disagreement(features, seen.labels, seen.answers))
        if self.number == "duality":
            return np.full(len(members), duality(features, seen.labels, seen.weight))
        return np.full(
            len(members),
            min(MOST, {"within": within, "angle": angle, "spread": spread}[self.number](features, seen.labels)),
        )


def within(features: Features, labels: np.ndarray) -> float:
    """Compute tr(S_W S_B^+) / C, with the pseudo-inverse of rank C - 1."""
    means, which = _means(features, labels)
    inner = features - means[which]
    centred = means - means.mean(axis=0)
    # In the space of the class means, which is all that S_B^+ sees: S_B = U diag(s^2 / C) U' from centred = V s U'.
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    kept = lengths > 1e-10 * max(lengths[0], 1e-300)
    along = inner @ axes[kept].T
    return float((along**2).mean(axis=0) @ (len(means) / lengths[kept] ** 2)) / len(means)


def angle(features: Features, labels: np.ndarray) -> float:
    """Average |cos + 1 / (C - 1)| over pairs of class means, centred at their mean."""
    means, _ = _means(features, labels)
    centred = means - means.mean(axis=0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-300)
    pairs = np.triu_indices(len(means), 1)
    return float(np.abs((unit @ unit.T)[pairs] + 1.0 / (len(means) - 1)).mean())


def spread(features: Features, labels: np.ndarray) -> float:
    """Compute the standard deviation of the lengths of centred class means over their average."""
    means, _ = _means(features, labels)
    lengths = np.linalg.norm(means - means.mean(axis=0), axis=1)
    return float(lengths.std() / max(lengths.mean(), 1e-300))


def duality(features: Features, labels: np.ndarray, weight: Float[np.ndarray, "class width"]) -> float:
    """Compute |W / |W| - M / |M||, Frobenius, of centred head rows and class means, of the classes that are there."""
    means, _ = _means(features, labels)
    rows = weight[np.unique(labels)]
    parts = [part - part.mean(axis=0) for part in (rows, means)]
    return float(np.linalg.norm(np.subtract(*[part / max(np.linalg.norm(part), 1e-300) for part in parts])))


def disagreement(features: Features, labels: np.ndarray, answers: np.ndarray) -> float:
    """Compute the share of pictures whose nearest class mean is of another class than the model's answer."""
    means, _ = _means(features, labels)
    distances = ((features[:, None, :] - means) ** 2).sum(axis=-1)
    return float((np.unique(labels)[distances.argmin(axis=1)] != answers).mean())


def _means(features: Features, labels: np.ndarray) -> tuple[Float[np.ndarray, "class width"], np.ndarray]:
    """Average the features of each class that is there; and say which of these means is each picture's."""
    _, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), features.shape[1]))
    np.add.at(sums, which, features)
    return sums / counts[:, None], which


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Features by block (None: before the head), labels and answers of a batch, and the rows of the head."""

    features: dict[int | None, Features]
    labels: np.ndarray
    answers: np.ndarray
    weight: np.ndarray


@torch.inference_mode()
def _look(place: MemberContext, wanted: set[int | None]) -> _Seen:
    subject, card = place.subject, place.subject.card
    if not hasattr(subject, "head_input"):
        raise ClaimsError(f"the subject of {card.name!r} has no method head_input(stream)")
    found: dict[int | None, list[np.ndarray]] = {block: [] for block in wanted}
    labels, answers, weight = [], [], np.zeros((0, 0))
    for positions in place.grid:
        if (own := place.chunk_of(positions).labels) is None:
            raise ClaimsError("class means need labels; name 'labels' in the claim's needs")
        stream = subject.start(place.load(positions))
        for block in range(card.depth):
            stream = _step(place, block, stream, found)
        entered: HeadInput = subject.head_input(stream)
        if None in found:
            found[None].append(entered.features.double().cpu().numpy())
        weight = entered.weight.double().cpu().numpy()
        labels.append(own.cpu().numpy())
        answers.append(subject.logits(stream).argmax(dim=1).cpu().numpy())
        place.charge(float(card.depth * len(positions)))
    joined = {block: np.concatenate(parts) for block, parts in found.items()}
    return _Seen(features=joined, labels=np.concatenate(labels), answers=np.concatenate(answers), weight=weight)


def _step(place: MemberContext, block: int, stream: Stream, found: dict[int | None, list[np.ndarray]]) -> Stream:
    """Run a block, and keep its features where they are wanted: of maps those of the units, averaged over places."""
    subject, card = place.subject, place.subject.card
    if block not in found:
        return subject.step(block, stream)
    if card.grid is None:
        stream, passed = subject.watch(block, stream, ("units",))
        features = passed["units"].mean(dim=1)
    else:
        stream = subject.step(block, stream)
        by_class = card.native in ("class", "class+distillation")
        tokens = stream.tokens[:, len(card.prefix) :].mean(dim=1)
        features = stream.tokens[:, card.prefix.index("class")] if by_class else tokens
    found[block].append(features.double().cpu().numpy())
    return stream
