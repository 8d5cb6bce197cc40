"""Folders as timm writes them for its hub: `local-dir:FOLDER` with config.json and model.safetensors."""

import json
from pathlib import Path
from typing import Any

from harness.errors import ClaimsError, brief
from harness.models.checkpoint import Checkpoint
from harness.models.subject import Preprocessing

PREFIX = "local-dir:"
CONFIG, WEIGHTS = "config.json", "model.safetensors"


def read_folder(text: str) -> tuple[Checkpoint, Preprocessing | None]:
    """Read which checkpoint a folder holds, and how its pictures become input (None: as its architecture says).

    Raises:
        ClaimsError: config.json is not there, is no JSON, or does not name an architecture.
    """
    folder = Path(text.removeprefix(PREFIX)).expanduser()
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ClaimsError(f"{text!r} needs {CONFIG} and {WEIGHTS} as timm writes them: {error}") from error
    arch = config.get("architecture") if isinstance(config, dict) else None
    if not isinstance(arch, str):
        raise ClaimsError(f"{folder / CONFIG} names no architecture of timm: {brief(config)}")
    if not (folder / WEIGHTS).is_file():
        raise ClaimsError(f"{folder} has no {WEIGHTS}; a pickle beside it is not read, convert it where you trust it")
    asked = Checkpoint(path=folder / WEIGHTS, arch=arch, name=folder.resolve().name)
    return asked, _looks(config.get("pretrained_cfg") or {})


def _looks(config: dict[str, Any]) -> Preprocessing | None:
    if not {"input_size", "mean", "std"} <= config.keys():
        return None
    rows, columns = config["input_size"][-2:]
    return Preprocessing(
        size=(int(rows), int(columns)),
        mean=tuple(map(float, config["mean"])),
        std=tuple(map(float, config["std"])),
        interpolation=config.get("interpolation", "bicubic"),
        crop=float(config.get("crop_pct", 1.0)),
        crop_mode=config.get("crop_mode", "center"),
    )
