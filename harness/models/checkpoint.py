"""Local checkpoints: `PATH,arch=NAME[,num_classes=K][,name=LABEL]`, checked against the architecture before loading."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from harness.errors import ClaimsError, unknown
from harness.models.family import Model

OPTIONS = ("arch", "num_classes", "name")
PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle", ".tar", ".th")
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A safetensors file and the architecture that it is said to fit; `name` is its label."""

    path: Path
    arch: str
    name: str
    num_classes: int | None = None


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
    )


def fit(checkpoint: Checkpoint, build: Callable[[int | None], nn.Module]) -> tuple[nn.Module, int]:
    """Return the architecture without weights with as many classes as the file's classifier has, and that number.

    `build` makes the architecture on the meta device for a number of classes (None: its own). Only the file's header
    is read. Raises ClaimsError if names or shapes differ, or if `num_classes` would replace the file's classifier.
    """
    shapes = _header(checkpoint.path)
    classes = _classes(build(None), shapes)
    if checkpoint.num_classes not in (None, classes):
        raise ClaimsError(
            f"num_classes={checkpoint.num_classes} for {checkpoint.path}, whose classifier has {classes} classes: "
            f"another number would replace it by a random one"
        )
    model = build(classes)
    _compare(checkpoint, shapes, {name: tuple(value.shape) for name, value in model.state_dict().items()})
    return model, classes


def fill(checkpoint: Checkpoint, model: nn.Module) -> nn.Module:
    """Load the file into the model, strictly."""
    model.load_state_dict(load_file(checkpoint.path), strict=True)
    return model.eval()


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


def _header(path: Path) -> Shapes:
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
