"""What is refused before anything is loaded: models, devices and pictures that do not go together."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

import torch

from harness.errors import ClaimsError, NotApplicable, UnsupportedModel, unknown
from harness.images.open import check_pictures
from harness.images.procedural import Split
from harness.images.procedural_switches import is_digits, is_embedded
from harness.models.zoo import EMBEDDED, ModelEntry, resolve
from harness.running.options import RunOptions
from harness.running.run_images import EMBEDDED_CLASSES
from harness.trainings.families import FAMILIES, family_entry

PICTURES = """Give pictures of its classes, one of:
  --data FOLDER                    one sub-folder per synset (imagenet/val), or images/ with labels.csv
  --data hfds/timm/mini-imagenet   or another public set of the hub, through timm's reader (pip install datasets)
A first page needs hundreds of them, not 50,000: add --max-images 500, or --claims-minutes 10 to end in time.
`claims plan --model NAME --data FOLDER` tells the minutes before anything is measured."""
LONGEST_REASON = 160  # characters of what torch says of a device


def check_models(options: RunOptions) -> tuple[dict[str, ModelEntry], list[str]]:
    """Resolve the models of a run by name; and say which of several are left out, as nothing here can read them.

    Raises ClaimsError for a device that cannot be used, and in one message for every model whose labels the images
    cannot have or whose weights are out of reach.
    """
    entries, left_out = _readable(options)
    check_device(options.device)
    problems = []
    for entry in entries.values():
        if missing := entry.missing():
            problems.append(missing)
        if is_embedded(options.data) and entry.card.classes not in (0, EMBEDDED_CLASSES):
            problems.append(
                f"{entry.name} answers {entry.card.classes} classes; the embedded pictures have {EMBEDDED_CLASSES}."
            )
    if any(is_embedded(options.data) and entry.card.classes not in (0, EMBEDDED_CLASSES) for entry in entries.values()):
        problems.append(PICTURES)
    problems = problems or [*_wrong_pictures(options, entries)]
    if problems:
        raise ClaimsError("\n".join(problems))
    return entries, left_out


def check_device(device: str) -> None:
    """Refuse a device that cannot hold numbers here; ClaimsError names those that can."""
    try:
        held = torch.empty(1, device=device)
        why = "" if held.device.type != "meta" else "it holds no numbers"
    except (RuntimeError, AssertionError, ValueError, TypeError, OverflowError) as error:
        why = " ".join((str(error) or type(error).__name__).split())[:LONGEST_REASON]
    if why:
        usable = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        usable += ["mps"] if torch.backends.mps.is_available() else []
        raise ClaimsError(f"device {device!r:.60} in --device cannot be used: {why}. Usable here: {', '.join(usable)}.")


def _wrong_pictures(options: RunOptions, entries: Mapping[str, ModelEntry]) -> Iterator[str]:
    """Say which pictures do not go with which models; models of the same labels find the same."""
    asked: tuple[tuple[str | None, Split], ...] = ((options.data, "test"), (options.train_data, "train"))
    for data, split in asked:
        if data is None or is_embedded(data):
            continue
        told: dict[str, list[str]] = {}
        for entry in entries.values():
            try:
                check_pictures(data, split, entry.card)
            except (ClaimsError, NotApplicable) as error:
                told.setdefault(str(error).replace(repr(entry.name), "the model"), []).append(entry.name)
        for why, names in told.items():
            more = f" and {len(names) - 1} more model(s)" if len(names) > 1 else ""
            yield f"pictures {data!r} for {names[0]}{more}: {why}"


def _readable(options: RunOptions) -> tuple[dict[str, ModelEntry], list[str]]:
    found: list[ModelEntry] = []
    left_out: dict[str, UnsupportedModel] = {}
    for text in options.models or (FAMILIES if is_digits(options.data) else EMBEDDED):
        try:
            found.append(_resolve(text, options))
        except UnsupportedModel as error:
            left_out[text] = error
    if not found:
        raise ClaimsError("\n".join(str(error) for error in left_out.values()))
    return _by_name(found), [f"{text} is left out: {error}" for text, error in left_out.items()]


def _resolve(text: str, options: RunOptions) -> ModelEntry:
    if text in FAMILIES:
        return family_entry(text)
    if near := get_close_matches(text, FAMILIES, n=1, cutoff=0.8):
        raise unknown("model", text, FAMILIES, f"--model; {near[0]!r} is a family of fits")
    if options.pretrained:
        return resolve(text)
    own = is_embedded(options.data)
    return resolve(text, pretrained=False, classes=EMBEDDED_CLASSES if own else None)


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
