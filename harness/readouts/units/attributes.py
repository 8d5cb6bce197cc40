"""How well single units tell attributes of pictures that no label holds, over a fixed set of pictures.

Per value of an attribute the unit that tells it best is chosen on every other picture, and scored on the rest: so the
largest of thousands of units does not profit from their number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import rankdata

from harness.errors import ClaimsError
from harness.readouts.members import MemberContext

LEAST = 10  # pictures with a value, and without it, on either half


@runtime_checkable
class Described(Protocol):
    """Pictures of which attributes are known."""

    @property
    def attributes(self) -> Mapping[str, np.ndarray]:
        """Give each attribute as int64 [picture], -1 where a picture has none."""


@dataclass(frozen=True)
class BestUnits:
    """AUC of the best single unit (its patch mean, either sign), averaged over values and then over attributes.

    Attributes that are a function of the label are left out. `shuffled` exchanges the attributes between pictures;
    `among` names the attributes (empty: all).
    """

    shuffled: bool = False
    among: tuple[str, ...] = ()
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: np.ndarray) -> Float[np.ndarray, "member"]:
        found = place.once(("best units", self.shuffled), lambda: _scores(place, self.shuffled))
        kept = [score for name, score in found.items() if not self.among or name in self.among]
        return np.full(len(members), np.mean(kept))


def free_attributes(
    attributes: Mapping[str, Int[np.ndarray, "picture"]], labels: Int[np.ndarray, "picture"]
) -> dict[str, np.ndarray]:
    """Keep the attributes that vary, and that the label does not say."""
    found = {}
    for name, values in attributes.items():
        known = values >= 0
        per_label = [len(set(values[known & (labels == label)])) for label in np.unique(labels[known])]
        if max(per_label, default=0) > 1:
            found[name] = values
    return found


def halves_of(values: Int[np.ndarray, "picture"]) -> tuple[np.ndarray, np.ndarray]:
    """Cut the pictures that have the attribute into every other one and the rest: their places."""
    known = np.flatnonzero(values >= 0)
    return known[::2], known[1::2]


def best_unit_scores(
    ranked: tuple[Float[np.ndarray, "one unit"], Float[np.ndarray, "other unit"]], values: Int[np.ndarray, "picture"]
) -> dict[int, float]:
    """Give by value the AUC of the unit chosen on one half, on the other, with the sign chosen there too.

    `ranked` are the ranks of the units' responses within each of `halves_of(values)`.
    """
    halves, known = halves_of(values), values[values >= 0]
    found = {}
    for value in np.unique(known):
        positive = [values[half] == value for half in halves]
        if any(min(one.sum(), (~one).sum()) < LEAST for one in positive):
            continue
        chosen, scored = (_areas(ranks, one) for ranks, one in zip(ranked, positive, strict=True))
        best = int(np.abs(chosen - 0.5).argmax())
        found[int(value)] = float(scored[best] if chosen[best] >= 0.5 else 1 - scored[best])
    return found


def _areas(ranks: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Give the AUC of every unit from the ranks of its responses (Mann-Whitney), ties counting half."""
    inside, outside = positive.sum(), (~positive).sum()
    return (ranks[positive].sum(axis=0) - inside * (inside + 1) / 2) / (inside * outside)


def _scores(place: MemberContext, shuffled: bool) -> dict[str, float]:
    images, labels = place.images, place.images.labels
    if not isinstance(images, Described) or labels is None:
        raise ClaimsError("the attributes of the pictures are not known; name 'attributes' in the claim's needs")
    count = place.pictures
    order = np.random.Generator(np.random.PCG64(place.seed)).permutation(count) if shuffled else np.arange(count)
    free = free_attributes({name: values[:count] for name, values in images.attributes.items()}, labels[:count])
    found = {}
    for name, values in free.items():
        halves = halves_of(values[order])
        if scores := best_unit_scores(_ranked(place, halves), values[order]):
            found[name] = float(np.mean(list(scores.values())))
    if not found:
        raise ClaimsError(
            f"of {count} pictures no attribute has {LEAST} with and without a value on either half; give more of them"
        )
    return found


def _ranked(place: MemberContext, halves: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rank the responses within each half, once for all attributes that the same pictures have."""
    responses = place.once("unit responses", lambda: _responses(place))
    name = ("ranked responses", *(half.tobytes() for half in halves))
    first, second = halves
    return place.once(name, lambda: (rankdata(responses[first], axis=0), rankdata(responses[second], axis=0)))


@torch.inference_mode()
def _responses(place: MemberContext) -> np.ndarray:
    """Run all pictures once: patch means of the units of all blocks side by side, [picture, unit]."""
    subject, depth = place.subject, place.subject.card.depth
    rows = []
    for positions in place.grid:
        stream = subject.start(place.load(positions))
        means = []
        for block in range(depth):
            stream, passed = subject.watch(block, stream, ("units",))
            means.append(passed["units"][:, subject.unit_shape(block).prefix :].float().mean(dim=1).cpu())
        rows.append(torch.cat(means, dim=1).numpy())
        place.charge(float(depth * len(positions)))
    return np.concatenate(rows)
