"""What is refused before anything is loaded: models, devices and pictures that do not go together."""

from collections.abc import Iterable

import torch

from harness.errors import ClaimsError
from harness.images.procedural_switches import is_embedded
from harness.models.zoo import EMBEDDED, ModelEntry, resolve
from harness.running.options import RunOptions
from harness.running.run_images import EMBEDDED_CLASSES


def check_models(options: RunOptions) -> dict[str, ModelEntry]:
    """Resolve the models of a run by name.

    Raises ClaimsError for a device that cannot be used, and in one message for every model whose labels the images
    cannot have or whose weights are out of reach.
    """
    entries = _by_name(_resolve(text, options) for text in options.models or EMBEDDED)
    _check_device(options.device)
    problems = []
    for entry in entries.values():
        if missing := entry.missing():
            problems.append(missing)
        if is_embedded(options.data) and entry.card.classes not in (0, EMBEDDED_CLASSES):
            problems.append(
                f"{entry.name} answers {entry.card.classes} classes; the embedded pictures have "
                f"{EMBEDDED_CLASSES}. Give pictures of its classes: --data FOLDER (one sub-folder per synset, or "
                "images/ with labels.csv)."
            )
    if problems:
        raise ClaimsError("\n".join(problems))
    return entries


def _resolve(text: str, options: RunOptions) -> ModelEntry:
    if options.pretrained:
        return resolve(text)
    own = is_embedded(options.data)
    return resolve(text, pretrained=False, classes=EMBEDDED_CLASSES if own else None)


def _check_device(device: str) -> None:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ClaimsError(f"device {device!r} in --device cannot be used: {error}") from error


def _by_name(entries: Iterable[ModelEntry]) -> dict[str, ModelEntry]:
    """Key models by the name under which their results are kept; two of one name would be told apart by nothing."""
    named: dict[str, ModelEntry] = {}
    for entry in entries:
        if entry.name in named:
            raise ClaimsError(
                f"two models are called {entry.name!r} ({named[entry.name].resolved} and {entry.resolved}) in --model; "
                "give a checkpoint another name with PATH,arch=...,name=LABEL"
            )
        named[entry.name] = entry
    return named
