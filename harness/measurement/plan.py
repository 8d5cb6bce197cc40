"""Plans: what a claim proposes to measure. A claim maps a model card to a plan and cannot judge it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from harness.errors import ClaimsError, unknown
from harness.interventions.intervention import NONE, Intervention
from harness.judging.derived_arms import Derived, Mix, measured
from harness.judging.ledger import ClaimSpec
from harness.judging.quantities import Difference, Level, Quantity, Ratio
from harness.judging.statements import Holds, Statement
from harness.judging.verdict import Question
from harness.models.subject import ModelCard
from harness.probes.fittable import Fittable
from harness.readouts.members import Batches, FinitePopulation, Fits, MemberReadout
from harness.readouts.own_answer import Accuracy
from harness.readouts.readout import Readout, block_of

Weights = Literal["given", "untrained"]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One condition: what is edited, what is read, and on which weights (given, or an untrained twin's).

    `subject` is the role of the model in a claim about several, "" in a claim about one.
    """

    intervention: Intervention = NONE
    readout: Readout | MemberReadout = field(default_factory=Accuracy)
    weights: Weights = "given"
    subject: str = ""

    @cached_property
    def per_image(self) -> Readout:
        """Give the readout of an arm that is about images; TypeError for one that reads a census."""
        if isinstance(self.readout, MemberReadout):
            raise TypeError(f"{self.readout!r} reads no images")
        return self.readout

    @cached_property
    def fits(self) -> tuple[Fittable, ...]:
        """List the fits that must exist before the arm can be read."""
        read = () if isinstance(self.readout, MemberReadout) else self.readout.fits
        return tuple(dict.fromkeys((*read, *self.intervention.fits)))


