"""Fitting probes: one pass over the training images for all probes of a run, cached and resumable.

The Gram matrices are checkpointed while they are streamed, so a killed fit goes on where it stood; a finished fit is
a safetensors file named by everything it depends on.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from harness.errors import ClaimsError
from harness.images import ImageSet
from harness.interventions import code_revision
from harness.probes import FOLDS, Fit, Moments, Probe, features, fit_ridge
from harness.subject import Subject

CHECKPOINT_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class FitPlace:
    """Where fits are kept and what they depend on beside the probe: weights, images, batch size and so on."""

    folder: Path | None
    context: str

    def id(self, probe: Probe) -> str:
        """Identify one fit by the probe, its context and the code that fits."""
        words = json.dumps([repr(probe), self.context, code_revision({Probe, FitPlace})])
        return hashlib.sha256(words.encode()).hexdigest()


def fit_probes(
    probes: Sequence[Probe],
    subject: Subject,
    images: ImageSet,
    place: FitPlace,
    *,
    chunks: Sequence[range],
    seed: int,
    advance: Callable[[int], None],
) -> dict[Probe, Fit]:
    """Fit every probe that is not in the cache, in one pass over the training images.

    Folds and permuted labels are fixed by `seed`. Raises ClaimsError where the training images have no labels or
    fewer images than folds.
    """
    found = {probe: fit for probe in probes if (fit := _load(place, probe)) is not None}
    missing = [probe for probe in dict.fromkeys(probes) if probe not in found]
    if not missing:
        return found
    if images.labels is None or len(images) < FOLDS:
        raise ClaimsError(f"{images.name}: probes need at least {FOLDS} labelled training images")
    moments = _stream(missing, subject, images, place, chunks=chunks, seed=seed, advance=advance)
    for probe in missing:
        found[probe] = fit_ridge(moments[probe.inputs], probe.labels)
        _save(place, probe, found[probe])
    if (partial := _partial_path(place, missing)) is not None:
        partial.unlink(missing_ok=True)
    return found


def _stream(probes, subject, images, place, *, chunks, seed, advance) -> dict[tuple, Moments]:
    """Read the features of all probes chunk by chunk into their moments."""
    random = np.random.Generator(np.random.PCG64([seed, 7]))
    folds = random.permutation(len(images)) % FOLDS
    targets = {"own": images.labels, "permuted": random.permutation(images.labels)}
    classes = max(subject.card.classes, int(images.labels.max()) + 1)
    kinds = tuple(sorted({probe.labels for probe in probes}))
    by_input = {probe.inputs: probe for probe in probes}
    done, moments = _resume(place, probes)
    last_saved = time.monotonic()
    for number, chunk in enumerate(chunks):
        if number < done:
            advance(chunk.stop)
            continue
        rows = slice(chunk.start, chunk.stop)
        for inputs, matrix in _features(by_input, subject, images, chunk).items():
            if inputs not in moments:
                moments[inputs] = Moments.empty(matrix.shape[1], classes, kinds)
            moments[inputs].add(matrix, {kind: targets[kind][rows] for kind in kinds}, folds[rows])
        advance(chunk.stop)
        if time.monotonic() - last_saved > CHECKPOINT_SECONDS:
            _checkpoint(place, probes, number + 1, moments)
            last_saved = time.monotonic()
    return moments


def _features(
    by_input: dict[tuple, Probe], subject: Subject, images: ImageSet, chunk: range
) -> dict[tuple, np.ndarray]:
    """Run the chain once over a chunk and read every input after its block."""
    batch = images.load(chunk, subject.card.preprocessing)
    last = max(probe.layer for probe in by_input.values())
    read = {}
    with torch.inference_mode():
        stream = subject.start(batch)
        for block in range(-1, last + 1):
            if block >= 0:
                stream = subject.step(block, stream)
            for inputs, probe in by_input.items():
                if probe.layer == block:
                    read[inputs] = features(probe, subject, stream).cpu().numpy()
    return read


def _load(place: FitPlace, probe: Probe) -> Fit | None:
    if place.folder is None or not (path := place.folder / f"{place.id(probe)}.safetensors").exists():
        return None
    arrays = load_file(path)
    tensors = {name: torch.from_numpy(arrays[name]) for name in ("centre", "weights", "bias")}
    return Fit(**tensors, strength=float(arrays["strength"][0]))


def _save(place: FitPlace, probe: Probe, fit: Fit) -> None:
    if place.folder is None:
        return
    arrays = {name: getattr(fit, name).numpy() for name in ("centre", "weights", "bias")}
    _write(place.folder / f"{place.id(probe)}.safetensors", {**arrays, "strength": np.array([fit.strength])})


def _partial_path(place: FitPlace, probes: Sequence[Probe]) -> Path | None:
    if place.folder is None:
        return None
    words = "".join(sorted(place.id(probe) for probe in probes))
    return place.folder / f"{hashlib.sha256(words.encode()).hexdigest()}.partial.safetensors"


def _checkpoint(place: FitPlace, probes: Sequence[Probe], done: int, moments: dict[tuple, Moments]) -> None:
    if (path := _partial_path(place, probes)) is None:
        return
    arrays = {"done": np.array([done])}
    for inputs, sums in moments.items():
        name = json.dumps(inputs)
        arrays |= {f"{name}|count": sums.count, f"{name}|total": sums.total, f"{name}|gram": sums.gram}
        arrays |= {f"{name}|cross|{kind}": array for kind, array in sums.cross.items()}
        arrays |= {f"{name}|per_class|{kind}": array for kind, array in sums.per_class.items()}
    _write(path, arrays)


def _resume(place: FitPlace, probes: Sequence[Probe]) -> tuple[int, dict[tuple, Moments]]:
    if (path := _partial_path(place, probes)) is None or not path.exists():
        return 0, {}
    arrays = load_file(path)
    done = int(arrays.pop("done")[0])
    moments: dict[tuple, Moments] = {}
    for name in {key.split("|")[0] for key in arrays}:
        own = {key.removeprefix(name + "|"): value for key, value in arrays.items() if key.startswith(name + "|")}
        moments[tuple(json.loads(name))] = Moments(
            count=own["count"],
            total=own["total"],
            gram=own["gram"],
            cross={key.split("|")[1]: value for key, value in own.items() if key.startswith("cross|")},
            per_class={key.split("|")[1]: value for key, value in own.items() if key.startswith("per_class|")},
        )
    return done, moments


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a file that is either whole or not there, also after a kill, and safe beside another writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.draft")
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, draft)
    os.replace(draft, path)
