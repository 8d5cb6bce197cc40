"""Whom a claim is asked of in a run: each of its models, each set of them that fits its roles, or a family of fits."""

from collections.abc import Mapping

from harness.errors import unknown
from harness.judging.ledger import ClaimSpec
from harness.models.groups import ModelGroup, cohorts, lone
from harness.models.subject import ModelCard
from harness.models.zoo import ModelEntry
from harness.running.options import RunOptions
from harness.trainings.families import FAMILIES

NO_MODELS = "it is about models, and this run is about a family of fits alone"


def groups_for(
    spec: ClaimSpec | None, entries: Mapping[str, ModelEntry], options: RunOptions
) -> tuple[list[ModelGroup], str]:
    """List whom a claim is asked of; else say why nobody.

    A claim without a ledger entry (None), which is refused later, counts as one about single models. Raises ClaimsError
    for a family that does not exist.
    """
    if spec is not None and spec.family:
        return _family(spec, options)
    models = {name: entry for name, entry in entries.items() if entry.kind != "family"}
    if not models:
        return [], NO_MODELS
    if spec is None or not spec.subjects:
        return [lone(name) for name in models], ""
    return cohorts(spec.subjects, cards(models))


def cards(entries: Mapping[str, ModelEntry]) -> dict[str, ModelCard]:
    """Give the cards by the names of a run: a factory names its own anyhow."""
    return {name: entry.card.named(name) for name, entry in entries.items()}


def _family(spec: ClaimSpec, options: RunOptions) -> tuple[list[ModelGroup], str]:
    """Ask a family in a run of the whole zoo, or where it or the claim is named: it is trained, which takes minutes."""
    if spec.family not in FAMILIES:
        raise unknown("family", spec.family, FAMILIES, f"the ledger, claim {spec.id!r}")
    if not options.models or spec.family in options.models or spec.id in options.claims:
        return [lone(spec.family)], ""
    return [], f"it is about a family of fits that is trained first; name it with --model {spec.family}, or by --claim"
