"""The one exception of this project, and how its messages find the nearest match."""

import difflib
from collections.abc import Iterable


class ClaimsError(Exception):
    """Say what was wrong, where, what is allowed and the nearest match; never a verdict."""


class NotApplicable(Exception):
    """Say why a claim cannot be asked of this model on these images; becomes a skip with this reason."""


def unknown(kind: str, value: str, allowed: Iterable[str], where: str) -> ClaimsError:
    """Build the error for a name that is not among the allowed ones, with the nearest match.

    `kind` is the noun of the thing ("model", "claim"), `where` the option or file that held it.
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(value, names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    shown = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
    return ClaimsError(f"unknown {kind} {value!r} in {where}.{hint} Allowed: {shown}.")
