"""From a folder of a Hugging Face model to timm's module with its weights, and how pictures become its input."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.errors import ClaimsError, UnsupportedModel, unknown
from harness.models.checkpoint import shapes_in
from harness.models.hugging_face.layouts import LAYOUTS, Config, Layout
from harness.models.hugging_face.looks import preprocessing
from harness.models.renaming import new_name, reshaped
from harness.models.subject import Preprocessing

PREFIX = "hf:"
CONFIG, WEIGHTS, LOOKS = "config.json", "model.safetensors", "preprocessor_config.json"
SEVERAL = f"{WEIGHTS}.index.json"  # lists the files of weights that lie in several
READ_BUT_NOT_MEANT = ("num_batches_tracked",)  # a counter of the training, in one library and not in the other


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A model that is known but not loaded: its architecture, configuration, classes and preprocessing.

    `files` hold its weights; `note` says what the folder leaves open.
    """

    folder: Path
    files: tuple[Path, ...]
    layout: Layout
    config: Config
    classes: int
    preprocessing: Preprocessing
    note: str

    def blank(self, device: str) -> nn.Module:
        """Build the architecture with its initial weights, or on device "meta" with none.

        Raises ClaimsError where the configuration lacks a key, or says what no model can be.
        """
        place = self.folder / CONFIG
        try:
            with torch.device(device):
                return self.layout.make(self.config, self.classes).eval()
        except KeyError as error:
            raise ClaimsError(f"{place} has no {error}, without which {self.layout.arch} cannot be built") from error
        except (AssertionError, RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
            raise ClaimsError(f"no {self.layout.arch} can be built as {place} says: {error}") from error

    def build(self) -> nn.Module:
        """Build the model with the weights of the folder; ClaimsError names those that do not fit."""
        model = self.blank("cpu")
        weights = renamed({name: one for file in self.files for name, one in load_file(file).items()}, self.layout)
        own = model.state_dict()
        fitted = reshaped(weights, own)
        for name, one in fitted.items():
            if name in own and one.shape != own[name].shape:
                shapes = f"{tuple(one.shape)} in the file, {tuple(own[name].shape)} by {CONFIG}"
                raise ClaimsError(f"{self.folder / WEIGHTS} does not fit its own configuration: {name} is {shapes}")
        found = model.load_state_dict(fitted, strict=False)
        missing = [name for name in found.missing_keys if not name.endswith(READ_BUT_NOT_MEANT)]
        if missing or found.unexpected_keys:
            raise ClaimsError(
                f"{self.folder / WEIGHTS} does not fit its own configuration: missing {missing[:5]}, unexpected "
                f"{found.unexpected_keys[:5]}"
            )
        return model


def read_model(text: str) -> HubModel:
    """Read what a folder holds, without its weights.

    Raises:
        ClaimsError: a file is missing or unreadable, or the configuration says what timm's module cannot do.
        UnsupportedModel: an architecture that is not among LAYOUTS.
    """
    folder = Path(text.removeprefix(PREFIX)).expanduser()
    if not folder.is_dir():
        raise ClaimsError(
            f"{text!r} is no folder; allowed: hf:FOLDER with {CONFIG} and {WEIGHTS}, such as one made by "
            f"`hf download {text.removeprefix(PREFIX)} --local-dir FOLDER`"
        )
    config = _json(folder / CONFIG)
    kind = config.get("model_type", "")
    if kind == "clip":
        kind, config = "clip_vision_model", config.get("vision_config", {})
    if not isinstance(kind, str) or kind not in LAYOUTS:
        raise UnsupportedModel(str(unknown("model_type", str(kind), LAYOUTS, str(folder / CONFIG))))
    files = _files(folder)
    layout, shapes = LAYOUTS[kind], {name: shape for one in files for name, shape in shapes_in(one).items()}
    _refuse_other_heads(folder, kind, shapes)
    classes = shapes[layout.head][0] if layout.head in shapes else 0
    size, file = config.get("image_size", 224), folder / LOOKS
    if not (isinstance(size, int) or (isinstance(size, list) and [type(one) for one in size] == [int, int])):
        raise ClaimsError(f"image_size {size!r} in {folder / CONFIG}; allowed: a number, or height and width")
    looks = preprocessing(file, _json(file) if file.is_file() else {}, kind, size)
    return HubModel(
        folder=folder,
        files=files,
        layout=layout,
        config={"image_size": size, **config},
        classes=classes,
        preprocessing=looks,
        note="" if file.is_file() else f"no {LOOKS} in {folder}: assumed is {looks!r}",
    )


def renamed(weights: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Give weights timm's names, and put queries, keys and values together."""
    found: dict[str, Tensor] = {}
    apart: dict[str, dict[int, Tensor]] = {}
    for name, value in weights.items():
        name = new_name(name, layout.renaming)
        if split := re.fullmatch(r"(.*\.qkv)\.([012])\.(weight|bias)", name):
            apart.setdefault(f"{split[1]}.{split[3]}", {})[int(split[2])] = value
        elif name:
            found[name] = value
    return found | {name: torch.cat([parts[at] for at in sorted(parts)]) for name, parts in apart.items()}


def _refuse_other_heads(folder: Path, kind: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse heads that read something else than timm's do."""
    if kind == "deit" and "classifier.weight" in shapes:
        raise ClaimsError(
            f"{folder}: a DeiT with a distillation token whose one head reads the class token; timm's averages two "
            "heads. Allowed: DeiTForImageClassificationWithTeacher"
        )
    if kind == "dinov2" and "classifier.weight" in shapes:
        raise ClaimsError(
            f"{folder}: its head reads class token and mean patch side by side, which timm's module does not; allowed: "
            "the trunk alone (Dinov2Model), read through a probe"
        )


def _files(folder: Path) -> tuple[Path, ...]:
    """List the files of the weights: one, or those that an index names."""
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if not (folder / SEVERAL).is_file():
        raise ClaimsError(f"{folder} has no {WEIGHTS} and no {SEVERAL}; pickles are not read")
    named = _json(folder / SEVERAL).get("weight_map")
    files = sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []
    if lost := [name for name in files if not (folder / name).is_file()] or ([] if files else ["any file"]):
        raise ClaimsError(f"{folder / SEVERAL} names {lost[0]}, which is not there ({len(lost)} in all)")
    return tuple(folder / name for name in files)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ClaimsError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ClaimsError(f"{path} holds {type(found).__name__}, not a mapping")
    return found
