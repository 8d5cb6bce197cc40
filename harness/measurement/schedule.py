"""Which claims are measured first where time is short: the cheap ones, and as many together as leave time for others.

Measured together claims share their passes, but the first look then comes after a chunk of all of them. So a run that
has limited time measures one wave after the other, each small enough that a look takes a fraction of what is left.
What is measured is kept, and a later wave reads it back. Without a limit all claims are one wave.
"""

import math
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from harness.measurement.cost import member_evaluations, plan_evaluations
from harness.measurement.expected_images import expected_images
from harness.measurement.observed import Job
from harness.measurement.on_images import OnImages
from harness.measurement.plan import Plan

SLICE = 0.1  # share of the time left that one look of a wave may take
FIRST = 3  # claims in the first wave, which tells the speed
PATIENCE = 2.0  # how much longer than expected a wave may take before others have their turn
EXTENDED = 2.0  # how much dearer a claim counts that is not core: what tells more comes earlier
LOOKS = 4  # looks that a claim is expected to take where no published value tells


@dataclass(frozen=True)
class Clock:
    """When a run is to end, by `time.monotonic`."""

    until: float = math.inf

    @classmethod
    def of(cls, seconds: float | None) -> "Clock":
        """Start one that ends after so many seconds; None: never."""
        return cls() if seconds is None else cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Give the seconds that are left."""
        return max(0.0, self.until - time.monotonic()) if math.isfinite(self.until) else math.inf

    @property
    def over(self) -> bool:
        """Tell whether the time is up."""
        return self.left <= 0.0

    def at_least(self, seconds: float) -> "Clock":
        """Give this clock, or one that ends after so many seconds where this one ends before."""
        return self if self.left >= seconds else Clock.of(seconds)

    def share(self, parts: int) -> "Clock":
        """Start one that ends after an equal part of what is left."""
        return self if math.isinf(self.until) else Clock.of(self.left / parts)


NO_END = Clock()


@dataclass(frozen=True, kw_only=True)
class Priced:
    """A job with its block evaluations: of one look, measured alone, and until it is expected to be decided."""

    job: Job
    look: float
    total: float


def price(job: Job, images: OnImages) -> Priced:
    """Price a job; what its probes are fitted on is paid before the first look."""
    plan, spec, batch = job.plan, job.spec, images.settings.batch_size
    cards = {role: model.subject.card for role, model in images.by_role.items()}
    fitted = {(arm.subject, arm.weights) for arm in plan.arms.values() if arm.fits}
    before = 0.0 + sum(
        len(train) * cards[role].depth for role, _ in fitted if (train := images.by_role[role].train) is not None
    )
    if plan.census is None:
        look = batch * sum(
            plan_evaluations({spec.id: _of_role(plan, role)}, card, batch) for role, card in cards.items()
        )
        expected = expected_images(spec, plan, images.classes, images.settings.delta or spec.delta)
        most = images.most(spec) / batch
        looks = LOOKS if expected is None else expected / batch
    else:
        shares = [member_evaluations(_of_role(plan, role), card, spec) for role, card in cards.items()]
        before += sum(first for first, _ in shares)
        look, looks, most = sum(chunk for _, chunk in shares), LOOKS, spec.budget / plan.census.chunk
    worth = 1.0 if spec.tier == "core" else EXTENDED
    return Priced(job=job, look=before + look, total=(before + look * max(1.0, min(looks, most))) * worth)


def _of_role(plan: Plan, role: str) -> Plan:
    """Leave the arms that are about one of the models."""
    return replace(plan, arms={name: arm for name, arm in plan.arms.items() if arm.subject == role})


@dataclass(frozen=True, kw_only=True)
class Wave:
    """Claims that are measured together, and when others have their turn."""

    claims: frozenset[str]
    clock: Clock


class Schedule:
    """Gives out waves of claims until all are decided or the time is up.

    A wave that takes much longer than expected lets the next one go first; the claims that it leaves open go on when
    all others had their turn.
    """

    def __init__(self, jobs: Sequence[Job], images: OnImages, clock: Clock) -> None:
        self._clock, self._speed = clock, 0.0  # block evaluations per second; 0: not yet known
        self._endless = math.isinf(clock.until)
        priced = [Priced(job=job, look=0.0, total=0.0) if self._endless else price(job, images) for job in jobs]
        self._fresh = sorted(priced, key=lambda one: one.total)
        self._postponed: list[Priced] = []
        self._wave: list[Priced] = []
        self._last = False

    def next(self) -> Wave | None:
        """Give the claims that are to be measured together now; None at the end."""
        if self._last or self._clock.over or not (self._fresh or self._postponed):
            return None
        if self._endless or not self._fresh:
            self._last = True
            self._wave, self._fresh, self._postponed = [*self._fresh, *self._postponed], [], []
            return Wave(claims=_ids(self._wave), clock=self._clock)
        count = self._count()
        self._wave, self._fresh = self._fresh[:count], self._fresh[count:]
        return Wave(claims=_ids(self._wave), clock=self._slice())

    def took(self, blocks: float, seconds: float, decided: Container[str]) -> None:
        """Learn the speed from a wave (what was read back says nothing), and who of it is still open."""
        if blocks > 0.0 and seconds > 0.0:
            self._speed = blocks / seconds
        if not self._last:
            self._postponed += [one for one in self._wave if one.job.spec.id not in decided]

    def _count(self) -> int:
        """Count the cheapest claims of which a look takes no more than a slice of the time left; one at least."""
        room = self._clock.left * SLICE * self._speed
        spent = list(accumulate(one.look for one in self._fresh))
        fitting = FIRST if not self._speed else sum(cost <= room for cost in spent)
        return max(1, min(fitting, len(self._fresh)))

    def _slice(self) -> Clock:
        """Give a wave twice what it is expected to take, and at least a slice of what is left."""
        expected = sum(one.total for one in self._wave) / self._speed if self._speed else 0.0
        seconds = max(PATIENCE * expected, SLICE * self._clock.left)
        return Clock(min(self._clock.until, time.monotonic() + seconds))


def _ids(wave: Sequence[Priced]) -> frozenset[str]:
    return frozenset(one.job.spec.id for one in wave)