@dataclass(frozen=True)
class Curve:
    """A named series for the report: quantities by layer (0-based block, -1 the embedding)."""

    points: tuple[tuple[int, Quantity], ...]

    def arms(self) -> tuple[str, ...]:
        """List the arms behind the points."""
        return tuple(dict.fromkeys(arm for _, quantity in self.points for arm in quantity.arms()))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Arms by name, and the statements about them: effect, control that must fail, gate without which both are empty.

    A bare quantity as effect or control is compared with the ledger's bound named "bound". `derived` arms are computed
    from measured ones, image by image; quantities name both alike. With a `census` the arms read its members and no
    images. `report_only` is the reason why this model's value is reported and not judged.
    """

    arms: Mapping[str, Arm]
    effect: Statement | Level | Difference | Ratio
    control: Statement | Level | Difference | Ratio | None = None
    gate: Statement | Level | Difference | Ratio | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    derived: Mapping[str, Derived] = field(default_factory=dict)
    census: FinitePopulation | None = None
    report_only: str = ""

    @property
    def exchanges(self) -> bool:
        """Tell whether images receive something of one another in any arm: then pairs of them are the units."""
        if self.census is not None:
            return False
        return self.exchanges_classes or any(arm.exchanges for arm in self.derived.values())

    @property
    def exchanges_classes(self) -> bool:
        """Tell whether the model itself is given something of another image, which then must be of another class.

        Derived arms only compare numbers of two images. To leave out pairs of one class would change what their mean
        estimates: a covariance, or a product of two means, is that over independent images of any class.
        """
        if self.census is not None:
            return False
        return any(arm.intervention.exchanges or arm.per_image.exchanges for arm in self.arms.values())

    @property
    def typical(self) -> bool:
        """Tell whether the statements are about the typical batch of pictures, or the typical fit, not about a mean."""
        return isinstance(self.census, Batches | Fits)

    def used(self) -> set[str]:
        """List the measured arms that statements and curves rest on; others would be measured for nothing."""
        named = set(self.question.arms()).union(*(curve.arms() for curve in self.curves.values()))
        return measured(named, self.derived)

    def judged_only(self) -> "Plan":
        """Leave out the curves, and the arms that only they need."""
        needed = measured(set(self.question.arms()), self.derived)
        kept = {name: arm for name, arm in self.arms.items() if name in needed}
        derived = {name: arm for name, arm in self.derived.items() if measured({name}, self.derived) <= needed}
        return replace(self, arms=kept, derived=derived, curves={})

    @property
    def question(self) -> Question:
        """Give the statements that the verdict weighs."""
        return Question(
            effect=_statement(self.effect, "bound"),
            control=None if self.control is None else _statement(self.control, "bound"),
            gate=None if self.gate is None else _statement(self.gate, "gate"),
            report_only=bool(self.report_only),
        )


Cards = ModelCard | Mapping[str, ModelCard]  # of one model, or of several by role
ClaimFunction = Callable[..., Plan]


def claim(identifier: str) -> Callable[[ClaimFunction], ClaimFunction]:
    """Mark a function as the claim with this id in the ledger beside it."""

    def mark(function: ClaimFunction) -> ClaimFunction:
        function.__claim__ = identifier  # type: ignore[attr-defined]
        return function

    return mark


def propose(function: ClaimFunction, spec: ClaimSpec, cards: Cards) -> Plan:
    """Ask a claim for its plan and refuse what cannot be measured or judged, before any forward pass.

    Raises ClaimsError for arms or bounds that do not exist, arms that nothing uses, and places that the model lacks.
    """
    plan = function(cards) if isinstance(cards, ModelCard) else function(**cards)
    if not isinstance(plan, Plan):
        raise ClaimsError(f"claim {spec.id!r} returned {type(plan).__name__}, not a Plan")
    where = f"claim {spec.id!r}"
    if doubled := set(plan.arms) & set(plan.derived):
        raise ClaimsError(f"{where}: arms {sorted(doubled)} are both measured and derived")
    if isinstance(plan.census, Batches) is not bool(spec.batch):
        raise ClaimsError(
            f"{where}: batch = {spec.batch} in the ledger; allowed: 1 or more exactly for batches of pictures"
        )
    if isinstance(plan.census, Fits) and not spec.pictures:
        raise ClaimsError(f"{where}: fits are tested on pictures; `pictures` in the ledger must say how many")
    used = plan.used()
    for absent in used - set(plan.arms):
        raise unknown("arm", absent, {*plan.arms, *plan.derived}, where)
    if unused := set(plan.arms) - used:
        raise ClaimsError(f"{where}: arms {sorted(unused)} are measured but nothing uses them")
    for bound in plan.question.bound_names():
        if bound not in spec.bounds:
            raise unknown("bound", bound, spec.bounds, f"{where}; the ledger must hold every bound")
    by_role = {"": cards} if isinstance(cards, ModelCard) else cards
    for name, arm in plan.arms.items():
        if arm.subject not in by_role:
            raise unknown("subject", arm.subject, by_role, f"{where}, arm {name!r}")
        _refuse_arm(arm, by_role[arm.subject], plan.census, f"{where}, arm {name!r}")
    return plan


def level(arm: str) -> Level:
    """The mean of an arm."""
    return Level(arm)


def ratio(first: str, second: str) -> Ratio:
    """The mean of one arm over that of another, paired by image."""
    return Ratio(first, second)


def difference(first: str, second: str) -> Difference:
    """The mean of one arm minus that of another, paired by image."""
    return Difference(first, second)


def mix(terms: Mapping[str, float], constant: float = 0.0) -> Mix:
    """Derive an arm as a weighted sum of arms."""
    return Mix(tuple(terms.items()), constant)


def mean_of(arms: Iterable[str]) -> Mix:
    """Derive an arm as the mean of arms."""
    names = tuple(arms)
    return Mix(tuple((name, 1.0 / len(names)) for name in names))


def curve(points: Mapping[int, Quantity]) -> Curve:
    """A series for the report by layer."""
    return Curve(tuple(points.items()))


def _refuse_arm(arm: Arm, card: ModelCard, census: FinitePopulation | None, where: str) -> None:
    """Raise ClaimsError where an arm is at places that the model lacks, or reads what its plan does not sample."""
    if isinstance(arm.readout, MemberReadout) is (census is None):
        raise ClaimsError(f"{where}: {arm.readout!r} does not read {'images' if census is None else census.what}")
    if census is not None:
        if arm.intervention != NONE:
            raise ClaimsError(f"{where}: {arm.intervention.key} is about images, and the plan is about {census.what}")
        return
    try:
        arm.intervention.program(card)
        block_of(arm.per_image, card)
    except ValueError as error:
        raise ClaimsError(f"{where}: {error}") from error


def _statement(part: Statement | Level | Difference | Ratio, bound: str) -> Statement:
    return Holds(part, bound) if isinstance(part, (Level, Difference, Ratio)) else part
