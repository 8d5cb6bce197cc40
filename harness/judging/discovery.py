"""The claims of a folder without pytest: ledger entries by id, and the functions in the files beside them."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from harness.errors import ClaimsError, unknown
from harness.judging.ledger import LEDGER_NAME, ClaimSpec, read_ledger, read_ledgers
from harness.judging.mark import MARK

PATTERN = "test_*.py"
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A ledger entry with the function that proposes its plan, and the file of that function."""

    spec: ClaimSpec
    function: Callable[..., Any]
    path: Path


def find_specs(root: Path) -> dict[str, ClaimSpec]:
    """Read every ledger below a claims folder, by claim id; no claim file is imported.

    Raises ClaimsError where the folder or any ledger in it is missing, saying how to name another one.
    """
    if not root.is_dir():
        raise ClaimsError(
            f"there is no claims folder {str(root)!r}; run this in the folder that holds it, or name it: --claims DIR"
        )
    specs = read_ledgers(root)
    if not specs:
        raise ClaimsError(f"no {LEDGER_NAME} holds a claim below {str(root)!r}; name a folder of claims: --claims DIR")
    return specs


def find_claims(root: Path) -> dict[str, Claim]:
    """Import the claim files below a folder and pair every marked function with its ledger entry.

    Raises ClaimsError for files that cannot be imported, for functions without an entry in the ledger beside them, and
    for an id that two functions carry.
    """
    find_specs(root)
    ledgers = {path: read_ledger(path) for path in root.rglob(LEDGER_NAME)}
    claims: dict[str, Claim] = {}
    for path in sorted(root.rglob(PATTERN)):
        ledger = path.parent / LEDGER_NAME
        for identifier, function in _marked(load_file(path)):
            entries = ledgers.get(ledger, {})
            if identifier not in entries:
                raise unknown("claim", identifier, entries, f"{path}; {ledger} must hold its entry")
            if identifier in claims:
                raise ClaimsError(f"claim {identifier!r} is made by two functions: {claims[identifier].path}, {path}")
            claims[identifier] = Claim(spec=entries[identifier], function=function, path=path)
    return claims


def chosen(items: Mapping[str, Item], wanted: Sequence[str] | None, kind: str, where: str) -> dict[str, Item]:
    """Keep the named items (all without names) in their order; the nearest match for a name that is not there."""
    for name in wanted or ():
        if name not in items:
            raise unknown(kind, name, items, where)
    return {name: item for name, item in items.items() if not wanted or name in wanted}


def load_file(path: Path) -> ModuleType:
    """Import one file under a name made from its place, as pytest's importlib mode does; never twice."""
    path = path.resolve()
    name = f"claims_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ClaimsError(f"{path} is no Python file that can be imported")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, (ImportError, SyntaxError)):
            raise ClaimsError(f"the claim file {path} cannot be imported: {error}") from error
        raise
    return module


def _marked(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    for value in vars(module).values():
        if callable(value) and getattr(value, "__module__", None) == module.__name__ and hasattr(value, MARK):
            yield str(getattr(value, MARK)), value
