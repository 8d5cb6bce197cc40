"""The code that makes a fit, by name: a stored result is judged again without loading what trains."""

from harness.fingerprint import Reference, fingerprint, roots_in
from harness.probes.fittable import Fittable

# All fits go one way, so that a change of how one kind is trained measures those of the other kind anew too.
FITS = Reference("harness.probes.training.fits", "fit_all")
TRAINING = Reference("harness.probes.training.linear", "Training")  # what the labels and classes of a fit are


def code_of(wanted: Fittable) -> str:
    """Identify the code that makes a fit."""
    return fingerprint(FITS, TRAINING, *roots_in(wanted))
