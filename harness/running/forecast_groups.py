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
from harness.running.forecast import Planner, unmet


@dataclass(frozen=True, kw_only=True)
class PlannedComparison:
    """One claim of one set of models before it runs; `plan` None with the `reason` where it does not apply.

    `seconds` is the time per image (or member) of all its models, `images` what is counted on, `capped` that its budget
    will not decide it.
    """

    spec: ClaimSpec
    label: str
    plan: Plan | None = None
    reason: str = ""
    forwards: float = 0.0
    seconds: float = 0.0
    images: float = 0.0
    capped: bool = False


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
    blank = PlannedComparison(spec=spec, label=group.label)
    cards = {role: planner.entry.card for role, planner in members.items()}
    if reason := next(filter(None, (unmet(planner, spec) for planner in members.values())), None):
        return replace(blank, reason=reason)
    if len({card.classes or first.classes for card in cards.values()}) > 1:
        return replace(blank, reason="the models answer different numbers of classes")
    try:
        plan = propose(claim.function, spec, cards)
    except NotApplicable as refusal:
        return replace(blank, reason=str(refusal))
    budget = first.budget(spec, plan)
    expected = expected_images(spec, plan, first.classes, first.delta or spec.delta)
    images = float(budget) if expected is None else min(rounded(expected, first.batch_size), float(budget))
    blank = replace(blank, plan=plan, images=images, capped=expected is not None and expected > budget)
    for role, planner in members.items():
        own = replace(plan, arms={name: arm for name, arm in plan.arms.items() if arm.subject == role})
        forwards = _forwards(own, planner, spec) / planner.entry.card.depth
        blank = replace(blank, forwards=blank.forwards + forwards, seconds=blank.seconds + forwards / speeds[role])
    return blank


def _forwards(own: Plan, planner: Planner, spec: ClaimSpec) -> float:
    """Count block evaluations per image, or per member of a census without what comes before the first."""
    if own.census is None:
        return plan_evaluations({spec.id: own}, planner.entry.card, planner.batch_size)
    if not own.arms:
        return 0.0
    return member_evaluations(own, planner.entry.card, spec)[1] / own.census.chunk
