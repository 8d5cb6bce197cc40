"""What claims about a family of fits would take: trainings, in seconds of this machine, from a few steps of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from harness.errors import NotApplicable
from harness.images.open import ImageSet, open_images
from harness.images.procedural_switches import has_training_pictures
from harness.judging.discovery import Claim
from harness.judging.ledger import ClaimSpec, missing_data
from harness.judging.typical import typical_p
from harness.measurement.plan import propose
from harness.running.run_images import have
from harness.trainings.families import TRAINED_ON, family_card
from harness.trainings.pictures import grey_pictures
from harness.trainings.recipe import Recipe, seconds_of

PARTS = 3  # of a verdict, effect, control and gate, among which its error is about divided


@runtime_checkable
class TellsTrainings(Protocol):
    """A reading of fits that says what it trains for one of them."""

    def trainings(self, seed: int) -> tuple[Recipe, ...]:
        """List the recipes of one fit, the narrowest of a ladder where that is searched."""


@dataclass(frozen=True, kw_only=True)
class PlannedFits:
    """One claim before it runs: the fits that a clear verdict takes, and the seconds of one of them.

    `recipes` are what one fit trains; claims that share some train them once. `reason` says why it cannot be asked.
    """

    spec: ClaimSpec
    fits: int = 0
    recipes: tuple[Recipe, ...] = ()
    reason: str = ""


def training_pictures(family: str, data: str | None, train_data: str | None) -> ImageSet | None:
    """Open the pictures that a family would be trained on; None where a run would have none."""
    if train_data is None and not has_training_pictures(data):
        return None
    named, card = train_data or data, family_card(family)
    return open_images(named, seed=0, split="train", limit=TRAINED_ON, card=card)


def plan_fits(family: str, claims: Iterable[Claim], train: ImageSet | None) -> Iterator[PlannedFits]:
    """Plan the claims about a family: which recipes a fit needs, and how many fits."""
    card = family_card(family)
    for claim in claims:
        met = {**have(None, claim.spec.looked_at, 0.0), "train": train is not None}
        if reason := missing_data(claim.spec.needs, "", met):
            yield PlannedFits(spec=claim.spec, reason=reason)
            continue
        try:
            plan = propose(claim.function, claim.spec, card)
        except NotApplicable as refusal:
            yield PlannedFits(spec=claim.spec, reason=str(refusal))
            continue
        readouts = [arm.readout for arm in plan.arms.values()]
        recipes = [one for readout in readouts if isinstance(readout, TellsTrainings) for one in readout.trainings(0)]
        chunk = 1 if plan.census is None else plan.census.chunk
        fits = min(claim.spec.budget, -(-agreeing(claim.spec.delta) // chunk) * chunk)
        yield PlannedFits(spec=claim.spec, fits=fits, recipes=tuple(dict.fromkeys(recipes)))


def agreeing(delta: float) -> int:
    """Count the fits that decide a verdict if they all agree."""
    count = 1
    while typical_p(np.ones(count, dtype=bool), np.zeros(count, dtype=bool))[0] > delta / PARTS:
        count += 1
    return count


def seconds_by_recipe(planned: Iterable[PlannedFits], train: ImageSet) -> dict[Recipe, float]:
    """Time a few steps of every recipe on the training pictures, in seconds of a whole training."""
    pictures = grey_pictures(train)
    recipes = dict.fromkeys(recipe for one in planned for recipe in one.recipes)  # claims share some
    return {recipe: seconds_of(recipe, pictures) for recipe in recipes}
