"""The members of a census in a random order, as a table on which arms are measured."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from harness.errors import ClaimsError, NotApplicable
from harness.images.open import ImageSet
from harness.images.sampling import batch_ranges, measuring_order
from harness.judging.ledger import ClaimSpec
from harness.measurement import measured_code as code
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.on_images import OnImages
from harness.measurement.picture_batches import Replicate
from harness.measurement.plan import Arm
from harness.measurement.prefix_tree import Bill
from harness.measurement.settings import CLASSES, Advance, Missing, silent
from harness.readouts.members import Batches, FinitePopulation, Fits, MemberContext, MemberReadout, TrainBatches
from harness.results.measurements import MeasuredBatch, MeasurementKey, refuse_outside

MOST_FITS = 10_000  # no claim may use as many
FEWEST_PICTURES = 100  # to train a fit on, and to test it: with fewer, numbers of all fits err alike
FEWEST_BATCHES = 2  # with fewer nothing can ever be decided; how many it takes depends on how alike they are


class OnMembers:
    """All members of a population, in an order drawn by the seed of the run (a `MeasurementSource`).

    Every statement about it is about exactly these members, and about the first `pictures` of the set where pictures
    are looked at; with several models all must have the same number of members. Batches of pictures are no finite
    population: they stand for all such batches, in the order of the pictures, which is random.

    Raises NotApplicable where a model has no such members, or where the pictures make fewer than FEWEST_BATCHES.
    """

    population: int | None

    def __init__(self, images: OnImages, census: FinitePopulation, pictures: int, advance: Advance = silent) -> None:
        self.images, self.census, self.advance = images, census, advance
        self.settings, self.store, self.what = images.settings, images.store, census.what
        self._replicate: Replicate | None = None
        if pictures and self.settings.target == CLASSES:
            raise NotApplicable(
                f"--claims-target classes: the claim is about {self.what} and looks at {pictures} pictures for them, "
                "which stand for no other classes"
            )
        self.pictures = min(pictures, images.usable, images.settings.max_images or pictures)
        if isinstance(census, Batches):
            self._cut_batches(pictures)
            return
        if isinstance(census, Fits):
            self._refuse_few_pictures()
            self.population, self._order = None, np.arange(MOST_FITS)
            self.grid = batch_ranges(MOST_FITS, census.chunk)
            return
        counts = {one.subject.card.name: census.members(one.subject) for one in images.models}
        if len(set(counts.values())) != 1:
            raise ClaimsError(f"a census of {self.what} over several models needs as many of each; there are {counts}")
        (count,) = set(counts.values())
        if not count:
            raise NotApplicable(f"{next(iter(counts))} has no {self.what}")
        self.population = count
        self.grid = batch_ranges(count, census.chunk)
        self._order = measuring_order(count, images.settings.seed)

    def _refuse_few_pictures(self) -> None:
        train = self.images.models[0].train
        for count, what in ((self.pictures, "test"), (FEWEST_PICTURES if train is None else len(train), "training")):
            if count < FEWEST_PICTURES:
                raise NotApplicable(f"a fit takes {FEWEST_PICTURES} {what} pictures or more; there are {count}")

    def _cut_batches(self, size: int) -> None:
        """Cut the pictures, which are in random order, into batches."""
        train = self.images.models[0].train
        if isinstance(self.census, TrainBatches):
            size, most = size * self.classes, 0 if train is None else len(train)
        else:
            most = min(self.images.usable, self.settings.max_images or self.images.usable)
        if most // size < FEWEST_BATCHES:
            raise NotApplicable(
                f"the claim is about batches of {size} pictures and takes {FEWEST_BATCHES} or more; "
                f"{most} pictures are here"
            )
        self.population, self.pictures = None, size
        self.grid = batch_ranges(most // size, self.census.chunk)
        self._order = np.arange(most // size)

    @property
    def models(self) -> tuple[LoadedModel, ...]:
        """List the models."""
        return self.images.models

    @property
    def classes(self) -> int:
        """Count the classes of the head or of the images."""
        return self.images.classes

    @property
    def usable(self) -> int:
        """Count the members: all of them can be measured."""
        return len(self._order)

    @property
    def pairs(self) -> np.ndarray:
        """List no pairs: members exchange nothing."""
        return np.zeros(0, dtype=np.int64)

    neighbours = pairs

    def groups(self, pairs: np.ndarray | None, images: int) -> None:
        """Group nothing: every member counts by itself."""

    def most(self, spec: ClaimSpec) -> int:
        """Give the most members that a claim may use; a cap on images caps the pictures instead."""
        return min(spec.budget, self.usable)

    def pictures_behind(self, members: int) -> int:
        """Count the pictures that the numbers of so many members rest on; 0 for weights alone."""
        return members * self.pictures if isinstance(self.census, Batches) else self.pictures

    def model_of(self, arm: Arm) -> LoadedModel:
        """Give the model that an arm is about."""
        return self.images.model_of(arm)

    def key(self, arm: Arm) -> MeasurementKey:
        """Name the members' numbers by weights, pictures, order and code."""
        model, readout = self.model_of(arm), _member_readout(arm)
        among = "" if self.population is None else f" of {self.population}"
        return MeasurementKey(
            **model.conditions(arm.weights),
            images=f"{self.census!r}{among}, looking at {self.pictures} of {self._looked_at(model).fingerprint}",
            intervention="none",
            intervention_code="",
            readout=repr(readout),
            readout_code=code.of_member_readout(readout, self.census),
            fits="" if model.train is None else f"{model.train.fingerprint}/{len(model.train)}",
        )

    def load(self, positions: range) -> None:
        """Load nothing: a reading looks at pictures itself."""

    def measure(
        self, missing: Missing, positions: range, loaded: Any
    ) -> tuple[dict[MeasurementKey, MeasuredBatch], Bill]:
        """Read the members at these places of the order."""
        members, bill = self._order[positions.start : positions.stop], Bill()
        fresh = {}
        for key, (arm, claimants) in missing.items():
            spent: list[float] = []
            readout = _member_readout(arm)
            same = [
                other for other, _ in missing.values() if (other.subject, other.weights) == (arm.subject, arm.weights)
            ]
            place = self._place(arm, members, spent.append)
            place = replace(place, beside=tuple(map(_member_readout, same)), advance=self.advance)
            numbers = np.asarray(readout.numbers(place, members), dtype=float)
            if numbers.shape != members.shape:
                raise ClaimsError(f"{readout!r} read numbers of shape {numbers.shape} for {len(members)} members")
            refuse_outside(numbers, (readout.low, readout.high), repr(readout), "member", members.tolist())
            fresh[key] = MeasuredBatch(numbers=numbers)
            bill.charge(set(claimants), sum(spent))
        return fresh, bill

    def _place(self, arm: Arm, members: np.ndarray, charge: Callable[[float], None]) -> MemberContext:
        """Give what a reading of these members looks at; a batch is kept while its arms are read."""
        model = self.model_of(arm)
        if not isinstance(self.census, Batches):
            return model.place(arm.weights, self.pictures, charge)
        (number,) = members
        if self._replicate is None or self._replicate.number != number:
            self._replicate = Replicate(int(number), self.pictures, self.settings.seed)
        return self._replicate.place(model, self._looked_at(model), arm.weights, charge)

    def _looked_at(self, model: LoadedModel) -> ImageSet:
        if not isinstance(self.census, TrainBatches):
            return model.images
        assert model.train is not None, "without training pictures there are no batches of them"
        return model.train


def _member_readout(arm: Arm) -> MemberReadout:
    """Give the readout, which `propose` has made sure of: to ask a protocol again for every number would cost more."""
    return cast(MemberReadout, arm.readout)


def _place_of(arm: Arm) -> tuple[str, str]:
    return arm.subject, arm.weights
