"""Provenance: everything about a run that a number may depend on, as plain data."""

import platform
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from harness.models.sites import UnitShape
from harness.models.subject import ModelCard, Preprocessing

if TYPE_CHECKING:  # reading a context back needs no model library
    from harness.measurement.loaded_model import LoadedModel
    from harness.models.zoo import ModelEntry
    from harness.running.options import RunOptions

PACKAGES = ("torch", "timm", "numpy", "scipy", "pytest")


def context_of(entry: "ModelEntry", bench: "LoadedModel", options: "RunOptions") -> dict[str, Any]:
    """Describe weights, images, settings, versions and machine."""
    from harness.running.run_images import classes_present  # brings torch: see above

    card = bench.subject.card
    return {
        "resolved": entry.resolved,
        "card": card_data(card),
        "family": card.family,
        "depth": card.depth,
        "width": card.width,
        "native": card.native,
        "pretrained": card.pretrained,
        "weights": bench.weights_hash("given"),
        "preprocessing": repr(card.preprocessing),
        "images": bench.images.name,
        "image_fingerprint": bench.images.fingerprint,
        "image_count": len(bench.images),
        "image_classes": bench.images.classes,
        "classes_present": classes_present(bench.images),
        "usable_images": bench.usable,
        "left_out": list(bench.images.left_out),
        "train_images": None if bench.train is None else [bench.train.name, bench.train.fingerprint, len(bench.train)],
        "seed": options.seed,
        "dtype": options.dtype,
        "device": options.device,
        "batch_size": options.batch_size,
        "delta": options.delta,
        "max_images": options.max_images,
        "target": "images" if options.population else "distribution",
        "versions": _versions(),
        "machine": platform.platform(),
    }


def context_of_several(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Join the contexts of models by role: what they share once, what differs side by side, each card by its role."""
    first = next(iter(parts.values()))
    joined = {
        name: " vs ".join(str(part[name]) for part in parts.values())
        for name in ("resolved", "family", "weights", "preprocessing")
    }
    kept = {name: value for name, value in first.items() if name not in ("card", "depth", "width", "native")}
    train = {role: part["train_images"] for role, part in parts.items()}
    return {
        **kept,
        **joined,
        "pretrained": all(part["pretrained"] for part in parts.values()),
        "train_images": first["train_images"] if len(set(map(str, train.values()))) == 1 else train,
        "cards": {role: part["card"] for role, part in parts.items()},
        "weights_by_role": {role: part["weights"] for role, part in parts.items()},
    }


def card_data(card: ModelCard) -> dict[str, Any]:
    """Turn a model card into plain data, so that a claim can be judged again without its model."""
    return {**asdict(card), "capabilities": sorted(card.capabilities)}


def cards_from(context: Mapping[str, Any]) -> ModelCard | dict[str, ModelCard]:
    """Read back the card of a context, or those of several models by role."""
    if "cards" in context:
        return {role: card_from(data) for role, data in context["cards"].items()}
    return card_from(context["card"])


def card_from(data: Mapping[str, Any]) -> ModelCard:
    """Read back what `card_data` wrote, also after JSON has made lists of its tuples."""
    looks = data["preprocessing"]
    tuples = {name: tuple(looks[name]) for name in ("size", "mean", "std")}
    return ModelCard(
        **{
            **data,
            "grid": None if data["grid"] is None else tuple(data["grid"]),
            "prefix": tuple(data["prefix"]),
            "capabilities": frozenset(data["capabilities"]),
            "units": tuple(UnitShape(**shape) for shape in data.get("units", ())),
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
