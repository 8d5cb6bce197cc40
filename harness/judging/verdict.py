"""From evidence to a verdict: gate, effect and control, with one declared error for the whole.

Each statement can be established (true) or refuted (false), each side at a level of its own. There are four
conclusions, and each needs all of what stands beside it (intersection-union, so nothing is shared within a line):

    vacuous, gate not passed     gate false
    refuted                      gate true,  effect false
    vacuous, control clears it   gate true,  effect true,  control true
    supported                    gate true,  effect true,  control false

A wrong conclusion takes that one of its needs is established although it is not so. By the state of the world:

    gate false                  all others need "gate true": its level
    gate true, effect false     the first needs "gate false", the last two "effect true": the sum of these two levels
    both true, control true     "gate false", "effect false" or "control false": the sum of these three
    both true, control false    "gate false", "effect false" or "control true": the sum of these three

So levels whose four sums are at most delta keep the error of the whole verdict, wherever the run stops: "gate true" has
all of delta, "gate false" a small part (a gate that is missed is mostly missed by far), "effect true" the rest, and
"effect false" and both sides of the control half of the rest each. That takes the units as independent: images, or, in
a claim that has images exchange something in any of its arms, the pairs in which they do (`harness.images.sampling`,
`harness.measurement.sequential.lay_out`).

The interval of a finding is drawn at the levels of the sides of its statement: an end leaves out the bound exactly
where that side is established, and each end errs with at most its level, delta at most. The finding was picked among
all comparisons of its statement, so its ends are drawn at the level divided by their number. Where its side of the
bound is established, which needs no such division, the end is at the bound at least: if wrongly, so is the verdict.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from harness.judging.observations import Observations, PValues
from harness.judging.statements import Finding, Statement, comparisons, headline, weigh

GATE_MISSED = 0.1  # share of delta for "the gate is not passed"


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


@dataclass(frozen=True)
class Levels:
    """At which error the two sides of a statement are tested: that it is true, that it is false."""

    true: float
    false: float


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The levels of the statements of a question, so that the whole verdict errs with at most the error they share."""

    gate: Levels
    effect: Levels
    control: Levels


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


def shares(question: Question, delta: float) -> Shares:
    """Divide delta among what can go wrong at once (see above); what is not asked takes no share."""
    missed = 0.0 if question.gate is None else GATE_MISSED * delta
    rest = delta - missed
    half = rest / 2
    return Shares(
        gate=Levels(delta, missed),
        effect=Levels(rest, rest if question.control is None else half),
        control=Levels(half, half),
    )


def decide(question: Question, sheet: Observations, delta: float) -> tuple[Verdict, float]:
    """Weigh a question once: the verdict (INCONCLUSIVE: not yet) and the error level at which it stands."""
    if question.report_only:
        return Verdict.REPORTED, 1.0
    verdict, p = _combine(question, sheet)
    return (verdict, p) if p <= delta else (Verdict.INCONCLUSIVE, p)


def judge(question: Question, sheet: Observations, delta: float) -> Judgement:
    """Weigh a question and write down why, with an anytime-valid interval for each deciding finding."""
    verdict, p = decide(question, sheet, delta)
    levels = shares(question, delta)
    effect, control, gate = (
        () if part is None else _with_interval(part, sheet, level)
        for part, level in (
            (question.effect, levels.effect),
            (question.control, levels.control),
            (question.gate, levels.gate),
        )
    )
    draft = Judgement(verdict=verdict, reason="", p=p, effect=effect, control=control, gate=gate)
    return replace(draft, reason=_reason(draft, question))


def _combine(question: Question, sheet: Observations) -> tuple[Verdict, float]:
    """Give the conclusion that stands at the smallest error of the whole, and that error."""
    share, effect = shares(question, 1.0), weigh(question.effect, sheet)
    gate = None if question.gate is None else weigh(question.gate, sheet)
    control = None if question.control is None else weigh(question.control, sheet)
    gate_true = 0.0 if gate is None else gate.true / share.gate.true
    gate_false = 1.0 if gate is None else gate.false / share.gate.false
    effect_true, effect_false = effect.true / share.effect.true, effect.false / share.effect.false
    control_true = 1.0 if control is None else control.true / share.control.true
    control_false = 0.0 if control is None else control.false / share.control.false
    conclusions = (
        (Verdict.VACUOUS, gate_false),
        (Verdict.REFUTED, max(gate_true, effect_false)),
        (Verdict.VACUOUS, max(gate_true, effect_true, control_true)),
        (Verdict.SUPPORTED, max(gate_true, effect_true, control_false)),
    )
    verdict, p = min(conclusions, key=lambda pair: pair[1])
    return verdict, min(1.0, p)


def _with_interval(part: Statement, sheet: Observations, levels: Levels) -> tuple[Finding, ...]:
    """Draw the interval of the deciding finding only: intervals of hundreds of parts would cost more than the run."""
    findings = list(part.findings(sheet))
    chosen = headline(findings)
    found = findings[chosen]
    if found.quantity is not None:
        picked = comparisons(part)
        ends = (levels.true / picked, levels.false / picked)  # of the side that holds, of the other side
        drawn = found.quantity.interval(sheet, ends if found.direction == ">=" else ends[::-1])
        findings[chosen] = replace(found, interval=_beyond(drawn, found, weigh(part, sheet), levels))
    return tuple(findings)


def _beyond(drawn: tuple[float, float], found: Finding, whole: PValues, levels: Levels) -> tuple[float, float]:
    """Cut an interval at the bound where the statement, and this comparison within it, is established or refuted.

    Evidence that went one way and then the other may have crossed both levels: the more evident side counts.
    """
    holds, fails = max(whole.true, found.p.true) / levels.true, max(whole.false, found.p.false) / levels.false
    if min(holds, fails) > 1.0:
        return drawn
    low, high = drawn
    if (holds <= fails) is (found.direction == ">="):
        return max(low, found.bound), max(high, found.bound)
    return min(low, found.bound), min(high, found.bound)


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
