"""What a run answers when it is asked for a claim on a model, and the record of it with what it rests on."""

from dataclasses import dataclass

from harness.judging.discovery import Claim
from harness.measurement.record import record_of, record_of_refusal, record_of_unreached
from harness.measurement.sequential import Outcome
from harness.measurement.verdict_ground import fingerprints
from harness.results.record import Context, RunRecord


@dataclass(frozen=True)
class Refusal:
    """Why a claim cannot be asked of this model."""

    reason: str


@dataclass(frozen=True)
class Unreached:
    """A claim that was not begun when the time was up."""


Answer = Outcome | Refusal | Unreached


def record_of_answer(answer: Answer, asked: Claim, model: str, context: Context) -> RunRecord:
    """Turn an answer into a record; what was not begun rests on nothing."""
    spec, function = asked.spec, asked.function
    if isinstance(answer, Unreached):
        return record_of_unreached(spec, model, context)
    if isinstance(answer, Refusal):
        record = record_of_refusal(spec, model, answer.reason, context)
        return record.but(fingerprints=fingerprints(function, spec, context))
    ground = fingerprints(function, spec, context, answer.plan, answer.keys)
    record = record_of(answer, model, context).but(fingerprints=ground)
    why = "" if answer.plan is None else answer.plan.report_only
    return record.but(reason=f"not judged: {why}") if why and record.verdict == "reported" else record
