"""Provenance: everything about a run that a number may depend on."""

import platform
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from harness.errors import ClaimsError
from harness.models.sites import UnitShape
from harness.models.subject import ModelCard, Preprocessing
from harness.results.record import CardRecord, Context

if TYPE_CHECKING:  # reading a context back needs no model library
    from harness.measurement.loaded_model import LoadedModel
    from harness.models.zoo import ModelEntry
    from harness.running.options import RunOptions

OF_ONE_MODEL = ("card", "depth", "width", "native")  # what a group of models has no one value of
PACKAGES = ("torch", "timm", "numpy", "scipy", "pytest")


def context_of(entry: "ModelEntry", bench: "LoadedModel", options: "RunOptions") -> Context:
    """Describe weights, images, settings, versions and machine."""
    from harness.running.run_images import classes_present  # brings torch: see above

    card = bench.subject.card
    return Context(
        resolved=entry.resolved,
        card=card_record(card),
        family=card.family,
        depth=card.depth,
        width=card.width,
        native=card.native,
        pretrained=card.pretrained,
        weights=bench.weights_hash("given"),
        preprocessing=repr(card.preprocessing),
        images=bench.images.name,
        image_fingerprint=bench.images.fingerprint,
        image_count=len(bench.images),
        image_classes=bench.images.classes,
        classes_present=classes_present(bench.images),
        usable_images=bench.usable,
        left_out=bench.images.left_out,
        train_images=None if bench.train is None else [bench.train.name, bench.train.fingerprint, len(bench.train)],
        seed=options.seed,
        dtype=options.dtype,
        device=options.device,
        batch_size=options.batch_size,
        delta=options.delta,
        max_images=options.max_images,
        target=options.target,
        versions=_versions(),
        machine=platform.platform(),
    )


def context_of_models(
    entries: "Mapping[str, ModelEntry]", models: "Mapping[str, LoadedModel]", options: "RunOptions"
) -> Context:
    """Describe the run of one model, or of those that a claim compares, by role."""
    parts = {role: context_of(entries[role], model, options) for role, model in models.items()}
    return context_of_several(parts) if len(parts) > 1 else parts[""]


def context_of_several(parts: Mapping[str, Context]) -> Context:
    """Join the contexts of models by role: what they share once, what differs side by side, each card by its role."""
    first = next(iter(parts.values()))
    train = {role: part.train_images for role, part in parts.items()}
    alike = len(set(map(str, train.values()))) == 1
    joined = {
        name: " vs ".join(str(getattr(part, name)) for part in parts.values())
        for name in ("resolved", "family", "weights", "preprocessing")
    }
    return Context(
        **{
            **first.model_dump(exclude_unset=True, exclude=set(OF_ONE_MODEL)),
            **joined,
            "pretrained": all(part.pretrained for part in parts.values()),
            "train_images": first.train_images if alike else train,
            "cards": {role: part.card for role, part in parts.items()},
            "weights_by_role": {role: part.weights for role, part in parts.items()},
        }
    )


def card_record(card: ModelCard) -> CardRecord:
    """Turn a model card into plain data, so that a claim can be judged again without its model."""
    return CardRecord(**{**asdict(card), "capabilities": sorted(card.capabilities)})


def cards_from(context: Context) -> ModelCard | dict[str, ModelCard]:
    """Read back the card of a context, or those of several models by role; ClaimsError where it holds none."""
    if context.cards:
        return {role: card_from(card) for role, card in context.cards.items()}
    if context.card is None:
        raise ClaimsError(f"the record of a run on {context.resolved!r} holds no model card; run it again")
    return card_from(context.card)


def card_from(record: CardRecord) -> ModelCard:
    """Read back what `card_record` wrote, also after JSON has made lists of its tuples."""
    data, looks = record.model_dump(exclude_unset=True), record.preprocessing
    tuples = {name: tuple(looks[name]) for name in ("size", "mean", "std")}
    return ModelCard(
        **{
            **data,
            "capabilities": frozenset(record.capabilities),
            "units": tuple(UnitShape(**shape) for shape in record.units),
            "preprocessing": Preprocessing(**{**looks, **tuples}),
        }
    )


@cache
def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"python": platform.python_version(), **found}
