"""From the name of a model to exact weights: aliases, timm names with tags, factories, local checkpoints, fixtures."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal

import torch
import yaml
from torch import nn

from harness.errors import ClaimsError, unknown
from harness.fixtures import recipes
from harness.fixtures import zoo as fixture_zoo
from harness.fixtures.scenes import CLASS_NAMES
from harness.models import checkpoint, hugging_face, timm_folder, timm_source
from harness.models.chain import ChainSubject
from harness.models.factories import subject_of_factory
from harness.models.families import adapt, card_of
from harness.models.self_check import check_subject
from harness.models.subject import ModelCard, Preprocessing, Subject
from harness.models.weights import fresh_copy

ZOO_FILE = Path(__file__).with_name("zoo.yaml")
EMBEDDED: tuple[str, ...] = tuple(fixture_zoo.NAMES)  # models that come with this repository, weights and all
RANDOM_SEED = 0  # of the weights of models asked for with `pretrained=False`
IMAGENET_CLASSES = 1000
_FIXTURE_PREPROCESSING = Preprocessing(
    size=(fixture_zoo.SIZE, fixture_zoo.SIZE), mean=fixture_zoo.MEAN, std=fixture_zoo.STD
)
Kind = Literal["embedded", "timm", "factory", "checkpoint", "family"]


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A model that is known but not loaded.

    `name` is the label under which results are kept, `resolved` says exactly which model that is, `note` what a
    reader of the name might not expect. `data` names the images whose labels the head knows (None: not known).
    `build` makes the module (a Subject for factories that return one), `missing` says why it could not.
    """

    name: str
    resolved: str
    note: str
    card: ModelCard
    kind: Kind
    data: Literal["embedded", "imagenet-1k"] | None
    build: Callable[[], nn.Module | Subject]
    missing: Callable[[], str | None] = lambda: None

    def load(self, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Subject:
        """Load the weights and prove what the card says (`self_check`).

        Raises ClaimsError at once if they are neither here nor within reach, and for a model that is not what it says.
        """
        if why := self.missing():
            raise ClaimsError(why)
        built = self.build()
        if not isinstance(built, nn.Module):
            return built if self.kind == "family" else check_subject(built)  # no network yet
        card = self.card
        subject = adapt(
            built.to(device, dtype),
            name=card.name,
            arch=card.arch,
            pretrained=card.pretrained,
            preprocessing=card.preprocessing,
        )
        if subject.card.classes != card.classes:
            raise ClaimsError(f"{self.name!r} was described with {card.classes} classes and has {subject.card.classes}")
        return check_subject(subject)


def resolve(text: str, *, pretrained: bool = True, classes: int | None = None) -> ModelEntry:
    """Find the model that a name, alias, `module:factory` or checkpoint means, without loading weights.

    With `pretrained=False` it gets random weights, and `classes` outputs if given. ClaimsError tells the nearest match.
    """
    if classes is not None and pretrained:
        raise ClaimsError(
            f"classes={classes} for {text!r}: pretrained weights have labels of their own; only random "
            f"weights (pretrained=False) take another number"
        )
    text = timm_source.plain_name(text)
    if text in EMBEDDED:
        return _embedded(text, pretrained, classes)
    if text in aliases():
        return _timm(text, aliases()[text], pretrained, classes)
    if re.fullmatch(r"\w+(\.\w+)*:\w+", text):
        return _factory(text, pretrained)
    if text.startswith(hugging_face.PREFIX):
        return _hugging_face(text, pretrained)
    if text.startswith(timm_folder.PREFIX):
        return _checkpoint(text, pretrained, *timm_folder.read_folder(text))
    if "," in text or "/" in text or ":" in text or Path(text).suffix in (".safetensors", *checkpoint.PICKLES):
        return _checkpoint(text, pretrained, checkpoint.parse(text))
    full = timm_source.full_name(text)
    if full is None:
        raise _unknown("model", text, "--model")
    note = "" if full == text else f"{text!r} has no tag, which timm's releases read differently; taken as {full!r}"
    return _timm(full, full, pretrained, classes, note)


def zoo() -> list[ModelEntry]:
    """List the models that have a short name, those of this repository first."""
    return [resolve(name) for name in (*EMBEDDED, *aliases())]


def missing_weights(entry: ModelEntry) -> str | None:
    """Say which weights are missing and what to do, within seconds; None if they are here or within reach."""
    return entry.missing()


@cache
def aliases() -> dict[str, str]:
    """Read the short names of the zoo: alias -> full timm name."""
    return dict(yaml.safe_load(ZOO_FILE.read_text(encoding="utf-8")))


def _embedded(name: str, pretrained: bool, classes: int | None) -> ModelEntry:
    path = fixture_zoo.WEIGHTS / f"{name}.safetensors"
    how = None if path.exists() else f"{name!r} has no weights at {path}; run: python -m harness.fixtures.train {name}"
    return _entry(
        name=name,
        resolved=name,
        kind="embedded",
        data="embedded" if classes in (None, len(CLASS_NAMES)) else None,
        arch=name,
        blank=partial(_blank, name, classes),
        build=partial(fixture_zoo.build, name),
        missing=lambda: how,
        pretrained=pretrained,
    )


def _timm(name: str, full: str, pretrained: bool, classes: int | None, note: str = "") -> ModelEntry:
    return _entry(
        name=name,
        resolved=full,
        note="; ".join(filter(None, (note, timm_source.notes(full)))),
        kind="timm",
        data="imagenet-1k",
        arch=full,  # with its tag: some claims are about one checkpoint, whatever its alias
        blank=partial(_blank, full, classes),
        build=partial(timm_source.load, full),
        missing=partial(timm_source.missing, full),
        pretrained=pretrained,
    )


def _checkpoint(
    text: str, pretrained: bool, asked: checkpoint.Checkpoint, looks: Preprocessing | None = None
) -> ModelEntry:
    if not pretrained:
        raise ClaimsError(f"the checkpoint {text!r} with pretrained=False: ask for the architecture by its own name")
    arch = aliases().get(asked.arch, asked.arch)
    if arch not in EMBEDDED and timm_source.full_name(arch) is None:
        raise _unknown("architecture", arch, f"arch= of {text!r}")
    _, classes = checkpoint.fit(asked, lambda number: _blank(arch, number, "meta"))
    own = arch in EMBEDDED and classes == len(CLASS_NAMES)
    return _entry(
        name=asked.name,
        resolved=f"{asked.path},arch={arch},num_classes={classes}",
        kind="checkpoint",
        data="embedded" if own else None,
        arch=arch.partition(".")[0],
        blank=partial(_blank, arch, classes),
        build=lambda: checkpoint.fill(asked, _blank(arch, classes, "cpu")),
        looks=looks,
    )


def _hugging_face(text: str, pretrained: bool) -> ModelEntry:
    found = hugging_face.read_model(text)
    return _entry(
        name=found.folder.resolve().name,
        resolved=f"{hugging_face.PREFIX}{found.folder}",
        kind="checkpoint",
        arch=found.layout.arch,
        blank=found.blank,
        build=found.build,
        pretrained=pretrained,
        looks=found.preprocessing,
        note=found.note,
    )


def _factory(text: str, pretrained: bool) -> ModelEntry:
    """Call the factory at once: only what it returns can be described."""
    made = subject_of_factory(text)
    subject = made if pretrained else made.untrained(RANDOM_SEED)
    built = subject.model if isinstance(subject, ChainSubject) else subject
    return ModelEntry(
        name=text,
        resolved=text,
        note="called to be described: a card cannot be read from a factory",
        card=subject.card,
        kind="factory",
        data=None,
        build=lambda: built,
    )


def _unknown(kind: str, name: str, where: str) -> ClaimsError:
    """Search all of timm for the nearest match, but list the zoo: nobody reads three thousand names."""
    near = difflib.get_close_matches(name, timm_source.known_names(), n=3)
    return unknown(kind, name, {*EMBEDDED, *aliases(), *near}, f"{where} (short names and nearest timm names)")


def _blank(name: str, classes: int | None, device: str) -> nn.Module:
    """Build an architecture with its initial weights, or on device "meta" with none."""
    if name not in EMBEDDED:
        return timm_source.blank(name, classes, device=device)
    recipe = recipes.RECIPES[name]
    with torch.device(device):
        build = recipes.ARCHITECTURES[recipe.architecture]
        model = build(num_classes=len(CLASS_NAMES) if classes is None else classes, **recipe.config)
    return model.eval()


def _entry(
    *,
    name: str,
    resolved: str,
    kind: Kind,
    data: Literal["embedded", "imagenet-1k"] | None = None,
    arch: str,
    blank: Callable[[str], nn.Module],
    build: Callable[[], nn.Module],
    missing: Callable[[], str | None] = lambda: None,
    pretrained: bool = True,
    note: str = "",
    looks: Preprocessing | None = None,
) -> ModelEntry:
    """Describe the architecture on the meta device; random weights take the place of `build` if asked for."""
    name = name if pretrained else f"{name}@untrained-{RANDOM_SEED}"
    preprocessing = _FIXTURE_PREPROCESSING if arch in EMBEDDED else looks
    card = card_of(blank("meta"), name=name, arch=arch, pretrained=pretrained, preprocessing=preprocessing)
    if data == "imagenet-1k" and not (pretrained and card.classes == IMAGENET_CLASSES):
        data = None
    if not pretrained:
        note = "; ".join(filter(None, (note, f"random weights of seed {RANDOM_SEED}")))
        build, missing = lambda: fresh_copy(blank("cpu"), RANDOM_SEED), lambda: None
    return ModelEntry(
        name=name, resolved=resolved, note=note, card=card, kind=kind, data=data, build=build, missing=missing
    )
