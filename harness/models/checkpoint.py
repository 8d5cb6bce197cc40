"""Local checkpoints, checked against the architecture before loading.

`PATH,arch=NAME[,num_classes=K][,name=LABEL][,prefix=TEXT][,resample=yes]`. What a training put before every name of a
weight (`module.`, `model.`, ...) is taken off, where one of these fits. With `resample=yes` position embeddings of
another size are resampled as timm does.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.errors import ClaimsError, unknown
from harness.models.family import Model

OPTIONS = ("arch", "num_classes", "name", "prefix", "resample")
HOLDERS = (  # what trainings put before the names of weights
    *("module.", "model.", "_orig_mod.", "state_dict.", "backbone.", "encoder."),
    *("ema.", "model_ema.", "teacher.", "student."),
)
PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle", ".tar", ".th")
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A safetensors file and the architecture that it is said to fit; `name` is its label.

    `prefix` stands before every name of a weight that is meant (None: to be found), `resample` allows other sizes.
    """

    path: Path
    arch: str
    name: str
    num_classes: int | None = None
    prefix: str | None = None
    resample: bool = False


def parse(text: str) -> Checkpoint:
    """Read the notation; refuse pickles, files that are not there and options that do not exist."""
    parts = text.split(",")
    path = Path(parts[0])
    options = dict(part.partition("=")[::2] for part in parts[1:])
    for option in options:
        if option not in OPTIONS:
            raise unknown("checkpoint option", option, OPTIONS, repr(text))
    _check_file(path)
    if not options.get("arch"):
        raise ClaimsError(f"the checkpoint {text!r} does not say what it is: write {parts[0]},arch=NAME")
    count = options.get("num_classes")
    if count is not None and not count.isdecimal():
        raise ClaimsError(f"num_classes={count!r} in {text!r} is no number of classes")
    return Checkpoint(
        path=path,
        arch=options["arch"],
        name=options.get("name") or path.stem,
        num_classes=None if count is None else int(count),
        prefix=options.get("prefix"),
        resample=_yes(options.get("resample", "no"), text),
    )


def fit(checkpoint: Checkpoint, build: Callable[[int | None], nn.Module]) -> tuple[nn.Module, int]:
    """Return the architecture without weights with as many classes as the file's classifier has, and that number.

    `build` makes the architecture on the meta device for a number of classes (None: its own). Only the file's header
    is read. Raises ClaimsError if names or shapes differ, or if `num_classes` would replace the file's classifier.
    """
    every, blank = shapes_in(checkpoint.path), build(None)
    shapes = _without(every, prefix_of(checkpoint, every, blank))
    classes = _classes(blank, shapes)
    if checkpoint.num_classes not in (None, classes):
        raise ClaimsError(
            f"num_classes={checkpoint.num_classes} for {checkpoint.path}, whose classifier has {classes} classes: "
            f"another number would replace it by a random one"
        )
    model = build(classes)
    if not checkpoint.resample:
        _compare(checkpoint, shapes, _shapes_of(model))
    return model, classes


def fill(checkpoint: Checkpoint, model: nn.Module) -> nn.Module:
    """Load the file into the model, strictly; resampled to its size where that was asked for."""
    weights = load_file(checkpoint.path)
    weights = _without(weights, prefix_of(checkpoint, {name: tuple(one.shape) for name, one in weights.items()}, model))
    if checkpoint.resample:
        weights = _resampled(checkpoint, weights, model)
    model.load_state_dict(weights, strict=True)
    return model.eval()


def prefix_of(checkpoint: Checkpoint, shapes: Shapes, model: nn.Module) -> str:
    """Find what stands before the names of the weights in a file.

    Raises:
        ClaimsError: several fit, as where averaged weights lie beside the trained ones.
    """
    wanted = model.state_dict().keys()
    if checkpoint.prefix is not None:
        return checkpoint.prefix
    tried = ["", *HOLDERS, *(one + other for one in HOLDERS for other in HOLDERS)]
    counts = {prefix: sum(prefix + name in shapes for name in wanted) for prefix in tried}
    most = max(counts.values())
    found = [prefix for prefix in tried if counts[prefix] == most]
    if most and len(found) > 1:
        raise ClaimsError(
            f"{checkpoint.path} holds several sets of weights, {' and '.join(f'{prefix}...' for prefix in found)}: say "
            f"which with prefix={found[0]}"
        )
    return found[0]


def _check_file(path: Path) -> None:
    if path.suffix.lower() in PICKLES:
        raise ClaimsError(
            f"{path} is a pickle, which can run any code when it is read; convert it once where you trust it: "
            f"safetensors.torch.save_file(torch.load({path.name!r}, weights_only=True), {path.stem + '.safetensors'!r})"
        )
    if path.suffix != ".safetensors":
        raise ClaimsError(f"{path} is no checkpoint that can be read: its name must end in .safetensors")
    if not path.is_file():
        nearby = [file.name for file in path.parent.glob("*.safetensors")] if path.parent.is_dir() else []
        raise unknown("checkpoint file", path.name, nearby, f"folder {str(path.parent)!r}")


def _yes(text: str, where: str) -> bool:
    if text not in ("yes", "no"):
        raise ClaimsError(f"resample={text!r} in {where!r}; allowed: yes, no")
    return text == "yes"


def _without(named: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Keep what has this prefix, by its name without it."""
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}


def _shapes_of(model: nn.Module) -> Shapes:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def _resampled(checkpoint: Checkpoint, weights: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Resample position embeddings by timm's own function for this architecture."""
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        raise ClaimsError(f"resample=yes: timm has no function that resamples weights of arch={checkpoint.arch}")
    found = convert(weights, model)
    _compare(checkpoint, {name: tuple(one.shape) for name, one in found.items()}, _shapes_of(model))
    return found


def shapes_in(path: Path) -> Shapes:
    """Read the shapes of the weights from the header of a safetensors file; ClaimsError for one that is not whole."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118, a file is no mapping
    except SafetensorError as error:
        raise ClaimsError(f"{path} is no whole safetensors file: {error}") from error


def _classes(model: Model, shapes: Shapes) -> int:
    heads = model.get_classifier()
    heads = heads if isinstance(heads, tuple) else (heads,)
    names = [name for name, module in model.named_modules() if any(module is head for head in heads)]
    found = [shapes[f"{name}.weight"][0] for name in names if f"{name}.weight" in shapes]
    return found[0] if found else 0


def _compare(checkpoint: Checkpoint, file: Shapes, model: Shapes) -> None:
    problems = {
        "missing": sorted(model.keys() - file.keys()),
        "unexpected": sorted(file.keys() - model.keys()),
        "of another shape": [
            f"{name} {list(file[name])} instead of {list(model[name])}"
            for name in sorted(file.keys() & model.keys())
            if file[name] != model[name]
        ],
    }
    said = [
        f"{len(names)} {problem}: {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}"
        for problem, names in problems.items()
        if names
    ]
    if said:
        raise ClaimsError(f"{checkpoint.path} does not fit arch={checkpoint.arch}: {'; '.join(said)}")
