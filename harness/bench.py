"""A loaded model beside the images it is measured on, and the name of every number that can be measured there."""

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from harness import readouts
from harness.chunks import donors, exchange_pairs, usable_grid
from harness.fits import FitPlace
from harness.images import ImageSet
from harness.interventions import Chunk, code_revision
from harness.object_marks import ObjectMarks
from harness.plan import Arm, Weights
from harness.probes import Fit, Probe
from harness.store import MeasurementKey, Store
from harness.subject import Subject

BEHIND_EVERY_NUMBER = (
    *("chunks.py", "embedded_images.py", "object_marks.py", "passes.py", "pixel_edits.py"),
    *("pixels.py", "program_tree.py", "sites.py", "stored_marks.py", "stored_images.py", "subject.py"),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run may vary without changing a claim; `delta` and `max_images` None leave it to the ledger.

    `population` judges the image set itself (sampling without replacement) and not the distribution behind it.
    """

    batch_size: int = 64
    delta: float | None = None
    max_images: int | None = None
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    population: bool = False


class Bench:
    """One loaded model beside the images it is measured on."""

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
        self.fits: dict[tuple[Weights, Probe], Fit] = {}

    @property
    def usable(self) -> int:
        """Count the images that can be measured (all but one that would be alone in the last chunk)."""
        return self.grid[-1].stop if self.grid else 0

    @cached_property
    def pairs(self) -> np.ndarray:
        """List the pairs of images that exchange class tokens and count, by their first positions [pair]."""
        return exchange_pairs(self.images.labels, self.grid)

    @cached_property
    def _twin(self) -> Subject:
        return self.subject.untrained(self.settings.seed)

    @cached_property
    def _hashes(self) -> dict[Weights, str]:
        return {}

    def weights(self, which: Weights) -> Subject:
        """Give the model itself or its untrained twin."""
        return self.subject if which == "given" else self._twin

    def weights_hash(self, which: Weights) -> str:
        """Hash the weights once."""
        if which not in self._hashes:
            self._hashes[which] = self.weights(which).weights_hash()
        return self._hashes[which]

    def chunk(self, positions: range) -> Chunk:
        """Describe one chunk: donors and labels are fixed by the order of the images and the grid."""
        labels = self.images.labels
        device = self.settings.device
        return Chunk(
            positions=positions,
            donors=torch.from_numpy(donors(len(positions))).to(device),
            labels=None if labels is None else torch.from_numpy(labels[positions.start : positions.stop]).to(device),
            seed=self.settings.seed,
            marks=ObjectMarks(self.images, positions, self.subject.card.preprocessing, device),
        )

    def load(self, positions: range) -> torch.Tensor:
        """Load one chunk of preprocessed pictures onto the device in the run's dtype."""
        batch = self.images.load(positions, self.subject.card.preprocessing)
        return batch.to(device=self.settings.device, dtype=getattr(torch, self.settings.dtype))

    def key(self, arm: Arm) -> MeasurementKey:
        """Name the measurement of an arm by everything that it depends on."""
        probe = arm.readout.probe
        return MeasurementKey(
            weights=self.weights_hash(arm.weights),
            subject_code=subject_revision(self.subject),
            preprocessing=repr(self.subject.card.preprocessing),
            images=self.images.fingerprint,
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            dtype=self.settings.dtype,
            device=torch.device(self.settings.device).type,
            intervention=arm.intervention.key,
            intervention_code=arm.intervention.revision,
            readout=repr(arm.readout),
            readout_code=readouts.revision(arm.readout),
            fits=self.fit_place(arm.weights).id(probe) if probe else "",
        )

    def fit_place(self, which: Weights) -> FitPlace:
        """Say where fits of these weights are kept, and in which context they hold."""
        folder = None if self.store.folder is None else self.store.folder / "fits"
        train = "" if self.train is None else f"{self.train.fingerprint}/{len(self.train)}"
        parts = (
            self.weights_hash(which),
            subject_revision(self.subject),
            train,
            repr(self.subject.card.preprocessing),
            f"{self.settings.dtype}/{self.settings.batch_size}/{self.settings.seed}",
            torch.device(self.settings.device).type,
        )
        return FitPlace(folder=folder, context="/".join(parts))


def subject_revision(subject: Subject) -> str:
    """Identify the code behind a number: pictures, adapters, passes, the model's own module, library versions."""
    model = getattr(subject, "model", subject)
    words = (_revision_of_passes(), code_revision({type(subject), type(model)}), *_versions())
    return hashlib.sha256("".join(words).encode()).hexdigest()[:16]


@cache
def _versions() -> tuple[str, ...]:
    """Read the versions of the libraries behind a number once: looking one up reads files."""
    return tuple(version(package) for package in ("torch", "timm", "pillow"))


@cache
def _revision_of_passes() -> str:
    """Hash what prepares pictures and runs every model; once per process, since that is how often it is imported."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*here.glob("adapters/*.py"), *(here / name for name in BEHIND_EVERY_NUMBER)]):
        digest.update(path.read_bytes())
    return digest.hexdigest()
