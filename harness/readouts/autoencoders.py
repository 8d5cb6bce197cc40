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
from harness.trainings.pictures import TrainingPictures, grey_pictures
from harness.trainings.recipe import trained
from harness.trainings.two_heads import Scores, scores

SWEEP = (0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0)
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

    def _read(self, fit: "_Fit") -> float:
        width = self.times * (fit.narrowest(self) if self.width is None else self.width)
        own = fit.reach(self, width, self.draw)
        if self.number == "error":
            return own.error
        if self.number == "accuracy":
            return own.accuracy
        if self.number == "lost reconstruction":
            best = fit.reach(self, width, 0, 1.0).error
            return (own.error - best) / (1.0 - best) if best < 1.0 else 0.0
        best, chance = fit.reach(self, width, 0, 0.0).accuracy, 1.0 / own.classes
        return (best - own.accuracy) / (best - chance) if best > chance else 0.0


@dataclass(frozen=True)
class _Reached:
    """What one member reached: its error over the mean picture's, its accuracy, and among how many classes."""

    error: float
    accuracy: float
    classes: int


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
        reached = (width for width in LADDER if self.reach(asked, width, 0, 1.0, plain=True).error <= LEARNED)
        return next(reached, LADDER[-1])

    def reach(
        self, asked: AutoencoderNumber, width: int, draw: int, trade_off: float | None = None, plain: bool = False
    ) -> _Reached:
        """Give what the member of a trade-off (None: the one asked for) reached; `plain` without hidden layers."""
        wanted = asked.trade_off if trade_off is None else trade_off
        recipe = Autoencoder(
            seed=self.seed,
            steps=asked.steps,
            batch=asked.batch,
            rate=asked.rate,
            width=width,
            trade_offs=self._together(asked, wanted),
            hidden=() if plain else asked.hidden,
            untrained="nothing" if plain else asked.untrained,
            draw=draw,
        )
        found, number = self.place.once(("autoencoder", recipe), lambda: self._scores(recipe)), recipe.trade_offs
        at = number.index(wanted)
        return _Reached(float(found.error[at]) / found.mean_picture, float(found.accuracy[at]), found.classes)

    def _together(self, asked: AutoencoderNumber, wanted: float) -> tuple[float, ...]:
        """List the trade-offs that are trained side by side: the inner ones, and each end by itself.

        The ends are all that a ladder of widths needs; numbers that are read now tell which inner ones are wanted.
        """
        return (wanted,) if wanted in (SWEEP[0], SWEEP[-1]) or asked.hidden or asked.width else SWEEP[1:-1]

    def _scores(self, recipe: Autoencoder) -> Scores:
        train, test = pictures_of(self.place)
        kept = FitPlace(folder=self.place.folder, context=self.place.context)
        return scores(trained(recipe, train, kept, self.place.advance), test, train)


def pictures_of(place: MemberContext) -> tuple[TrainingPictures, TrainingPictures]:
    """Load the pictures to train on and those to test on, once; NotApplicable where there are none to train on."""
    if place.train is None:
        raise NotApplicable("no training images are given (--train-data)")
    train = place.train
    return (
        place.once("training pictures", lambda: grey_pictures(train)),
        place.once("test pictures", lambda: grey_pictures(place.images, place.pictures)),
    )
