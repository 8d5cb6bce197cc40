"""Judge the numbers behind a record again, under the present ledger or other bounds: no model, no forward pass."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.errors import ClaimsError, unknown
from harness.judging.discovery import Claim
from harness.judging.ledger import ClaimSpec
from harness.judging.observations import Groups, Pairs
from harness.judging.verdict import Judgement, judge
from harness.measurement import measured_code as code
from harness.measurement.observed import Job, lay_out
from harness.measurement.plan import Arm, Plan, propose
from harness.readouts.members import MemberReadout
from harness.results.measurements import MeasurementKey
from harness.results.record import IMAGES, Context, RunRecord
from harness.running.context import cards_from

PLAIN = {"origin": "given on the command line", "chance_times": 0.0, "above_chance": 0.0}


@dataclass(frozen=True, kw_only=True)
class Rejudged:
    """A verdict found anew from stored numbers; `outdated` says which code has changed since they were measured.

    `exploratory`: bounds or error level are not those by which the numbers were measured, so whoever chose them may
    have seen the numbers. For a bound that is fixed beforehand one side can be wrong; for one that is moved to where
    the numbers decide, both can, and the error is up to twice delta.
    """

    judgement: Judgement
    images: int
    delta: float
    outdated: str
    exploratory: bool


def with_bounds(spec: ClaimSpec, values: Mapping[str, float]) -> ClaimSpec:
    """Replace bounds of a claim by plain values; ClaimsError for a name that the ledger does not hold."""
    for name in values:
        if name not in spec.bounds:
            raise unknown("bound", name, spec.bounds, f"--bound {spec.id}.NAME=VALUE")
    changed = {
        name: bound.model_copy(update={**PLAIN, "value": values[name]}) if name in values else bound
        for name, bound in spec.bounds.items()
    }
    return spec.model_copy(update={"bounds": changed})


def rejudge(
    claim: Claim,
    spec: ClaimSpec,
    record: RunRecord,
    *,
    numbers: Mapping[str, np.ndarray],
    keys: Mapping[str, MeasurementKey],
    delta: float | None = None,
) -> Rejudged:
    """Judge the numbers behind a record again, on exactly the images that it used.

    `spec` holds the bounds to judge by, `numbers` [image] and `keys` are those behind its arms, `delta` None keeps the
    record's error level. Raises ClaimsError where the claim has changed what it measures; NotApplicable where it no
    longer asks this model.
    """
    cards = cards_from(record.context)
    plan = propose(claim.function, spec, cards)
    _refuse_another(plan, record, keys)
    sheet = lay_out(
        Job(spec=spec, plan=plan),
        numbers,
        classes=next(iter(cards.values())).classes
        if isinstance(cards, dict)
        else cards.classes or record.context.image_classes,
        population=_population(record),
        pairs=_pairs(plan, record),
        groups=None if record.groups is None else Groups(record.groups.of, record.groups.closes),
    )
    level = delta or record.delta or spec.delta
    return Rejudged(
        judgement=judge(plan.question, sheet, level),
        images=record.images,
        delta=level,
        outdated=_outdated(plan, keys),
        exploratory=spec.bounds != claim.spec.bounds or claim.spec.version != record.version or level != record.delta,
    )


def _population(record: RunRecord) -> int | None:
    """Give the members of a finite population that a record is about, None where it is about a distribution."""
    if record.what != IMAGES:
        return record.members
    return record.context.usable_images if record.context.target == IMAGES else None


def _refuse_another(plan: Plan, record: RunRecord, keys: Mapping[str, MeasurementKey]) -> None:
    """Refuse numbers of another experiment."""
    if set(plan.arms) != set(record.arms):
        differing = sorted(set(plan.arms) ^ set(record.arms))
        raise ClaimsError(
            f"claim {record.claim!r} now has other arms than when it was measured on {record.model!r} "
            f"({', '.join(differing[:6])}); run it again"
        )
    for name, arm in plan.arms.items():
        now, then = _asked(arm), _measured(keys[name], record.context)
        if now != then:
            raise ClaimsError(
                f"claim {record.claim!r}, arm {name!r}: the claim now asks for {now}, stored is {then}; run it again"
            )


def _pairs(plan: Plan, record: RunRecord) -> Pairs | None:
    """Read which pairs of images a record judged; ClaimsError where images exchange and it does not say."""
    if not plan.exchanges:
        return None
    if (pairs := record.pairs) is None:
        raise ClaimsError(
            f"claim {record.claim!r} on {record.model!r} was measured when images did not exchange in pairs; "
            "run it again"
        )
    return Pairs(pairs.first, pairs.in_all)


def _asked(arm: Arm) -> str:
    return f"{arm.readout!r} under {arm.intervention.key} on {arm.weights} weights"


def _measured(key: MeasurementKey, context: Context) -> str:
    given = {context.weights, *context.weights_by_role.values()}
    weights = "given" if key.weights in given else "untrained"
    return f"{key.readout} under {key.intervention} on {weights} weights"


def _outdated(plan: Plan, keys: Mapping[str, MeasurementKey]) -> str:
    changed: set[str] = set()
    for name, arm in plan.arms.items():
        if plan.census is not None:
            assert isinstance(arm.readout, MemberReadout), "propose() lets no other readout into a census"
            now = code.of_member_readout(arm.readout, plan.census)
            changed |= {"readouts"} if now != keys[name].readout_code else set()
            continue
        if code.of_intervention(arm.intervention) != keys[name].intervention_code:
            changed.add("interventions")
        if code.of_readout(arm.per_image, arm.fits) != keys[name].readout_code:
            changed.add("readouts")
    return " and ".join(sorted(changed))
