"""The code that makes a fit, by name: a stored result is judged again without loading what trains."""

from harness.fingerprint import Reference, fingerprint, roots_in
from harness.probes.fittable import Fittable
from harness.probes.probe import Probe

PROBES = Reference("harness.probes.training.linear", "fit_probes")
TOKENS = Reference("harness.probes.training.tokens", "fit_tokens")


def code_of(wanted: Fittable) -> str:
    """Identify the code that makes a fit."""
    return fingerprint(PROBES if isinstance(wanted, Probe) else TOKENS, *roots_in(wanted))
