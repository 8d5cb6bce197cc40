"""A loaded model beside the images it is measured on, and the name of every number that can be measured there."""

from collections.abc import Callable, Hashable
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any

import torch

from harness.fingerprint import Reference, Root, fingerprint, roots_in
from harness.images.batch import Batch
from harness.images.loading import chunk_of, load_pictures
from harness.images.open import ImageSet
from harness.images.sampling import batch_ranges, exchange_pairs, measuring_order, usable_grid
from harness.measurement import measured_code as code
from harness.measurement.forward import measure_chunk
from harness.measurement.plan import Arm, Weights
from harness.measurement.prefix_tree import Bill, Request
from harness.measurement.settings import Missing, Settings
from harness.models.finite import NotFiniteError
from harness.models.subject import Subject
from harness.probes.fittable import Fittable, Fitted
from harness.probes.training.files import FitPlace
from harness.probes.training.fits import fit_id
from harness.readouts.members import MemberContext
from harness.results.measurements import MeasuredBatch, MeasurementKey, Store


class LoadedModel:
    """One model in memory, its untrained twin, the images it is measured on and what was fitted for it."""

    def __init__(
        self,
        subject: Subject,
        images: ImageSet,
        store: Store,
        settings: Settings,
        train: ImageSet | None = None,
    ) -> None:
        self.subject, self.images, self.train = subject, images, train
        self.store, self.settings = store, settings
        self.grid = usable_grid(len(images), settings.batch_size)
        self.fits: dict[tuple[Weights, Fittable], Fitted] = {}
        self._shared: dict[tuple[Weights, int], dict[Hashable, object]] = {}

    @property
    def usable(self) -> int:
        """Count the images that can be measured (all but one that would be alone in the last chunk)."""
        return self.grid[-1].stop if self.grid else 0

    @property
    def classes(self) -> int:
        """Count the classes of the head, or where there is none those of the images."""
        return self.subject.card.classes or self.images.classes

    @cached_property
    def _twin(self) -> Subject:
        return self.subject.untrained(self.settings.seed)

    @cached_property
    def _hashes(self) -> dict[Weights, str]:
        return {}

    @cached_property
    def _fit_places(self) -> dict[Weights, FitPlace]:
        return {}

    @cached_property
    def _codes(self) -> dict[Weights, str]:
        return {}

    def _code(self, which: Weights) -> str:
        """Identify the code that loads the pictures and runs these weights, once."""
        if which not in self._codes:
            self._codes[which] = fingerprint(*roots_of_passes(self.weights(which), self.images))
        return self._codes[which]

    def weights(self, which: Weights) -> Subject:
        """Give the model itself or its untrained twin."""
        return self.subject if which == "given" else self._twin

    def weights_hash(self, which: Weights) -> str:
        """Hash the weights once."""
        if which not in self._hashes:
            self._hashes[which] = self.weights(which).weights_hash()
        return self._hashes[which]

    def chunk(self, positions: range) -> Batch:
        """Describe one chunk: donors and labels are fixed by the order of the images and the grid."""
        return chunk_of(self.images, positions, self.subject.card.preprocessing, self.settings)

    def load(self, positions: range) -> torch.Tensor:
        """Load one chunk of preprocessed pictures onto the device in the run's dtype."""
        return load_pictures(self.images, positions, self.subject.card.preprocessing, self.settings)

    def measure(
        self, missing: Missing, positions: range, loaded: torch.Tensor
    ) -> tuple[dict[MeasurementKey, MeasuredBatch], Bill]:
        """Measure arms on one chunk: one merged pass per set of weights."""
        chunk, bill = self.chunk(positions), Bill()
        fresh: dict[MeasurementKey, MeasuredBatch] = {}
        for which in dict.fromkeys(arm.weights for arm, _ in missing.values()):
            lane = {key: (arm, claims) for key, (arm, claims) in missing.items() if arm.weights == which}
            wanted = [
                Request(intervention=arm.intervention, readout=arm.per_image, claimants=claims)
                for arm, claims in lane.values()
            ]
            fits = {described: fit for (owner, described), fit in self.fits.items() if owner == which}
            try:
                rows = measure_chunk(self.weights(which), loaded, chunk, wanted, fits, bill)
            except NotFiniteError as error:
                claims = sorted({str(claim) for _, claimants in lane.values() for claim in claimants})
                raise error.of(str(self.images.names[positions[error.rows[0]]]), claims) from error
            fresh |= dict(zip(lane, rows, strict=True))
        return fresh, bill

    def conditions(self, which: Weights) -> dict[str, Any]:
        """Name what all numbers of these weights depend on beside images, intervention and readout."""
        return {
            "weights": self.weights_hash(which),
            "subject_code": self._code(which),
            "libraries": libraries(),
            "preprocessing": repr(self.subject.card.preprocessing),
            "batch_size": self.settings.batch_size,
            "seed": self.settings.seed,
            "dtype": self.settings.dtype,
            "device": torch.device(self.settings.device).type,
        }

    def key(self, arm: Arm) -> MeasurementKey:
        """Name the measurement of an arm by everything that it depends on."""
        place = self.fit_place(arm.weights)
        return MeasurementKey(
            **self.conditions(arm.weights),
            images=self.images.fingerprint,
            intervention=arm.intervention.key,
            intervention_code=code.of_intervention(arm.intervention),
            readout=repr(arm.readout),
            readout_code=code.of_readout(arm.per_image, arm.fits),
            fits="/".join(fit_id(place, described) for described in arm.fits),
        )

    def place(self, which: Weights, pictures: int, charge: Callable[[float], None]) -> MemberContext:
        """Give what a census looks at: these weights, and the first `pictures` of the images."""
        fit_place = self.fit_place(which)
        return MemberContext(
            subject=self.weights(which),
            images=self.images,
            train=self.train,
            grid=batch_ranges(pictures, self.settings.batch_size),
            load=self.load,
            chunk_of=self.chunk,
            seed=self.settings.seed,
            folder=fit_place.folder,
            context=f"{fit_place.context}/{self.images.fingerprint}/{pictures}",
            charge=charge,
            shared=self._shared.setdefault((which, pictures), {}),
        )

    def fit_place(self, which: Weights) -> FitPlace:
        """Say where fits of these weights are kept, and in which context they hold."""
        if which not in self._fit_places:
            self._fit_places[which] = self._new_fit_place(which)
        return self._fit_places[which]

    def _new_fit_place(self, which: Weights) -> FitPlace:
        folder = None if self.store.folder is None else self.store.folder / "fits"
        train = "" if self.train is None else f"{self.train.fingerprint}/{len(self.train)}"
        parts = (
            self.weights_hash(which),
            self._code(which),
            "" if self.train is None else fingerprint(type(self.train)),
            libraries(),
            train,
            repr(self.subject.card.preprocessing),
            f"{self.settings.dtype}/{self.settings.batch_size}/{self.settings.seed}",
            torch.device(self.settings.device).type,
        )
        return FitPlace(folder=folder, context="/".join(parts))


def roots_of_passes(subject: Subject, images: ImageSet) -> list[Root | Reference]:
    """List the code that loads these pictures and runs this model: its family's, and no other family's."""
    order = (measuring_order, usable_grid, exchange_pairs)
    return [measure_chunk, chunk_of, load_pictures, *order, type(images), *roots_in(subject)]


@cache
def libraries() -> str:
    """Name the versions of the libraries behind a number, read once: looking one up reads files."""
    return ", ".join(f"{package} {version(package)}" for package in ("torch", "timm", "pillow"))
