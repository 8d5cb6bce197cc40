"""Protocols that were read against the sources, and what claims propose, in the same words.

`tests/protocols/SOURCE.txt` says of every claim of a source how it stands to each model of `support.asked` (judged by
which bounds, reported, not asked), and of some models what is edited, read and compared. A new claim needs its own:

    cd tests && python -m support.protocols CLAIM [MODEL ...]

prints what the claim proposes, to be held against its source line by line before it is put there.
"""

import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from harness.judging.ledger import ClaimSpec
from harness.measurement.plan import Plan
from support.asked import MAIN, SMALL, ask, groups
from support.cards import CLAIMS, SPECS
from support.protocol import told

FOLDER = Path(__file__).parents[1] / "protocols"
STANDING = "how it stands"
CLAIM, PART = "== ", "-- "


@cache
def written(source: str) -> dict[str, dict[str, str]]:
    """Read the protocols of a source: claim, then model (or STANDING), then text."""
    found: dict[str, dict[str, str]] = {}
    path, lines = FOLDER / f"{source}.txt", []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        if line.startswith(CLAIM):
            found[line.removeprefix(CLAIM)] = {}
        elif line.startswith(PART):
            lines = found[list(found)[-1]].setdefault(line.removeprefix(PART), [])  # type: ignore[arg-type]
        elif line and not line.startswith("#"):
            lines.append(line)
    return {claim: {part: "\n".join(text) for part, text in parts.items()} for claim, parts in found.items()}


def proposed(function: Callable, spec: ClaimSpec, part: str) -> str:
    """Tell one part of what a claim proposes: its plan for a model, or how it stands to all of them."""
    if part == STANDING:
        return standing(function, spec)
    plan = ask(function, spec, groups(spec)[part])
    return "not asked" if plan is None else told(plan).rstrip()


def standing(function: Callable, spec: ClaimSpec) -> str:
    """Tell of which models a claim is judged, and by which bounds, of which it is reported or not asked."""
    sorts: dict[str, list[str]] = {}
    for name, cards in groups(spec).items():
        sorts.setdefault(_sort(ask(function, spec, cards)), []).append(name)
    return "\n".join(f"{sort}: {' | '.join(names)}" for sort, names in sorts.items())


def differs(function: Callable, spec: ClaimSpec, parts: Mapping[str, str]) -> bool:
    """Say whether a claim proposes anything else than these parts of its protocol say."""
    return any(proposed(function, spec, part) != text for part, text in parts.items())


def _sort(plan: Plan | None) -> str:
    if plan is None:
        return "not asked"
    return f"{'reported' if plan.report_only else 'judged'} by {', '.join(sorted(plan.question.bound_names()))}"


if __name__ == "__main__":
    identifier, *models = sys.argv[1:]
    print(f"{CLAIM}{identifier}")
    for part in (STANDING, *(models or [name for name in (MAIN, SMALL) if name in groups(SPECS[identifier])])):
        print(f"{PART}{part}\n{proposed(CLAIMS[identifier].function, SPECS[identifier], part)}")
