"""Two sets of outcomes per image side by side: which arms changed, on which images, and which changes are no chance."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.judging.paired_change import ERROR, Change, adjusted, compare, noticeable
from harness.results.accepted_outcomes import AcceptedClaim

Claims = Mapping[tuple[str, str], AcceptedClaim]


@dataclass(frozen=True, kw_only=True)
class ArmChange:
    """How one arm changed; `p` is adjusted for all arms that were compared beside it."""

    model: str
    claim: str
    arm: str
    images: str
    change: Change
    p: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two sets of outcomes tell: arms with changed images, and claims that could not be compared, with why."""

    changed: tuple[ArmChange, ...]
    arms: int
    counts: tuple[int, ...]
    unpaired: tuple[tuple[str, str, str], ...]

    def drifts(self, error: float = ERROR) -> list[ArmChange]:
        """List the changes that are no chance, the most evident first."""
        return sorted((one for one in self.changed if one.p <= error), key=lambda one: one.p)

    def resolution(self) -> str:
        """Say which drift of a mean of 0/1 outcomes would have been noticed."""
        if not self.counts:
            return "no arm was compared"
        tests = len(self.counts)
        few, half, many = min(self.counts), int(np.median(self.counts)), max(self.counts)
        told = ", ".join(
            f"{_points(noticeable(count, tests))} on {count} images" for count in sorted({few, half, many})
        )
        return f"{self.arms} arms compared; noticed would be a one-way drift of a mean by at least {told}"


def compare_outcomes(before: Claims, after: Claims) -> Comparison:
    """Compare every arm that both sides hold, paired by image; arms with the same numbers on both sides are one test.

    In claims whose images exchange something a pair of neighbours counts once.
    """
    unpaired: list[tuple[str, str, str]] = []
    found: list[tuple[str, str, str, str]] = []
    pairs: dict[str, Change] = {}
    for (model, claim), now in after.items():
        then = before.get((model, claim))
        if then is None:
            unpaired.append((model, claim, "only one side holds outcomes"))
        elif then.images != now.images:
            unpaired.append((model, claim, "they were measured on other pictures"))
        elif not set(then.arms) & set(now.arms):
            unpaired.append((model, claim, "they have no arm in common"))
        else:
            for arm in now.arms:
                if arm in then.arms:
                    key = f"{now.exchanged} {now.smallest_change} {_digest(then.arms[arm], now.arms[arm])}"
                    smallest = now.smallest_change
                    if key not in pairs:
                        pairs[key] = compare(then.arms[arm], now.arms[arm], exchanged=now.exchanged, smallest=smallest)
                    found.append((model, claim, arm, key))
    levels = dict(zip(pairs, adjusted(list(pairs.values())), strict=True))
    changed = tuple(
        ArmChange(
            model=model,
            claim=claim,
            arm=arm,
            images=after[model, claim].images,
            change=pairs[key],
            p=float(levels[key]),
        )
        for model, claim, arm, key in found
        if pairs[key].count
    )
    counts = tuple(pairs[key].images for key in pairs)
    return Comparison(changed=changed, arms=len(found), counts=counts, unpaired=tuple(unpaired))


def _digest(before: np.ndarray, after: np.ndarray) -> str:
    images = min(len(before), len(after))
    hashed = hashlib.sha256(before[:images].tobytes())
    hashed.update(after[:images].tobytes())
    return hashed.hexdigest()


def _points(share: float) -> str:
    return "more than 100 points" if share > 1 else f"{100 * share:.1f} points"
