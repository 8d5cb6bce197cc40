"""What is read of optimized pictures: whether they drive their unit, and it alone, and how they look."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from harness.fingerprint import fingerprint, roots_in
from harness.images.thumbnails import Picture
from harness.models.sites import Site
from harness.models.subject import ModelCard
from harness.probes.training.files import FitPlace
from harness.readouts.featvis.optimize import Recipe, Wanted, activations, high_frequency_share, optimize, transfer
from harness.readouts.featvis.sheets import unit_strip
from harness.readouts.members import MemberContext
from harness.readouts.units.activations import Table, unit_rows
from harness.readouts.units.members import UnitsOf

SPECIFIC = 0.05  # rank share among the units of the block up to which a picture counts as specific (catalogue, A1)
GREY = 0.5  # on the [0, 1] scale
SHOWN = 8  # units of which a result keeps pictures
SITE: Site = "units"


@dataclass(frozen=True, kw_only=True)
class DrivesUnit:
    """1 where a picture activates the unit more than every picture of the set: its optimized one, or a grey one."""

    census: UnitsOf
    recipe: Recipe
    picture: Literal["optimized", "grey"] = "optimized"
    low = 0.0
    high = 1.0

    @property
    def tables(self) -> tuple[Table, ...]:
        """Name the rows that it reads."""
        return tuple(Table(block, SITE) for block in self.census.blocks)

    def evaluations(self, card: ModelCard, members: int) -> Mapping[Hashable, float]:
        """Count the making of the pictures."""
        return {} if self.picture == "grey" else _making(self.census, members, self.recipe)

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read units."""
        found = np.zeros(len(members))
        for block, (where, units) in self.census.places(place.subject, members).items():
            driven = _responses(place, block, units, self.recipe)[np.arange(len(units)), units]
            if self.picture == "grey":
                grey = torch.full((1, 3, *place.subject.card.preprocessing.size), GREY)
                driven = activations(place.subject, grey, block, SITE)[0, units].double().cpu().numpy()
            found[where] = driven > unit_rows(place, Table(block, SITE)).top[0, units]
        return found

    def pictures(self, place: MemberContext) -> Sequence[Picture]:
        """Show the first units of the census: optimized picture, top pictures, and where the unit is active there."""
        if self.picture == "grey":
            return ()
        members = np.random.Generator(np.random.PCG64(place.seed)).permutation(self.census.members(place.subject))
        shown = []
        for block, (_, units) in self.census.places(place.subject, members[: self.census.chunk]).items():
            optimized = pictures_of(place, block, units, self.recipe)
            rows = range(min(len(units), SHOWN // len(self.census.blocks)))
            shown += [unit_strip(place, block, int(units[row]), optimized[row]) for row in rows]
        return shown


@dataclass(frozen=True, kw_only=True)
class IsSpecific:
    """1 where a unit is among the first SPECIFIC of its block on its optimized picture, activations z-scored.

    Means and deviations are those over the pictures of the set; equals count half. "swapped" scores the picture of
    another unit that is optimized beside it.
    """

    census: UnitsOf
    recipe: Recipe
    scored: Literal["own", "swapped"] = "own"
    low = 0.0
    high = 1.0

    @property
    def tables(self) -> tuple[Table, ...]:
        """Name the rows that it reads."""
        return tuple(Table(block, SITE) for block in self.census.blocks)

    def evaluations(self, card: ModelCard, members: int) -> Mapping[Hashable, float]:
        """Count the making of the pictures."""
        return _making(self.census, members, self.recipe)

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read units."""
        found = np.zeros(len(members))
        for block, (where, units) in self.census.places(place.subject, members).items():
            rows, responses = unit_rows(place, Table(block, SITE)), _responses(place, block, units, self.recipe)
            scores = np.divide(responses - rows.mean, rows.std, out=np.zeros_like(responses), where=rows.std > 0)
            asked = (
                units
                if self.scored == "own"
                else np.where(len(units) > 1, np.roll(units, 1), (units + 1) % rows.mean.size)
            )
            own = scores[np.arange(len(units)), asked][:, None]
            ahead = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2
            found[where] = ahead / scores.shape[1] <= SPECIFIC
        return found


@dataclass(frozen=True, kw_only=True)
class HighFrequency:
    """Share of the spectral power of the optimized picture beyond half the Nyquist radius."""

    census: UnitsOf
    recipe: Recipe
    low = 0.0
    high = 1.0

    def evaluations(self, card: ModelCard, members: int) -> Mapping[Hashable, float]:
        """Count the making of the pictures."""
        return _making(self.census, members, self.recipe)

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read units."""
        found = np.zeros(len(members))
        for block, (where, units) in self.census.places(place.subject, members).items():
            found[where] = high_frequency_share(pictures_of(place, block, units, self.recipe)).cpu().numpy()
        return found


@dataclass(frozen=True, kw_only=True)
class Transfers:
    """Activation under fresh views of the full recipe, over the larger of that and the rival picture's; at least 0."""

    census: UnitsOf
    recipe: Recipe
    rival: Recipe
    views: Recipe
    low = 0.0
    high = 1.0

    def evaluations(self, card: ModelCard, members: int) -> Mapping[Hashable, float]:
        """Count the making of the pictures."""
        return _making(self.census, members, self.recipe, self.rival)

    def numbers(self, place: MemberContext, members: np.ndarray) -> np.ndarray:
        """Read units."""
        found = np.zeros(len(members))
        for block, (where, units) in self.census.places(place.subject, members).items():
            own, other = (self._transfer(place, block, units, recipe) for recipe in (self.recipe, self.rival))
            larger = np.maximum(own, other)
            found[where] = np.divide(own, larger, out=np.zeros_like(own), where=larger > 0)
        return found

    def _transfer(self, place: MemberContext, block: int, units: np.ndarray, recipe: Recipe) -> np.ndarray:
        name = ("transfer", block, tuple(units.tolist()), recipe, self.views)
        wanted, pixels = _wanted(block, units), pictures_of(place, block, units, recipe)
        made = place.once(name, lambda: transfer(place.subject, pixels, wanted, self.views, place.seed))
        return np.maximum(made.double().cpu().numpy(), 0.0)


def pictures_of(place: MemberContext, block: int, units: np.ndarray, recipe: Recipe, site: Site = SITE) -> Tensor:
    """Give optimized pictures [unit, channel, row, column] of units that are optimized together, made once and kept."""
    wanted = Wanted(block=block, site=site, units=tuple(units.tolist()))
    return place.once(("optimized", wanted, recipe), lambda: _load_or_make(place, wanted, recipe))


def _load_or_make(place: MemberContext, wanted: Wanted, recipe: Recipe) -> Tensor:
    subject = place.subject
    weights = place.once("weights", subject.weights_hash)
    files = FitPlace(folder=place.folder, context=f"{weights}/{subject.card.preprocessing}/{place.seed}")
    name = files.id((wanted, recipe), fingerprint(optimize, *roots_in(recipe, subject)))
    kept = files.read(name)
    if kept is not None:
        return torch.from_numpy(kept["pixels"])
    pixels = optimize(subject, wanted, recipe, place.seed, place.charge)
    files.write(name, {"pixels": pixels.float().cpu().numpy()})
    return pixels


def _making(census: UnitsOf, members: int, *recipes: Recipe) -> dict[Hashable, float]:
    """Count the making of the pictures of members that are spread evenly over the blocks of the census."""
    middle = sum(census.blocks) / len(census.blocks)
    return {("optimized", recipe): recipe.evaluations(middle, members) for recipe in recipes}


def _wanted(block: int, units: np.ndarray) -> Wanted:
    return Wanted(block=block, site=SITE, units=tuple(units.tolist()))


def _responses(place: MemberContext, block: int, units: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Give the activation of every unit of the block on each of these optimized pictures [picture, unit]."""
    pixels = pictures_of(place, block, units, recipe)
    name = ("responses", block, tuple(units.tolist()), recipe)
    return place.once(name, lambda: activations(place.subject, pixels, block, SITE).double().cpu().numpy())
