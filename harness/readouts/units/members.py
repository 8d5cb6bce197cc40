"""Units as members of a census: those of all given blocks together, or one number that stands for a unit in each."""

from dataclasses import dataclass

import numpy as np

from harness.errors import NotApplicable
from harness.models.subject import Subject


@dataclass(frozen=True, kw_only=True)
class UnitsOf:
    """The units of these blocks, one after the other, `chunk` of them measured together."""

    blocks: tuple[int, ...]
    chunk: int = 8
    what = "units"

    def members(self, subject: Subject) -> int:
        """Count them."""
        return sum(subject.unit_shape(block).units for block in self.blocks)

    def places(self, subject: Subject, members: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Sort members by block: (their places in `members`, their units)."""
        counts = [subject.unit_shape(block).units for block in self.blocks]
        starts = np.concatenate([[0], np.cumsum(counts)])
        index = np.searchsorted(starts, members, side="right") - 1
        found = {}
        for number, block in enumerate(self.blocks):
            where = np.flatnonzero(index == number)
            if len(where):
                found[block] = (where, members[where] - starts[number])
        return found


@dataclass(frozen=True, kw_only=True)
class UnitsOfEachBlock:
    """Numbers of units: a member stands for the unit of this number in every block, for statements block by block."""

    chunk: int = 8
    what = "units per block"

    def members(self, subject: Subject) -> int:
        """Count the units of a block; NotApplicable where blocks have different numbers of them."""
        counts = {shape.units for shape in subject.card.units}
        if len(counts) > 1:
            raise NotApplicable(f"blocks have different numbers of units ({sorted(counts)})")
        return counts.pop() if counts else 0
