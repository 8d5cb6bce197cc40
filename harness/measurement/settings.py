"""What a run decides of its measurements, and what of them is still missing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.measurement.plan import Arm
from harness.results.measurements import MeasurementKey
from harness.results.record import CLASSES, DISTRIBUTION, IMAGES

__all__ = ["CLASSES", "DISTRIBUTION", "IMAGES", "Advance", "Missing", "Settings", "silent"]

Advance = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run may vary without changing a claim; `delta` and `max_images` None leave it to the ledger.

    `target` says what is judged: the distribution behind the images, the image set itself (sampling without
    replacement), or the classes behind those that there are pictures of.
    """

    batch_size: int = 64
    delta: float | None = None
    max_images: int | None = None
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    target: str = DISTRIBUTION


Missing = Mapping[MeasurementKey, tuple[Arm, frozenset[str]]]


def silent(what: str, done: int, total: int) -> None:
    """Show no progress."""
