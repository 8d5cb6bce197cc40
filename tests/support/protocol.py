"""Plans told as protocols: what is edited, read and compared with which bound, without the names that a claim chose.

Arms are told by what they do, `<readout; edit; untrained>`, so that names may be chosen freely and an exchange of two
names shows. What differs in numbers alone becomes one: `{0..6}` counts up in all its places together, `{14,13,11}`
lists; `[0..6]` and `in 0..6` are several numbers of one thing. Words for the reader (names of findings, reasons) are
left out. How a shape weighs its points is told by what it computes, held against the formulas of `support.shapes`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from itertools import groupby, pairwise

from harness.interventions.intervention import Intervention
from harness.judging.curve_statements import Rises, Shape
from harness.judging.derived_arms import Covaries, Exceeds, Largest, Mix, OfNeighbour, Product, Same
from harness.judging.quantities import Difference, Level, Quantity, Ratio
from harness.judging.statements import AtLeast, Every, Holds, Some, Statement
from harness.measurement.ledger_power import BudgetShare, ClaimsFolder
from harness.measurement.plan import Arm, Plan
from harness.models.sites import EMBEDDING
from support.shapes import shape_of

NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])")
EACH = "each claim of the ledger"  # by name, or by number, the protocol would change with every claim
DIGITS = 6  # of numbers that are no integers


def told(plan: Plan) -> str:
    """Tell a plan, one line per comparison that differs from the one before in more than numbers."""
    parts = [] if plan.census is None else [f"census {value(plan.census)}"]
    parts += ["reported only"] if plan.report_only else []
    question = plan.question
    for role in ("gate", "effect", "control"):
        statement = getattr(question, role)
        if statement is not None:
            parts.append(f"{role}\n{indented(_statement(statement, plan))}")
    for name, curve in plan.curves.items():
        points = unordered(f"{x}: {_quantity(quantity, plan)}" for x, quantity in curve.points)
        parts.append(f"curve {name}\n{indented(points)}")
    return folded(parts) + "\n"


def value(thing: object) -> str:
    """Tell a record by its type and the fields that differ from their defaults."""
    if isinstance(thing, ClaimsFolder):
        return "the ledger"
    if isinstance(thing, BudgetShare):
        return f"BudgetShare({EACH})"
    if is_dataclass(thing):
        told_fields = [(one.name, getattr(thing, one.name)) for one in fields(thing) if _told(thing, one)]
        said = [value(own) if is_dataclass(own) else f"{name} {value(own)}" for name, own in told_fields]
        return type(thing).__name__ + (f"({', '.join(said)})" if said else "")
    if isinstance(thing, float):
        return number(thing)
    if isinstance(thing, (tuple, list)):
        whole = all(isinstance(one, int) for one in thing)
        return f"[{several(thing) if whole else ' '.join(map(value, thing))}]"
    return str(thing)


def several(whole: Sequence[int]) -> str:
    """Tell integers that belong to one thing."""
    counted = len(whole) > 2 and list(whole) == list(range(whole[0], whole[0] + len(whole)))
    return f"{whole[0]}..{whole[-1]}" if counted else " ".join(map(str, whole))


def number(given: float) -> str:
    """Tell a number to a few digits."""
    return f"{round(given, DIGITS):g}"


def folded(lines: Iterable[str], joint: str = "\n") -> str:
    """Join lines, each run of those that differ in numbers alone as one."""
    return joint.join(_runs(lines))


def unordered(lines: Iterable[str], joint: str = "\n") -> str:
    """Fold parts whose order says nothing: those that differ in numbers alone need not follow one another."""
    groups: dict[str, list[str]] = {}
    for line in lines:
        groups.setdefault(NUMBER.sub("#", line), []).append(line)
    return folded((line for group in groups.values() for line in group), joint)


def indented(text: str) -> str:
    """Indent every line."""
    return "\n".join(f"  {line}" for line in text.splitlines())


def _runs(lines: Iterable[str]) -> Iterable[str]:
    for skeleton, group in groupby(lines, key=lambda line: NUMBER.sub("#", line)):
        rows = [NUMBER.findall(line) for line in group]
        columns = iter([_series(column) for column in zip(*rows, strict=True)])
        alike = len(rows) > 1 and len(set(map(tuple, rows))) == 1 and EACH not in skeleton
        yield re.sub("#", lambda _, columns=columns: next(columns), skeleton) + (f" ({len(rows)} x)" if alike else "")


def _series(column: Sequence[str]) -> str:
    if len(set(column)) == 1:
        return column[0]
    if all(re.fullmatch(r"-?\d+", one) for one in column):
        whole = [int(one) for one in column]
        steps = {later - earlier for earlier, later in pairwise(whole)}
        if len(steps) == 1 and len(whole) > 2:
            step = steps.pop()
            return f"{{{whole[0]}..{whole[-1]}}}" if step == 1 else f"{{{whole[0]}..{whole[-1]} by {step}}}"
    return "{" + ",".join(column) + "}"


def _told(thing: object, one: Field) -> bool:
    if not one.repr and not isinstance(getattr(thing, one.name), ClaimsFolder):
        return False
    default = one.default if one.default is not MISSING else None
    if one.default_factory is not MISSING:
        default = one.default_factory()
    elif one.default is MISSING:
        return True
    return getattr(thing, one.name) != default


def _statement(statement: Statement, plan: Plan) -> str:
    if isinstance(statement, (Every, Some, AtLeast)):
        inner = unordered(_statement(part, plan) for part in statement.parts)
        word = type(statement).__name__.lower()
        if isinstance(statement, AtLeast):
            word = f"at least {statement.count} of {len(statement.parts)}"
        return f"{word}\n{indented(inner)}"
    if isinstance(statement, Holds):
        return f"[{statement.bound}] {_quantity(statement.quantity, plan)}"
    if isinstance(statement, Rises):
        return f"[{statement.bound}] rank order of {folded((_arm(arm, plan) for arm in statement.curve), joint=' ')}"
    if isinstance(statement, Shape):
        points = [_arm(one, plan) if isinstance(one, str) else _quantity(one, plan) for one in statement.curve]
        return f"[{statement.bound}] {shape_of(statement.functional, len(points))} of\n{indented(folded(points))}"
    raise TypeError(f"{type(statement).__name__} has no words yet: give it some here")


def _quantity(quantity: Quantity, plan: Plan) -> str:
    if isinstance(quantity, Level):
        return _arm(quantity.arm, plan)
    sign = {Difference: "-", Ratio: "/"}[type(quantity)]
    return f"{_arm(quantity.first, plan)} {sign} {_arm(quantity.second, plan)}"


def _arm(name: str, plan: Plan) -> str:
    if name in plan.arms:
        return _condition(plan.arms[name])
    one = plan.derived[name]
    if isinstance(one, Mix) and not one.constant and {weight for _, weight in one.terms} == {1.0 / len(one.terms)}:
        return f"mean({unordered((_arm(arm, plan) for arm, _ in one.terms), joint=', ')})"
    if isinstance(one, Mix):
        terms = unordered((f"{number(weight)} {_arm(arm, plan)}" for arm, weight in one.terms), joint=" + ")
        return f"({terms}{f' + {number(one.constant)}' if one.constant else ''})"
    if isinstance(one, OfNeighbour):
        return f"neighbour's {_arm(one.arm, plan)}"
    if isinstance(one, (Product, Largest)):
        joint, factors = (" x ", one.factors) if isinstance(one, Product) else (", ", one.among)
        return f"{'largest' if isinstance(one, Largest) else ''}({unordered((_arm(a, plan) for a in factors), joint)})"
    first, second = (_arm(arm, plan) for arm in (one.first, one.second))
    if isinstance(one, Exceeds):
        return f"({first} > {second}{f' by {number(one.by)}' if one.by else ''})"
    return {Same: f"({first} = {second})", Covaries: f"covariance({first}, {second})"}[type(one)]


def _condition(arm: Arm) -> str:
    said = [f"{arm.subject}: {value(arm.readout)}" if arm.subject else value(arm.readout)]
    said += _edits(arm.intervention)
    if arm.weights != "given":
        said.append(arm.weights)
    return f"<{'; '.join(said)}>"


def _edits(intervention: Intervention) -> list[str]:
    said = [] if intervention.pixels is None else [f"pixels {value(intervention.pixels)}"]
    if intervention.positions != "own":
        said.append(f"positions {intervention.positions}")
    places = [(site, value(edit)) for site, edit in intervention.edits]
    told_apart = [f"{edit} {'at the start' if site == EMBEDDING else f'after {site}'}" for site, edit in places]
    said += [folded(told_apart, joint="; ")] if told_apart else []
    kinds: dict[str, list[int]] = {}
    for block, slot in (*intervention.masks, *intervention.blocks):
        kinds.setdefault(value(slot), []).append(block)
    return said + [f"{slot} in {several(blocks)}" for slot, blocks in kinds.items()]
