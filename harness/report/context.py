"""Provenance: everything about a run that a number may depend on, as plain data."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from harness.bench import Bench
from harness.models import ModelEntry
from harness.options import RunOptions

PACKAGES = ("torch", "timm", "numpy", "scipy", "pytest")


def context_of(entry: ModelEntry, bench: Bench, options: RunOptions) -> dict[str, Any]:
    """Describe weights, images, settings, versions and machine."""
    card = bench.subject.card
    return {
        "resolved": entry.resolved,
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
        "left_out": list(bench.images.left_out),
        "train_images": None if bench.train is None else [bench.train.name, len(bench.train)],
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


@cache
def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"python": platform.python_version(), **found}
