"""What claims that compare models would take: each model's own arms, counted beside its own speed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from harness.errors import NotApplicable
from harness.judging.discovery import Claim
from harness.judging.ledger import ClaimSpec
from harness.measurement.cost import member_evaluations, plan_evaluations
from harness.measurement.expected_images import expected_images, rounded
from harness.measurement.plan import Plan, propose
from harness.models.groups import ModelGroup, cohorts
from harness.running.forecast import PlannedClaim, Planner, unmet


@dataclass(frozen=True, kw_only=True)
class PlannedComparison:
    """One claim of one set of models before it runs; `seconds` is the time per image (or member) of all its models."""

    label: str
    claim: PlannedClaim
    seconds: float = 0.0


def plan_comparisons(
    claim: Claim, planners: Mapping[str, Planner], speeds: Mapping[str, float]
) -> Iterator[PlannedComparison]:
    """Plan a claim for every set of models that fits its roles; none of them where no models do.

    `planners` and `speeds` (plain forward passes, images per second) are by name of the model.
    """
    found, _ = cohorts(claim.spec.subjects, {name: planner.entry.card for name, planner in planners.items()})
    for group in found:
        members = {role: planners[name] for role, name in group.roles.items()}
        yield _of_group(claim, group, members, {role: speeds[name] for role, name in group.roles.items()})


def _of_group(
    claim: Claim, group: ModelGroup, members: Mapping[str, Planner], speeds: Mapping[str, float]
) -> PlannedComparison:
    spec, first = claim.spec, next(iter(members.values()))
    cards = {role: planner.entry.card for role, planner in members.items()}

    def refused(reason: str) -> PlannedComparison:
        return PlannedComparison(label=group.label, claim=PlannedClaim(spec=spec, plan=None, reason=reason))

    if reason := next(filter(None, (unmet(planner, spec) for planner in members.values())), None):
        return refused(reason)
    if len({card.classes or first.classes for card in cards.values()}) > 1:
        return refused("the models answer different numbers of classes")
    try:
        plan = propose(claim.function, spec, cards)
    except NotApplicable as refusal:
        return refused(str(refusal))
    forwards = {role: _forwards(plan, role, planner, spec) for role, planner in members.items()}
    expected = expected_images(spec, plan, first.classes, first.delta or spec.delta)
    planned = PlannedClaim(
        spec=spec,
        plan=plan,
        forwards=sum(forwards.values()),
        expected=None if expected is None else rounded(expected, first.batch_size),
        budget=first.budget(spec, plan),
    )
    seconds = sum(count / speeds[role] for role, count in forwards.items())
    return PlannedComparison(label=group.label, claim=planned, seconds=seconds)


def _forwards(plan: Plan, role: str, planner: Planner, spec: ClaimSpec) -> float:
    """Count forward passes of one model per image, or per member of a census without what comes before the first."""
    own = replace(plan, arms={name: arm for name, arm in plan.arms.items() if arm.subject == role})
    card = planner.entry.card
    if own.census is None:
        return plan_evaluations({spec.id: own}, card, planner.batch_size) / card.depth
    return member_evaluations(own, card, spec)[1] / own.census.chunk / card.depth if own.arms else 0.0
