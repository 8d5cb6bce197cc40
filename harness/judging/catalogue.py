"""The claims of a folder, as every command asks for them: what people write there is checked before it is read."""

import traceback
from functools import cache
from pathlib import Path

from harness.errors import ClaimsError, unknown
from harness.judging.discovery import Claim, find_claims, find_specs
from harness.judging.ledger import LEDGER_NAME, ClaimSpec, read_ledger
from harness.judging.strict_yaml import check_yaml


def specs_below(root: Path) -> dict[str, ClaimSpec]:
    """Read every ledger below a folder, by claim id; no claim file is imported.

    Raises ClaimsError where the folder or any ledger in it cannot be used.
    """
    _check_ledgers(root)
    return find_specs(root)


def claims_below(root: Path) -> dict[str, Claim]:
    """Pair every claim function below a folder with its ledger entry.

    Raises ClaimsError for ledgers and claim files that cannot be used, with the line where a file raised.
    """
    _check_ledgers(root)
    try:
        return find_claims(root)
    except ClaimsError:
        raise
    except (Exception, SystemExit) as error:
        inside = root.resolve()
        frames = [
            one
            for one in traceback.extract_tb(error.__traceback__)
            if Path(one.filename).resolve().is_relative_to(inside)
        ]
        place = f"{frames[-1].filename} line {frames[-1].lineno}" if frames else f"a claim file below {root}"
        raise ClaimsError(f"{place} raised {type(error).__name__} while it was imported: {error}") from error


def spec_beside(file: Path, identifier: str, capabilities: frozenset[str] = frozenset()) -> ClaimSpec:
    """Find the entry of a claim in the ledger of the folder that holds its file."""
    ledger = file.parent / LEDGER_NAME
    if not ledger.exists():
        raise ClaimsError(f"{ledger} does not exist; every claim needs an entry there")
    specs = _ledger_as_of(ledger, ledger.stat().st_mtime_ns, capabilities)
    if identifier not in specs:
        raise unknown("claim", identifier, specs, str(ledger))
    return specs[identifier]


def checked_ledger(path: Path, capabilities: frozenset[str] = frozenset()) -> dict[str, ClaimSpec]:
    """Read a ledger that anybody may have written, by claim id; ClaimsError where it cannot be used."""
    check_yaml(path, "ledger")
    return read_ledger(path, capabilities)


@cache
def _ledger_as_of(path: Path, changed: int, capabilities: frozenset[str]) -> dict[str, ClaimSpec]:
    """Read a ledger once for all of its claims on all models, and anew when the file has `changed`."""
    return checked_ledger(path, capabilities)


def _check_ledgers(root: Path) -> None:
    for path in sorted(root.rglob(LEDGER_NAME)) if root.is_dir() else ():
        check_yaml(path, "ledger")
