"""The code behind a measured number, by its roots: what runs when it is measured, and nothing else.

Whose `step`, `read`, `apply` or `load` runs is decided while measuring, so the classes of all of these are roots.
"""

from collections.abc import Iterable

from harness.fingerprint import Reference, Root, fingerprint, roots_in
from harness.images.sampling import batch_ranges, measuring_order
from harness.interventions.intervention import Intervention
from harness.probes.fittable import Fittable
from harness.probes.training.code import code_of
from harness.readouts.members import Batches, FinitePopulation, MemberContext, MemberReadout
from harness.readouts.readout import Readout

Roots = list[Root | Reference]
BATCHES = Reference("harness.measurement.picture_batches", "Replicate")  # by name: judging again loads no model


def of_intervention(intervention: Intervention) -> str:
    """Identify the code of edits, masks and pixel edits, and of the scores that they ask for."""
    return fingerprint(*roots_in(intervention))


def of_readout(readout: Readout, fits: Iterable[Fittable] = ()) -> str:
    """Identify the code of a readout, and of what is fitted for it."""
    return "/".join([fingerprint(*roots_in(readout)), *sorted({code_of(fit) for fit in fits})])


def of_member_readout(readout: MemberReadout, population: FinitePopulation) -> str:
    """Identify the code of a readout of members, and of its population."""
    return fingerprint(*roots_of_members(readout, population))


def roots_of_members(readout: MemberReadout, population: FinitePopulation) -> Roots:
    """List the roots of reading members of a population."""
    batches = [BATCHES] if isinstance(population, Batches) else []
    return [MemberContext, measuring_order, batch_ranges, *batches, *roots_in(readout, population)]
