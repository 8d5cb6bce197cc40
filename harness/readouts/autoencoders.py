"""What fits of autoencoders with two heads reach on test pictures (arXiv 2401.09237): one number per fit.

A fit is one seed: its initial weights and the order of its pictures. Everything of one fit shares both, whatever the
trade-off and the width, so that numbers of one fit are paired.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from harness.errors import NotApplicable
from harness.probes.training.files import FitPlace
from harness.readouts.members import MemberContext
from harness.trainings.autoencoder import Autoencoder, Untrained
from harness.trainings.pictures import TrainingPictures, grey_pictures, of_known_classes
from harness.trainings.recipe import trained
from harness.trainings.two_heads import Scores, scores

CLASSIFICATION, RECONSTRUCTION = 0.0, 1.0  # the trade-offs at which one objective alone teaches the encoder
SWEEP = (CLASSIFICATION, 0.1, 0.5, 0.9, 0.99, 0.999, RECONSTRUCTION)
LADDER = (2, 4, 8, 16, 32, 64)  # latent widths that are tried, the narrowest first
LEARNED = 0.8  # of the mean picture's error: above it a network has learned to reconstruct nothing yet
LARGEST = 5.0  # cut of ratios that have no upper end
Number = Literal["error", "accuracy", "lost reconstruction", "lost classification"]


@dataclass(frozen=True, kw_only=True)
class AutoencoderNumber:
    """One number of a fit at one trade-off: 0 is classification alone, 1 reconstruction alone.

    "error" is the squared error over that of the mean training picture, "accuracy" the share of right answers; "lost
    reconstruction" is (error - error at 1) / (1 - error at 1), "lost classification" (accuracy at 0 - accuracy) /
    (accuracy at 0 - chance), both 0 where the denominator is not positive, and with `draw` against the fit of draw 0.

    `width` None is the narrowest latent of LADDER at which this fit's reconstruction alone gets below LEARNED of the
    mean picture's error (the widest if none does); `times` widens it. `hidden`, `untrained`, `draw`, `steps`, `batch`
    and `rate` are those of the `Autoencoder`.
    """

    number: Number
    trade_off: float
    width: int | None = None
    times: int = 1
    hidden: tuple[int, ...] = ()
    untrained: Untrained = "nothing"
    draw: int = 0
    steps: int = 700
    batch: int = 128
    rate: float = 1e-3
    low = -LARGEST
    high = LARGEST

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        """Train the fits that are not there yet, and read them; ClaimsError for one that diverged."""
        return np.array([np.clip(self._read(_Fit(place, int(member))), self.low, self.high) for member in members])

    def trainings(self, seed: int) -> tuple[Autoencoder, ...]:
        """List what is trained for one fit where the first rung of the ladder is wide enough."""
        width = self.times * (LADDER[0] if self.width is None else self.width)
        found = [] if self.width is not None else [self.recipe(seed, LADDER[0], RECONSTRUCTION, plain=True)]
        found.append(self.recipe(seed, width, self.trade_off, draw=self.draw))
        if self.number in ("lost reconstruction", "lost classification"):
            against = RECONSTRUCTION if self.number == "lost reconstruction" else CLASSIFICATION
            found.append(self.recipe(seed, width, against))
        return tuple(dict.fromkeys(found))

    def recipe(self, seed: int, width: int, trade_off: float, draw: int = 0, plain: bool = False) -> Autoencoder:
        """Say what is trained for one trade-off, `plain` without hidden layers and with everything learning.

        The inner trade-offs of a sweep are trained side by side, and each end by itself: ends are all that a ladder of
        widths needs.
        """
        alone = trade_off in (CLASSIFICATION, RECONSTRUCTION) or self.hidden or self.width is not None
        return Autoencoder(
            seed=seed,
            steps=self.steps,
            batch=self.batch,
            rate=self.rate,
            width=width,
            trade_offs=(trade_off,) if alone else SWEEP[1:-1],
            hidden=() if plain else self.hidden,
            untrained="nothing" if plain else self.untrained,
            draw=draw,
        )

    def _read(self, fit: "_Fit") -> float:
        width = self.times * (fit.narrowest(self) if self.width is None else self.width)
        own = fit.reach(self.recipe(fit.seed, width, self.trade_off, draw=self.draw), self.trade_off)
        if self.number == "error":
            return own.error
        if self.number == "accuracy":
            return own.accuracy
        if self.number == "lost reconstruction":
            best = fit.reach(self.recipe(fit.seed, width, RECONSTRUCTION), RECONSTRUCTION).error
            return (own.error - best) / (1.0 - best) if best < 1.0 else 0.0
        best = fit.reach(self.recipe(fit.seed, width, CLASSIFICATION), CLASSIFICATION).accuracy
        return (best - own.accuracy) / (best - own.chance) if best > own.chance else 0.0


@dataclass(frozen=True)
class _Reached:
    """What one member reached: its error over the mean picture's, its accuracy, and that of guessing."""

    error: float
    accuracy: float
    chance: float


@dataclass(frozen=True)
class _Fit:
    """One fit of a place: trains what is asked of it, once."""

    place: MemberContext
    member: int

    @property
    def seed(self) -> int:
        """Draw the seed of the fit from that of the run."""
        return int(np.random.SeedSequence([self.place.seed, self.member]).generate_state(1)[0])

    def narrowest(self, asked: AutoencoderNumber) -> int:
        """Find the narrowest latent from which reconstruction alone learns anything."""
        ladder = ((width, asked.recipe(self.seed, width, RECONSTRUCTION, plain=True)) for width in LADDER)
        reached = (width for width, recipe in ladder if self.reach(recipe, RECONSTRUCTION).error <= LEARNED)
        return next(reached, LADDER[-1])

    def reach(self, recipe: Autoencoder, trade_off: float) -> _Reached:
        """Give what the member of a trade-off reached."""
        found = self.place.once(("autoencoder", recipe), lambda: self._scores(recipe))
        member = recipe.trade_offs.index(trade_off)
        error = float(found.error[member]) / found.mean_picture
        return _Reached(error, float(found.accuracy[member]), 1.0 / found.classes)

    def _scores(self, recipe: Autoencoder) -> Scores:
        train, test = pictures_of(self.place)
        kept = FitPlace(folder=self.place.folder, context=self.place.context)
        return scores(trained(recipe, train, kept, self.place.advance), test, train)


def pictures_of(place: MemberContext) -> tuple[TrainingPictures, TrainingPictures]:
    """Load the pictures to train on and those to test on, once; NotApplicable where there are none to train on."""
    if place.train is None:
        raise NotApplicable("no training images are given (--train-data)")
    train = place.train
    return place.once(
        "grey pictures", lambda: of_known_classes(grey_pictures(train), grey_pictures(place.images, place.pictures))
    )
