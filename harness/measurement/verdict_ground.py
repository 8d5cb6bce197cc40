"""What a verdict rests on, as fingerprints: claim, ledger numbers, code, libraries, pictures, weights."""

from collections.abc import Callable, Iterable
from typing import Any

from harness.fingerprint import LENGTH, fingerprint, fingerprint_outside, roots_in, short_hash
from harness.judging.ledger import ClaimSpec
from harness.judging.verdict import decide, judge
from harness.measurement.observed import lay_out
from harness.measurement.plan import Plan
from harness.results.measurements import MeasurementKey
from harness.results.record import Context

LEDGER_FIELDS = ("bounds", "needs", "budget", "report_budget", "pictures", "delta", "version")


def fingerprints(
    function: Callable[..., Any],
    spec: ClaimSpec,
    context: Context,
    plan: Plan | None = None,
    keys: Iterable[MeasurementKey] = (),
) -> dict[str, str]:
    """Fingerprint everything that a verdict rests on, by the names of PARTS.

    `plan` and the `keys` of its arms are those of a claim that was measured, None and nothing of one that was refused.
    """
    measured = list(keys)
    code = sorted({(key.subject_code, key.intervention_code, key.readout_code) for key in measured})
    judging = "" if plan is None else fingerprint(decide, judge, lay_out, *roots_in(plan.question, plan.derived))
    found = {
        "claim": fingerprint_outside(function),
        "ledger": short_hash(spec.model_dump_json(include=set(LEDGER_FIELDS))),
        "measuring": short_hash(repr(code)),
        "judging": judging,
        "images": context.image_fingerprint[:LENGTH],
        "train": short_hash(repr(context.train_images)),
        "weights": context.weights[:LENGTH],
    }
    return {**found, "libraries": "; ".join(sorted({key.libraries for key in measured}))}
