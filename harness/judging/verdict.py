"""From evidence to a verdict: gate, effect and control, with one declared error for the whole.

Each of the (at most three) statements is tested both ways at delta divided by their number. In every state of the
world at most one wrong conclusion per statement leads to a wrong verdict, so the verdict errs with probability at
most delta, wherever the run stops. That takes the units as independent: images, or, in a claim that has images exchange
something in any of its arms, the pairs in which they do (`harness.images.sampling`,
`harness.measurement.sequential.lay_out`).
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from harness.judging.quantities import Observations, PValues
from harness.judging.statements import Finding, Statement, headline


class Verdict(StrEnum):
    """What a claim's measurement amounts to."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    VACUOUS = "vacuous"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not applicable"
    REPORTED = "reported"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked: an effect that should hold, a control that must not, a gate without which both mean nothing."""

    effect: Statement
    control: Statement | None = None
    gate: Statement | None = None
    report_only: bool = False

    def arms(self) -> tuple[str, ...]:
        """List every arm that the verdict needs."""
        parts = [part for part in (self.gate, self.effect, self.control) if part is not None]
        return tuple(dict.fromkeys(arm for part in parts for arm in part.arms()))

    def bound_names(self) -> tuple[str, ...]:
        """List every bound of the ledger that the verdict uses."""
        parts = [part for part in (self.gate, self.effect, self.control) if part is not None]
        return tuple(dict.fromkeys(name for part in parts for name in part.bound_names()))


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict with its reason, its findings and the smallest error level at which it would stand (`p`)."""

    verdict: Verdict
    reason: str
    p: float
    effect: tuple[Finding, ...]
    control: tuple[Finding, ...] = ()
    gate: tuple[Finding, ...] = ()

    @property
    def main(self) -> Finding:
        """Give the comparison that decides the effect."""
        return self.effect[headline(self.effect)]


def decide(question: Question, sheet: Observations, delta: float) -> tuple[Verdict, float]:
    """Weigh a question once: the verdict (INCONCLUSIVE: not yet) and the error level at which it stands."""
    if question.report_only:
        return Verdict.REPORTED, 1.0
    effect = question.effect.p_values(sheet)
    gate = None if question.gate is None else question.gate.p_values(sheet)
    control = None if question.control is None else question.control.p_values(sheet)
    present = sum(part is not None for part in (gate, effect, control))
    verdict, p = _combine(gate, effect, control, delta / present)
    return verdict, min(1.0, p * present)


def judge(question: Question, sheet: Observations, delta: float) -> Judgement:
    """Weigh a question and write down why, with an anytime-valid interval at `delta` for each deciding finding."""
    verdict, p = decide(question, sheet, delta)
    effect, control, gate = (
        () if part is None else _with_interval(part, sheet, delta)
        for part in (question.effect, question.control, question.gate)
    )
    draft = Judgement(verdict=verdict, reason="", p=p, effect=effect, control=control, gate=gate)
    return replace(draft, reason=_reason(draft, question))


def _combine(gate: PValues | None, effect: PValues, control: PValues | None, alpha: float) -> tuple[Verdict, float]:
    gate_true = 0.0 if gate is None else gate.true
    gate_false = 1.0 if gate is None else gate.false
    control_true = 1.0 if control is None else control.true
    control_false = 0.0 if control is None else control.false
    conclusions = (
        (Verdict.VACUOUS, gate_false),
        (Verdict.REFUTED, max(gate_true, effect.false)),
        (Verdict.VACUOUS, max(gate_true, effect.true, control_true)),
        (Verdict.SUPPORTED, max(gate_true, effect.true, control_false)),
    )
    verdict, p = min(conclusions, key=lambda pair: pair[1])
    return (verdict, p) if p <= alpha else (Verdict.INCONCLUSIVE, p)


def _with_interval(part: Statement, sheet: Observations, alpha: float) -> tuple[Finding, ...]:
    """Draw the interval of the deciding finding only: intervals of hundreds of parts would cost more than the run."""
    findings = list(part.findings(sheet))
    chosen = headline(findings)
    if (quantity := findings[chosen].quantity) is not None:
        findings[chosen] = replace(findings[chosen], interval=quantity.interval(sheet, alpha))
    return tuple(findings)


def _reason(draft: Judgement, question: Question) -> str:
    """Say in one sentence what decided, or what is still open."""
    main = draft.main
    shown = f"{main.label} = {_number(main.estimate)} (bound {main.direction} {_number(main.bound)})"
    match draft.verdict:
        case Verdict.SUPPORTED:
            return f"{shown}; the control stays on its side" if question.control else shown
        case Verdict.REFUTED:
            return shown
        case Verdict.VACUOUS if draft.gate and _misses(gate := draft.gate[headline(draft.gate)]):
            needed = f"needs {gate.direction} {_number(gate.bound)}"
            return f"gate not passed: {gate.label} = {_number(gate.estimate)} ({needed})"
        case Verdict.VACUOUS:
            control = draft.control[headline(draft.control)]
            return f"the control clears the bound too: {control.label} = {_number(control.estimate)}"
        case Verdict.REPORTED:
            return f"{main.label} = {_number(main.estimate)} is reported, not judged"
        case _:
            return f"{shown} is not decided within the images used"


def _misses(finding: Finding) -> bool:
    return finding.p.false <= finding.p.true


def _number(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.4g}"
