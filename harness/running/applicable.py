"""What a claim measures on models that are loaded, or the reason why it cannot be asked of them."""

from harness.errors import NotApplicable
from harness.judging.discovery import Claim
from harness.judging.ledger import missing_data
from harness.measurement.observed import Job
from harness.measurement.on_images import OnImages
from harness.measurement.plan import propose
from harness.running.run_images import have, shots_of


def job_of(claim: Claim, images: OnImages) -> Job:
    """Ask a claim for its plan on these models, by role.

    Raises NotApplicable with the reason where it has none, and ClaimsError for a plan that cannot be measured.
    """
    spec = claim.spec
    cards = {role: model.subject.card for role, model in images.by_role.items()}
    for role, card in cards.items():
        if reason := card.missing(spec.needs) or card.missing(spec.subjects.get(role, ())):
            raise NotApplicable(f"{card.name}: {reason}" if role else reason)
    for model in images.models:
        met = have(model.images, spec.looked_at, shots_of(model.train))
        if reason := missing_data(spec.needs, model.images.name, met):
            raise NotApplicable(reason)
    plan = propose(claim.function, spec, cards if spec.subjects else cards[""])
    reads_fits = any(arm.fits for arm in plan.arms.values())
    if reads_fits and any(model.train is None for model in images.models):
        raise NotApplicable("it needs fitted probes, and no training images are given (--train-data)")
    return Job(spec=spec, plan=plan)
