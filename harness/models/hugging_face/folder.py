"""From a folder of a Hugging Face model to timm's module with its weights, and how pictures become its input."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.errors import ClaimsError, UnsupportedModel, unknown
from harness.models.hugging_face.layouts import LAYOUTS, Config, Layout
from harness.models.subject import Preprocessing

PREFIX = "hf:"
CONFIG, WEIGHTS, LOOKS = "config.json", "model.safetensors", "preprocessor_config.json"
RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
PLAIN = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
READ_BUT_NOT_MEANT = ("num_batches_tracked",)  # a counter of the training, in one library and not in the other


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A model that is known but not loaded: its architecture, configuration, classes and preprocessing."""

    folder: Path
    layout: Layout
    config: Config
    classes: int
    preprocessing: Preprocessing

    def blank(self, device: str) -> nn.Module:
        """Build the architecture with its initial weights, or on device "meta" with none."""
        with torch.device(device):
            return self.layout.make(self.config, self.classes).eval()

    def build(self) -> nn.Module:
        """Build the model with the weights of the folder; ClaimsError names those that do not fit."""
        model, weights = self.blank("cpu"), renamed(load_file(self.folder / WEIGHTS), self.layout)
        own = model.state_dict()
        # One library stores position embeddings and class tokens with dimensions of size one that the other lacks.
        fitted = {
            name: one.reshape(own[name].shape) if name in own and one.numel() == own[name].numel() else one
            for name, one in weights.items()
        }
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
    if kind not in LAYOUTS:
        raise UnsupportedModel(str(unknown("model_type", str(kind), LAYOUTS, str(folder / CONFIG))))
    if not (folder / WEIGHTS).is_file():
        raise ClaimsError(f"{folder} has no {WEIGHTS}; pickles are not read, and neither are weights in several files")
    layout, shapes = LAYOUTS[kind], _shapes(folder / WEIGHTS)
    _refuse_other_heads(folder, kind, shapes)
    classes = shapes[layout.head][0] if layout.head in shapes else 0
    size = config.get("image_size", 224)
    return HubModel(
        folder=folder, layout=layout, config=config, classes=classes, preprocessing=_preprocessing(folder, size)
    )


def renamed(weights: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Give weights timm's names, and put queries, keys and values together."""
    found: dict[str, Tensor] = {}
    apart: dict[str, dict[int, Tensor]] = {}
    for name, value in weights.items():
        for pattern, replacement in layout.renaming:
            name = re.sub(pattern, replacement, name)
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


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ClaimsError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ClaimsError(f"{path} holds {type(found).__name__}, not a mapping")
    return found


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118, a file is no mapping
    except SafetensorError as error:
        raise ClaimsError(f"{path} is no whole safetensors file: {error}") from error


def _preprocessing(folder: Path, image_size: Any) -> Preprocessing:
    """Read how pictures become input: squashed to a size, or scaled by the short side and cropped."""
    looks = PLAIN | (_json(folder / LOOKS) if (folder / LOOKS).is_file() else {})
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    size, crop = looks.get("size", {}), looks.get("crop_size")
    short = size if isinstance(size, int) else size.get("shortest_edge")
    crops = bool(looks.get("do_center_crop")) and crop is not None
    share, mode = 1.0, "squash"
    if short is not None:
        edge = min(crop.values() if isinstance(crop, dict) else [crop]) if crops else min(sides)
        share, mode = looks.get("crop_pct") or edge / short, "center"
    return Preprocessing(
        size=(int(sides[0]), int(sides[1])),
        mean=tuple(map(float, looks["image_mean"])),
        std=tuple(map(float, looks["image_std"])),
        interpolation=RESAMPLING.get(looks.get("resample", 3), "bicubic"),
        crop=float(share),
        crop_mode=mode,
    )
