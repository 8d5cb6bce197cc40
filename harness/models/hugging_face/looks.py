"""How pictures become the input of a Hugging Face model: `preprocessor_config.json`, as its own library follows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import ClaimsError
from harness.models.subject import Preprocessing

RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
PLAIN: Mapping[str, Any] = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": {}}
# The processor that the library takes for an architecture where the file names none.
PROCESSORS = {"dinov2": "Bit", "clip_vision_model": "CLIP", "convnext": "ConvNext", "resnet": "ConvNext"}
BY_SHORT_SIDE = ("Bit", "CLIP", "ConvNext")  # for these one number is the short side, for others both sides
SIZES = {"shortest_edge", "height", "width"}
WARPED_FROM = 384  # from this size on ConvNext's processor squashes the whole picture


def preprocessing(path: Path, looks: Mapping[str, Any], kind: str, image_size: Any) -> Preprocessing:
    """Read how pictures become input: squashed to a size, or scaled by the short side, and cropped.

    Raises ClaimsError naming the key of the file at `path` that says what no picture can be brought to.
    """
    looks = {**PLAIN, **{name: value for name, value in looks.items() if value is not None}}
    named = str(looks.get("image_processor_type", looks.get("feature_extractor_type", PROCESSORS.get(kind, ""))))
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    crop, mode = _crop(path, looks, named, min(sides))
    normalizes = looks.get("do_normalize", True)
    return Preprocessing(
        size=(int(sides[0]), int(sides[1])),
        mean=_channels(path, looks, "image_mean") if normalizes else (0.0, 0.0, 0.0),
        std=_channels(path, looks, "image_std") if normalizes else (1.0, 1.0, 1.0),
        interpolation=RESAMPLING.get(looks.get("resample", 3), "bicubic"),
        crop=crop,
        crop_mode=mode,
    )


def _crop(path: Path, looks: Mapping[str, Any], named: str, edge: int) -> tuple[float, str]:
    """Give the share of the scaled picture that is kept, and whether its proportions are."""
    size, crop = looks["size"], looks.get("crop_size")
    if isinstance(size, int):
        size = {"shortest_edge": size} if named.startswith(BY_SHORT_SIDE) else {"height": size, "width": size}
    right = isinstance(size, dict) and size.keys() <= SIZES
    if not right or not all(isinstance(one, int) and one > 0 for one in size.values()):
        raise ClaimsError(f"size {size!r} in {path}; allowed: a positive number, shortest_edge, or height and width")
    short = size.get("shortest_edge")
    if short is not None and (named.startswith("ConvNext") or "crop_pct" in looks):
        warped = short >= WARPED_FROM
        return (1.0, "squash") if warped else (float(looks.get("crop_pct", 224 / 256)), "center")
    scaled = short or min(size.values(), default=edge)
    if looks.get("do_center_crop") and crop is not None:
        edge = min(crop.values()) if isinstance(crop, dict) else crop
    elif short is None:
        edge = scaled
    if not 0 < edge <= scaled:
        raise ClaimsError(f"{path} cuts {edge} pixels out of {scaled}; allowed: a crop that is no larger than the size")
    return edge / scaled, "squash" if short is None else "center"


def _channels(path: Path, looks: Mapping[str, Any], name: str) -> tuple[float, ...]:
    values = looks[name]
    right = isinstance(values, list) and len(values) == 3 and all(isinstance(one, int | float) for one in values)
    if not right or (name == "image_std" and 0 in values):
        raise ClaimsError(f"{name} {values!r} in {path}; allowed: three numbers, and none of them 0 in image_std")
    return tuple(map(float, values))
