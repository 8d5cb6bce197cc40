"""What one pass over the training images fills: moments, or tables of features for fits that need every image."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.probes.moments import Moments
from harness.probes.probe import LabelKind, Probe, Reads
from harness.probes.training.design import Design

NEEDS_TABLE = ("logistic", "sgd")
Arrays = dict[str, np.ndarray]


class Part(NamedTuple):
    """What probes may share: moments of features over the first `shots` images per class, or a table of all images."""

    reads: Reads
    shots: int | None
    table: bool


@dataclass
class FeatureTable:
    """Features of all training images, fp32 [image, feature]; it grows with their number, as moments do not."""

    rows: np.ndarray

    def arrays(self) -> Arrays:
        """Lay out for a checkpoint."""
        return {"rows": self.rows}


Accumulated = Moments | FeatureTable


def part_of(probe: Probe) -> Part:
    """Name what a probe is fitted from."""
    table = probe.family in NEEDS_TABLE
    return Part(probe.reads, None if table else probe.shots, table)


class Accumulator:
    """Fills the parts of some probes from features in measuring order."""

    def __init__(self, probes: Sequence[Probe], design: Design, classes: int) -> None:
        self.design, self.classes = design, classes
        self.kinds: dict[Part, tuple[LabelKind, ...]] = {}
        for probe in probes:
            kinds = self.kinds.get(part_of(probe), ())
            self.kinds[part_of(probe)] = tuple(sorted({*kinds, probe.labels}))
        self.filled: dict[Part, Accumulated] = {}

    def reads(self) -> set[Reads]:
        """List what must be read."""
        return {part.reads for part in self.kinds}

    def add(self, span: range, matrices: Mapping[Reads, np.ndarray]) -> None:
        """Take the features [image, feature] of the images in `span`."""
        for part in self.kinds:
            matrix = matrices[part.reads]
            if part not in self.filled:
                self.filled[part] = self._empty(part, matrix.shape[1])
            filled = self.filled[part]
            if isinstance(filled, FeatureTable):
                filled.rows[span.start : span.stop] = matrix
            else:
                self._add_moments(part, filled, slice(span.start, span.stop), matrix)

    def arrays(self) -> Arrays:
        """Lay out for a checkpoint."""
        return {
            f"{part_name(part)}#{name}": array
            for part, filled in self.filled.items()
            for name, array in filled.arrays().items()
        }

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take up from a checkpoint of the same probes."""
        for part in self.kinds:
            prefix = f"{part_name(part)}#"
            own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
            self.filled[part] = FeatureTable(own["rows"]) if part.table else Moments.from_arrays(own)

    def _empty(self, part: Part, width: int) -> Accumulated:
        if part.table:
            return FeatureTable(np.zeros((len(self.design.folds), width), dtype=np.float32))
        return Moments.empty(width, self.classes, self.kinds[part])

    def _add_moments(self, part: Part, moments: Moments, span: slice, matrix: np.ndarray) -> None:
        exchanged = part.reads.after is not None
        rows = self.design.rows(part.shots, exchanged)[span]
        targets = {kind: self.design.targets(kind, part.shots, exchanged)[span][rows] for kind in self.kinds[part]}
        moments.add(matrix[rows], targets, self.design.folds[span][rows])


def part_name(part: Part) -> str:
    """Name a part in a checkpoint."""
    return repr(tuple(part))


def held_bytes(probes: Iterable[Probe], width: int, classes: int, images: int) -> int:
    """Count the bytes that the parts of some probes hold, for a stream of `width` channels."""
    kinds: dict[Part, set[str]] = {}
    for probe in probes:
        kinds.setdefault(part_of(probe), set()).add(probe.labels)
    total = 0
    for part, labels in kinds.items():
        features = width * (1 + ("+" in part.reads.kind))
        total += 4 * images * features if part.table else Moments.bytes(features, classes, len(labels))
    return total
