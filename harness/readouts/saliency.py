"""How much of a map that explains an answer is left when weights behind the answer are drawn anew."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.patch_scores import Score
from harness.interventions.relevance import CheferRelevance, ClassRelevance, RolloutRelevance
from harness.models.subject import ModelCard, Subject
from harness.readouts.features import correlation
from harness.readouts.members import MemberContext

Saliency = Literal["|gradient|", "gradient x input", "|gradient x input|", "rollout", "class", "chefer", "edges"]
Maps = Float[Tensor, "image patch"]
CLOSE = 1e-5  # relative to the larger of two maps, within which they are the same
SCORES: Mapping[str, Score] = {"rollout": RolloutRelevance(), "class": ClassRelevance(), "chefer": CheferRelevance()}
# Forward passes behind a map; those of gradients with respect to pictures are one backward pass.
PASSES = {"gradients": 3.0, "edges": 0.0, **{name: score.passes for name, score in SCORES.items()}}

NEEDS: Mapping[Saliency, tuple[str, ...]] = {"class": ("weights", "attention_keys", "qkv", "token_head")}


@runtime_checkable
class Explained(Protocol):
    """A subject that can be differentiated to its pictures and drawn anew in part."""

    def input_gradient(self, images: Tensor, labels: Tensor) -> Tensor:
        """Give the gradient of the label's logit with respect to preprocessed pictures."""

    def partly_untrained(self, seed: int, blocks: int) -> Subject:
        """Return a twin whose head, and with `blocks` the final norm and so many last blocks too, are drawn anew."""


@dataclass(frozen=True)
class RankKept:
    """Spearman's correlation, over patches, of a map of the model and of a twin, averaged over a batch's pictures.

    The twin's head is drawn anew, and with `blocks` above 0 the final norm and so many last blocks too. Both maps
    explain the class that the model itself names. A map without any difference between patches correlates with none.
    """

    saliency: Saliency
    blocks: int
    low = -1.0
    high = 1.0

    def numbers(self, place: MemberContext, members: np.ndarray) -> Float[np.ndarray, "member"]:
        given, twin = (_maps(place, self.saliency, blocks) for blocks in (None, self.blocks))
        return np.full(len(members), float(rank_correlation(given, twin).mean()))


@dataclass(frozen=True)
class SameMap:
    """Share of a batch's pictures of which the map of the model and that of the twin are the same; as `RankKept`."""

    saliency: Saliency
    blocks: int
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: np.ndarray) -> Float[np.ndarray, "member"]:
        given, twin = (_maps(place, self.saliency, blocks) for blocks in (None, self.blocks))
        apart = (given - twin).abs().amax(dim=1)
        return np.full(len(members), float((apart <= CLOSE * given.abs().amax(dim=1)).double().mean()))


def saliencies(card: ModelCard) -> tuple[Saliency, ...]:
    """List the maps that explain an answer of this model with a class token, attention patterns and a head."""
    listed: tuple[Saliency, ...] = Saliency.__args__  # type: ignore[attr-defined]
    return tuple(name for name in listed if name != "edges" and not card.missing(NEEDS.get(name, ())))


def rank_correlation(first: Maps, second: Maps) -> Float[Tensor, "image"]:
    """Give Spearman's correlation row by row, ties at their mean rank; 0 where a row is constant."""
    ranks = [torch.from_numpy(rankdata(part.double().cpu().numpy(), axis=1)) for part in (first, second)]
    return correlation(*ranks)


def edges_of(images: Float[Tensor, "image channel row column"], grid: tuple[int, int]) -> Maps:
    """Sum the differences of neighbouring pixels in each patch."""
    down = pad((images[:, :, 1:] - images[:, :, :-1]).abs(), (0, 0, 0, 1))
    right = pad((images[..., 1:] - images[..., :-1]).abs(), (0, 1))
    return by_patch(down + right, grid)


def by_patch(pixels: Float[Tensor, "image channel row column"], grid: tuple[int, int]) -> Maps:
    """Average over the pixels of each patch, and sum over channels."""
    return adaptive_avg_pool2d(pixels.sum(dim=1, keepdim=True).double(), grid).flatten(1)


def _maps(place: MemberContext, saliency: Saliency, blocks: int | None) -> Maps:
    """Explain every picture by the model (blocks None) or by a twin, once for all readings."""
    kind = saliency if saliency in PASSES else "gradients"
    made = place.once(("saliency", kind, blocks), lambda: _explain(place, kind, blocks))
    return made[saliency]


def _explain(place: MemberContext, kind: str, blocks: int | None) -> Mapping[str, Maps]:
    subject, parts = _subject(place, blocks), []
    for positions, labels in zip(place.grid, _predicted(place), strict=True):
        images, chunk = place.load(positions), replace(place.chunk_of(positions), labels=labels)
        parts.append(_one(kind)(subject, images, chunk))
        place.charge(PASSES[kind] * subject.card.depth * len(images))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _one(kind: str) -> Callable[[Subject, Tensor, Batch], Mapping[str, Maps]]:
    if kind in SCORES:
        return lambda subject, images, chunk: {kind: SCORES[kind].compute(subject, images, chunk, {})}
    return _edges if kind == "edges" else _gradients


def _gradients(subject: Subject, images: Tensor, chunk: Batch) -> Mapping[str, Maps]:
    assert chunk.labels is not None, "they were predicted"
    gradient = _explained(subject).input_gradient(images, chunk.labels)
    of: dict[str, Tensor] = {
        "|gradient|": gradient.abs(),
        "gradient x input": gradient * images,
        "|gradient x input|": (gradient * images).abs(),
    }
    return {name: by_patch(values, _grid(subject)) for name, values in of.items()}


def _edges(subject: Subject, images: Tensor, chunk: Batch) -> Mapping[str, Maps]:
    return {"edges": edges_of(images, _grid(subject))}


def _predicted(place: MemberContext) -> list[Tensor]:
    return place.once("predicted", lambda: [_answers(place, positions) for positions in place.grid])


@torch.inference_mode()
def _answers(place: MemberContext, positions: range) -> Tensor:
    subject = place.subject
    stream = subject.start(place.load(positions))
    for block in range(subject.card.depth):
        stream = subject.step(block, stream)
    place.charge(float(subject.card.depth * len(positions)))
    return subject.logits(stream).argmax(dim=-1)


def _subject(place: MemberContext, blocks: int | None) -> Subject:
    if blocks is None:
        return place.subject
    able = _explained(place.subject)
    return place.once(("drawn", blocks), lambda: able.partly_untrained(place.seed, blocks))


def _explained(subject: Subject) -> Explained:
    if not isinstance(subject, Explained):
        raise ClaimsError(f"{subject.card.name!r} has no `input_gradient` and `partly_untrained`, which maps rest on")
    return subject


def _grid(subject: Subject) -> tuple[int, int]:
    if subject.card.grid is None:
        raise ClaimsError(f"{subject.card.name!r} has no patches that could be explained")
    return subject.card.grid
