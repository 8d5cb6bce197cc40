"""Whether the claims of a folder can afford their margins: pictures needed over budget, from ledger and card alone.

Needed are the pictures of `expected_images` where the published value and the kind of the effect tell; elsewhere those
of Hoeffding's inequality at half of the margin, for means of single arms. Where neither tells, a claim counts as not
checked.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from harness.errors import NotApplicable
from harness.judging.derived_arms import resolve
from harness.judging.discovery import PATTERN, Claim, find_claims, find_specs
from harness.judging.ledger import LEDGER_NAME, ClaimSpec
from harness.judging.observations import Pairs, Sample
from harness.judging.quantities import Level
from harness.judging.sample_size import hoeffding_images
from harness.judging.statements import Every, Holds, Some, Statement
from harness.measurement.expected_images import expected_images
from harness.measurement.plan import Plan, propose
from harness.models.subject import ModelCard
from harness.readouts.members import MemberContext

MOST = 1000.0  # budgets; whatever needs more is given as this many
CLASSES = 1000  # assumed where a trunk has no head


@dataclass(frozen=True)
class ClaimsFolder:
    """A folder of claims as it stands: `digest` is that of its ledgers and claim files."""

    root: Path = field(repr=False)
    digest: str

    @classmethod
    def of(cls, root: Path) -> "ClaimsFolder":
        """Read the folder."""
        digest = hashlib.sha256()
        for path in sorted([*root.rglob(LEDGER_NAME), *root.rglob(PATTERN)]):
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
        return cls(root, digest.hexdigest()[:16])

    def candidates(self, card: ModelCard, but: str) -> tuple[str, ...]:
        """Name the claims that a model with this card may be asked and that end in a verdict, except one."""
        return tuple(
            name
            for name, spec in _specs(self).items()
            if name != but and spec.tier != "report-only" and not spec.subjects and card.missing(spec.needs) is None
        )


@dataclass(frozen=True, kw_only=True)
class BudgetShare:
    """Pictures that a claim needs as a share of its budget; 0 where it is not judged on this model or not checked."""

    folder: ClaimsFolder
    claim: str
    low = 0.0
    high = MOST

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        """Read the one member of `TheModel`."""
        found = _judged(self.folder, place).get(self.claim)
        needed = None if found is None else images_needed_by(*found, _classes(place))
        budget = _specs(self.folder)[self.claim].budget
        return np.full(len(members), 0.0 if needed is None else min(needed / budget, MOST))


@dataclass(frozen=True, kw_only=True)
class LeastShare:
    """The least share of any claim that samples, if all were allowed so many pictures and published at this margin."""

    folder: ClaimsFolder
    allowed: int
    margin: float
    low = 0.0
    high = MOST

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        """Read the one member of `TheModel`."""
        shares, classes = [MOST], _classes(place)
        for spec, plan in _judged(self.folder, place).values():
            if plan.census is None:
                needed = images_needed_by(at_margin(spec, self.margin, classes), plan, classes)
                least = hoeffding_images(self.margin / 2, spec.delta) if needed is None else needed
                shares.append(least / self.allowed)
        return np.full(len(members), min(shares))


@dataclass(frozen=True, kw_only=True)
class CheckedShare:
    """Share of the claims judged on samples of this model for which the pictures that they need are known."""

    folder: ClaimsFolder
    low = 0.0
    high = 1.0

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        """Read the one member of `TheModel`."""
        found = [(spec, plan) for spec, plan in _judged(self.folder, place).values() if plan.census is None]
        known = [images_needed_by(*one, _classes(place)) is not None for one in found]
        return np.full(len(members), np.mean(known) if known else 0.0)


def images_needed_by(spec: ClaimSpec, plan: Plan, classes: int) -> float | None:
    """Give the pictures that a claim needs to be decided at what is published; None where nothing tells.

    A census within its budget is exact and needs none.
    """
    if plan.census is not None:
        return 0.0
    expected = expected_images(spec, plan, classes, spec.delta)
    return _by_hoeffding(plan.question.effect, spec, plan, classes) if expected is None else expected


def at_margin(spec: ClaimSpec, margin: float, classes: int) -> ClaimSpec:
    """Give the claim as if what is published lay this far on the good side of every bound."""
    bounds = {
        name: bound.model_copy(
            update={"published": bound.at(classes) + (margin if bound.direction == ">=" else -margin)}
        )
        for name, bound in spec.bounds.items()
    }
    return spec.model_copy(update={"bounds": bounds})


def _by_hoeffding(part: Statement, spec: ClaimSpec, plan: Plan, classes: int) -> float | None:
    """Size the means of single arms in a statement, which no spread is known of; comparisons of arms are left out.

    All parts must be decided for all to hold, one of them where any is enough.
    """
    if isinstance(part, Holds) and isinstance(part.quantity, Level):
        bound = spec.bounds[part.bound]
        value = bound.published
        if value is None and len(plan.question.effect.bound_names()) == 1:
            value = spec.published.value
        if value is None:
            return None
        eps = abs(value - bound.at(classes)) / 2 / _width(part.quantity.arm, plan)
        return hoeffding_images(eps, spec.delta) * (2 if plan.exchanges else 1) if eps > 0 else math.inf
    if not isinstance(part, (Every, Some)):
        return None
    known = [found for one in part.parts if (found := _by_hoeffding(one, spec, plan, classes)) is not None]
    if not known:
        return None
    return max(known) if isinstance(part, Every) else min(known)


def _width(arm: str, plan: Plan) -> float:
    """Give the range of an arm, which may be derived."""
    arms = {name: one.readout for name, one in plan.arms.items()}
    samples = {name: Sample(np.array([one.low] * 2), one.low, one.high) for name, one in arms.items()}
    found = resolve(samples, plan.derived, Pairs((0,), 1))[arm]
    return found.high - found.low


def _classes(place: MemberContext) -> int:
    return place.subject.card.classes or CLASSES


def _judged(folder: ClaimsFolder, place: MemberContext) -> dict[str, tuple[ClaimSpec, Plan]]:
    """List the claims that end in a verdict on this model, with their plans."""
    card = place.subject.card
    return place.once(("judged claims", folder), lambda: dict(_plans(folder, card)))


def _plans(folder: ClaimsFolder, card: ModelCard) -> Iterator[tuple[str, tuple[ClaimSpec, Plan]]]:
    for name in folder.candidates(card, but=""):
        if (listed := _claims(folder).get(name)) is None:
            continue  # an entry of the ledger that no function asks
        try:
            plan = propose(listed.function, listed.spec, card)
        except NotApplicable:
            continue
        if not plan.report_only:
            yield name, (listed.spec, plan)


@cache
def _specs(folder: ClaimsFolder) -> dict[str, ClaimSpec]:
    return find_specs(folder.root)


@cache
def _claims(folder: ClaimsFolder) -> dict[str, Claim]:
    return find_claims(folder.root)
