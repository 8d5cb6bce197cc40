"""The one exception of this project, and how its messages find the nearest match."""

import difflib
import reprlib
from collections.abc import Iterable

BRIEF = 80  # characters of a wrong value that are shown
LONGEST = 200  # characters of a wrong name that are shown and compared


class ClaimsError(Exception):
    """Say what was wrong, where, what is allowed and the nearest match; never a verdict."""


class UnsupportedModel(ClaimsError):
    """Say that a model is none that can be read here; beside others it is left out."""


class NotApplicable(Exception):
    """Say why a claim cannot be asked of this model on these images; becomes a skip with this reason."""


def unknown(kind: str, value: str, allowed: Iterable[str], where: str) -> ClaimsError:
    """Build the error for a name that is not among the allowed ones, with the nearest match.

    `kind` is the noun of the thing ("model", "claim"), `where` the option or file that held it.
    """
    names = sorted(allowed)
    asked = value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
    near = difflib.get_close_matches(asked, names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    shown = ", ".join(map(_legible, names[:20])) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
    return ClaimsError(f"unknown {kind} {asked!r} in {where}.{hint} Allowed: {shown or 'there are none'}.")


def _legible(name: str) -> str:
    """Show a name as it is, or with escapes where characters of it would act on a terminal."""
    return name if name.isprintable() else repr(name)[1:-1]


def brief(value: object) -> str:
    """Show a value in a few characters, however large or deep it is."""
    shown = _SHORT.repr(value)
    return shown if len(shown) <= BRIEF else f"{shown[: BRIEF - 3]}..."


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = BRIEF
