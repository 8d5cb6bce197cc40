"""Is a claim slower than on earlier nights? A rule that noise of a shared machine does not set off.

The rule, on numbers only:

1. A claim is timed alone and without the cache, in several rounds; before and after each round a calibration kernel
   is timed. Disturbances only add time, so the least of the rounds and the least of the calibrations stand for the
   machine at rest, and their ratio does not depend on how fast the machine is, or is tonight.
2. The ratio is divided by the block evaluations of the claim, so that a verdict that needs more images is not slower.
3. It is compared with the median of the same ratio on earlier nights on the same kind of machine. It is slow if it
   lies above it by more than LEAST_FACTOR, and by more than SPREADS times the spread of those nights (the larger of
   their scaled median absolute deviation and NOISE). With fewer than ENOUGH nights their spread says little, and
   FEW_FACTOR is asked for.
4. A suspect is timed again; it is slow only if the least of all its rounds is. A true slowdown is in every round.

Why these numbers: they were set on the spread of repeated nights on a busy two-core machine and are checked by
simulation in the tests; a slowdown to twice the time stays above every threshold while the spread is below 0.13.
Work is compared exactly beside it: block evaluations per image are counted, not timed, and carry no noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import ClaimsError

NIGHTS = 20  # earlier nights that count
ENOUGH = 5
LEAST_FACTOR = 1.3
FEW_FACTOR = 1.6
NOISE = 0.05  # spread of the logarithm that is always assumed
SPREADS = 5.0


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The least seconds of a claim's rounds and of the calibration beside them, and the work that was done."""

    claim: str
    model: str
    seconds: float
    calibration: float
    work: float
    images: int

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.calibration > 0 and self.work >= 0 and self.images > 0):
            raise ClaimsError(
                f"timing of {self.claim!r} on {self.model!r}: seconds {self.seconds!r}, calibration "
                f"{self.calibration!r}, work {self.work!r}, images {self.images!r}; allowed: above 0 (work: 0 too)"
            )

    @property
    def relative(self) -> float:
        """Give calibrations per block evaluation (per image for a claim without any)."""
        return self.seconds / self.calibration / (self.work or self.images)

    def least(self, other: "Timing") -> "Timing":
        """Join the rounds of another timing of the same claim."""
        least = min(self.seconds, other.seconds), min(self.calibration, other.calibration)
        return Timing(
            claim=self.claim,
            model=self.model,
            seconds=least[0],
            calibration=least[1],
            work=self.work,
            images=self.images,
        )


def slow_by(now: Timing, earlier: Sequence[Timing]) -> float | None:
    """Give the factor by which a timing is slower than earlier nights, or None where it is not evidently slower."""
    if not earlier:
        return None
    past = np.log([timing.relative for timing in earlier[-NIGHTS:]])
    factor = math.exp(math.log(now.relative) - float(np.median(past)))
    return factor if factor > threshold(past) else None


def threshold(past: np.ndarray) -> float:
    """Give the factor above which a timing counts as slow, from the logarithms [night] of earlier ratios."""
    if len(past) < ENOUGH:
        return FEW_FACTOR
    deviation = 1.4826 * float(np.median(np.abs(past - np.median(past))))
    return max(LEAST_FACTOR, math.exp(SPREADS * max(NOISE, deviation)))


def more_work(now: Timing, earlier: Sequence[Timing]) -> float | None:
    """Give the factor by which a claim needs more block evaluations per image than last time, or None."""
    if not earlier or not earlier[-1].work:
        return None
    factor = (now.work / now.images) / (earlier[-1].work / earlier[-1].images)
    return factor if factor > 1.0 + 1e-9 else None
