"""The members of a census in a random order, as a table on which arms are measured."""

from typing import Any

import numpy as np

from harness.errors import ClaimsError, NotApplicable
from harness.images.sampling import batch_ranges, measuring_order
from harness.judging.ledger import ClaimSpec
from harness.measurement import measured_code as code
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.on_images import OnImages
from harness.measurement.plan import Arm
from harness.measurement.prefix_tree import Bill
from harness.measurement.settings import Missing
from harness.readouts.members import FinitePopulation, MemberReadout
from harness.results.measurements import MeasuredBatch, MeasurementKey, refuse_outside


class OnMembers:
    """All members of a population, in an order drawn by the seed of the run (a `MeasurementSource`).

    Every statement about it is about exactly these members, and about the first `pictures` of the set where pictures
    are looked at; with several models all must have the same number of members.

    Raises NotApplicable where a model has no such members.
    """

    def __init__(self, images: OnImages, census: FinitePopulation, pictures: int) -> None:
        self.images, self.census = images, census
        self.settings, self.store, self.what = images.settings, images.store, census.what
        self.pictures = min(pictures, images.usable, images.settings.max_images or pictures)
        counts = {one.subject.card.name: census.members(one.subject) for one in images.models}
        if len(set(counts.values())) != 1:
            raise ClaimsError(f"a census of {self.what} over several models needs as many of each; there are {counts}")
        (self.population,) = set(counts.values())
        if not self.population:
            raise NotApplicable(f"{next(iter(counts))} has no {self.what}")
        self.grid = batch_ranges(self.population, census.chunk)
        self._order = measuring_order(self.population, images.settings.seed)

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
        return self.population

    @property
    def pairs(self) -> np.ndarray:
        """List no pairs: members exchange nothing."""
        return np.zeros(0, dtype=np.int64)

    def most(self, spec: ClaimSpec) -> int:
        """Give the most members that a claim may use; a cap on images caps the pictures instead."""
        return min(spec.budget, self.population)

    def model_of(self, arm: Arm) -> LoadedModel:
        """Give the model that an arm is about."""
        return self.images.model_of(arm)

    def key(self, arm: Arm) -> MeasurementKey:
        """Name the members' numbers by weights, pictures, order and code."""
        model, readout = self.model_of(arm), _member_readout(arm)
        return MeasurementKey(
            **model.conditions(arm.weights),
            images=f"{self.census!r} of {self.population}, looking at {self.pictures} of {model.images.fingerprint}",
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
            place = self.model_of(arm).place(arm.weights, self.pictures, spent.append)
            readout = _member_readout(arm)
            numbers = np.asarray(readout.numbers(place, members), dtype=float)
            if numbers.shape != members.shape:
                raise ClaimsError(f"{readout!r} read numbers of shape {numbers.shape} for {len(members)} members")
            refuse_outside(numbers, (readout.low, readout.high), repr(readout), "member", members.tolist())
            fresh[key] = MeasuredBatch(numbers=numbers)
            bill.charge(set(claimants), sum(spent))
        return fresh, bill


def _member_readout(arm: Arm) -> MemberReadout:
    assert isinstance(arm.readout, MemberReadout), "propose() lets no other readout into a census"
    return arm.readout
