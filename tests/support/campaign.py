"""The mutation campaign over the claims: how many small mistakes are tried, how many the protocols show, which survive.

    cd tests && python -m support.campaign [part of a file name ...]

What survives must be equivalent: it changes no plan of any model in `support.asked`, and stands in
`protocols/equivalent.txt` with the reason why no other model could tell either.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.asked import groups
from support.cards import CLAIMS, ROOT, SPECS
from support.mutants import ClaimFile, Mutant, mutants
from support.protocols import FOLDER, STANDING, differs, proposed, written

EQUIVALENT = FOLDER / "equivalent.txt"


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What came of mistakes: how many the plan shows, how many raise, and those that the protocols do not show."""

    shown: int
    raised: int
    hidden: tuple[Mutant, ...]

    @property
    def tried(self) -> int:
        """Count the mistakes."""
        return self.shown + self.raised + len(self.hidden)

    @property
    def survivors(self) -> tuple[str, ...]:
        """Name what is neither shown nor listed as equivalent."""
        names = (mutant.name for mutant in self.hidden)
        return tuple(name for name in names if not any(one.match(name) for one in equivalents()))

    @property
    def doubtful(self) -> tuple[str, ...]:
        """Name what is listed as equivalent and yet changes the plan of a model that no protocol describes."""
        return tuple(mutant.name for mutant in self.hidden if _changes_a_plan(mutant))


def claim_files() -> list[Path]:
    """List the files that hold claims."""
    return sorted(ROOT.rglob("test_*.py"))


def attack(chosen: Iterable[Mutant]) -> Campaign:
    """Hold mutants against the protocols."""
    came: dict[str, list[Mutant]] = {"shown": [], "raised": [], "hidden": []}
    for mutant in chosen:
        came[_outcome(mutant)].append(mutant)
    return Campaign(shown=len(came["shown"]), raised=len(came["raised"]), hidden=tuple(came["hidden"]))


@dataclass(frozen=True, kw_only=True)
class Equivalent:
    """Mistakes that are none: a pattern of names (`*` for anything) and the reason."""

    pattern: str
    reason: str

    def match(self, name: str) -> bool:
        """Tell whether a mutant's name fits."""
        return re.fullmatch(".*".join(map(re.escape, self.pattern.split("*"))), name) is not None


@cache
def equivalents() -> tuple[Equivalent, ...]:
    """Read the list of mistakes that are none."""
    found, reason = [], ""
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            reason = f"{reason} {line[1:].strip()}" if line.startswith("#   ") else line.removeprefix("# ")
        elif line:
            found.append(Equivalent(pattern=line, reason=reason))
    return tuple(found)


def _outcome(mutant: Mutant) -> str:
    """Ask the claims that a mistake can reach; what they raise shows it too."""
    protocols = written(mutant.file.path.parent.name)
    # How a claim stands takes the plans of all models: after those that are described, which show most mistakes.
    parts = [(name, part) for name in _reached(mutant) for part in protocols[name]]
    parts.sort(key=lambda one: one[1] == STANDING)
    try:
        functions = mutant.functions()
        shows = any(differs(functions[name], SPECS[name], {part: protocols[name][part]}) for name, part in parts)
    except Exception:  # noqa: BLE001 - whatever a broken claim raises is what a test would show
        return "raised"
    return "shown" if shows else "hidden"


def _reached(mutant: Mutant) -> list[str]:
    """List the claims that a mistake can reach: that of its function, or all of its file."""
    ours = mutant.file.claims
    return [ours[mutant.function]] if mutant.function in ours else list(ours.values())


def _changes_a_plan(mutant: Mutant) -> bool:
    functions = mutant.functions()
    return any(differs(functions[name], SPECS[name], _everywhere(name)) for name in _reached(mutant))


@cache
def _everywhere(claim: str) -> Mapping[str, str]:
    """Tell what the claim as it is proposes to every model."""
    return {part: proposed(CLAIMS[claim].function, SPECS[claim], part) for part in groups(SPECS[claim])}


def main(parts: Sequence[str]) -> None:
    """Attack the claim files whose names hold one of these parts (all of them without any)."""
    total, unused = Counter[str](), set(equivalents())
    for path in claim_files():
        if parts and not any(part in str(path) for part in parts):
            continue
        found = attack(mutants(ClaimFile.read(path)))
        open_ones = found.survivors + tuple(f"NOT EQUIVALENT: {name}" for name in found.doubtful)
        unused -= {one for one in unused for mutant in found.hidden if one.match(mutant.name)}
        equal = len(found.hidden) - len(open_ones)
        counts = {
            "tried": found.tried,
            "red": found.shown + found.raised,
            "equivalent": equal,
            "survive": len(open_ones),
        }
        total.update({**counts, "of the red raise": found.raised})
        print(f"{path.parent.name}/{path.name}: {_words(counts)}", *open_ones, sep="\n  ", flush=True)
    print(_words(total), *(f"matches nothing: {one.pattern}" for one in unused if not parts), sep="\n")


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


if __name__ == "__main__":
    main(sys.argv[1:])
