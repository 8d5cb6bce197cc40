"""What of a question is still open, so that nothing is measured on for a part that is settled.

Evidence is anytime-valid: a part that was established at its level once may count as established whatever would come
later. So an arm is needed only while some part that rests on it can still change the verdict, and what was dropped
keeps the evidence it had. A part is settled when one of its sides reaches the level at which the whole asks for it; all
parts settled settle the whole. Once the effect is refuted nobody needs the control.
"""

from dataclasses import dataclass

from harness.judging.curve_statements import Rises
from harness.judging.observations import Observations
from harness.judging.statements import AtLeast, Every, Some, Statement, weigh
from harness.judging.verdict import Levels, Question, shares

ROUNDING = 1.0 - 1e-12  # levels are divided and p-values multiplied: what meets the one must meet the other


@dataclass(frozen=True)
class _State:
    """How a part stands (None: open), and the arms that it still needs."""

    holds: bool | None
    arms: frozenset[str]


def open_arms(question: Question, sheet: Observations, delta: float) -> frozenset[str]:
    """List the arms, derived ones among them, that a verdict at error delta still needs; none once there is one."""
    everything = frozenset(question.arms())
    if question.report_only:
        return everything
    levels = shares(question, delta)
    gate = _SETTLED if question.gate is None else _state(question.gate, sheet, levels.gate)
    effect = _state(question.effect, sheet, levels.effect)
    control = _SETTLED if question.control is None else _state(question.control, sheet, levels.control)
    if gate.holds is False:
        return frozenset()
    return gate.arms | effect.arms | (frozenset() if effect.holds is False else control.arms)


_SETTLED = _State(True, frozenset())


def _state(part: Statement, sheet: Observations, levels: Levels) -> _State:
    if isinstance(part, (Every, Some, AtLeast)):
        return _state_of_several(part, sheet, levels)
    p = part.lasting(sheet) if isinstance(part, Rises) else weigh(part, sheet)
    true, false = p.true / levels.true, p.false / levels.false
    if min(true, false) > 1.0:
        return _State(None, frozenset(part.arms()))
    return _State(true <= false, frozenset())


def _state_of_several(part: Every | Some | AtLeast, sheet: Observations, levels: Levels) -> _State:
    """Settle a composite by its parts, each at the level that `multiplicity.at_least` leaves it."""
    count = part.count if isinstance(part, AtLeast) else len(part.parts) if isinstance(part, Every) else 1
    spare = len(part.parts) - count + 1
    inner = Levels(levels.true / spare * ROUNDING, levels.false / count * ROUNDING)
    states = [_state(one, sheet, inner) for one in part.parts]
    if sum(state.holds is True for state in states) >= count:
        return _SETTLED
    if sum(state.holds is False for state in states) >= spare:
        return _State(False, frozenset())
    return _State(None, frozenset().union(*(state.arms for state in states)))
