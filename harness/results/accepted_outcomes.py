"""The accepted outcome of every arm on every image, in one small file beside the accepted verdicts.

A safetensors file: outcomes 0 and 1 as bits, numbers of few distinct values as codes into a table, others as floats;
never with a loss. Equal outcomes, and outcomes that are the beginning of others, are kept once. Its one entry of text
says which array, and how much of it, belongs to which model, claim and arm. Equal contents make equal bytes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from harness.errors import ClaimsError
from harness.judging.ledger import SMALLEST_CHANGE

INDEX = "claims"
FORMAT = 1
CODES = 256


@dataclass(frozen=True, kw_only=True)
class AcceptedClaim:
    """The outcomes of one claim on one model: the set of pictures, and the numbers of each arm [image].

    `exchanged` says that neighbours exchange something in some arm, so that their numbers belong together, and
    `smallest_change` from which change on an outcome is another one (by the ledger of the run; it is not written down).
    """

    images: str
    arms: Mapping[str, np.ndarray]
    exchanged: bool = False
    smallest_change: float = SMALLEST_CHANGE

    def __post_init__(self) -> None:
        for name, values in self.arms.items():
            if values.ndim != 1 or not np.isfinite(values).all():
                raise ClaimsError(f"arm {name!r}: outcomes are one axis of finite numbers, not {values.shape} numbers")


@dataclass(frozen=True, kw_only=True)
class AcceptedOutcomes:
    """Everything that was accepted: claims by (model, claim), and the names of pictures by set, in measuring order."""

    claims: Mapping[tuple[str, str], AcceptedClaim] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def outcomes_beside(baseline: Path) -> Path:
    """Name the file of outcomes that belongs to a file of expected verdicts."""
    return baseline.with_suffix(".safetensors")


def read_outcomes(path: Path) -> AcceptedOutcomes:
    """Read a file of outcomes, empty where there is none; ClaimsError where it is none of ours."""
    if not path.exists():
        return AcceptedOutcomes()
    try:
        with safe_open(path, framework="np") as file:
            index = json.loads((file.metadata() or {})[INDEX])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        numbers = {int(place): _unpack(about, arrays) for place, about in index["arrays"].items()}
        names = {
            images: tuple(arrays[place].tobytes().decode().split("\n")) for images, place in index["names"].items()
        }
        claims = {
            (model, claim): AcceptedClaim(
                images=entry["images"],
                arms={arm: numbers[place][:count] for arm, (place, count) in entry["arms"].items()},
                exchanged=entry["exchanged"],
            )
            for model, entries in index["models"].items()
            for claim, entry in entries.items()
        }
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ClaimsError(
            f"{path} holds no accepted outcomes ({error!r:.200}); take it from where it is whole, or move it away and "
            "let `claims accept` write one of the last runs"
        ) from error
    return AcceptedOutcomes(claims=claims, names=names)


def outcomes_bytes(outcomes: AcceptedOutcomes) -> bytes:
    """Make the content of a file of outcomes; names of pictures that nothing was measured on are left out."""
    arrays, placed = _share(outcomes.claims)
    tensors: dict[str, np.ndarray] = {}
    described = {str(place): _pack(f"{place:05}", values, tensors) for place, values in enumerate(arrays)}
    models: dict[str, dict[str, Any]] = {}
    for (model, claim), entry in outcomes.claims.items():
        arms = {arm: placed[model, claim, arm] for arm in entry.arms}
        models.setdefault(model, {})[claim] = {
            "images": entry.images,
            "arms": arms,
            "exchanged": entry.exchanged,
        }
    names: dict[str, str] = {}
    for images in sorted({entry.images for entry in outcomes.claims.values()} & set(outcomes.names)):
        names[images] = f"names {len(names)}"
        tensors[names[images]] = np.frombuffer("\n".join(outcomes.names[images]).encode(), dtype=np.uint8)
    index = {"format": FORMAT, "models": models, "arrays": described, "names": names}
    # One entry of text only: several would be written in an order that changes from process to process.
    return save(tensors, {INDEX: json.dumps(index, sort_keys=True, separators=(",", ":"))})


def merge(old: AcceptedOutcomes, new: AcceptedOutcomes, dropped: Iterable[tuple[str, str]] = ()) -> AcceptedOutcomes:
    """Put newly accepted claims in the place of old ones, and leave out the dropped ones."""
    gone = set(dropped)
    kept = {place: entry for place, entry in old.claims.items() if place not in gone}
    longest = {images: max(old.names.get(images, ()), names, key=len) for images, names in new.names.items()}
    return AcceptedOutcomes(claims={**kept, **new.claims}, names={**old.names, **longest})


def _share(
    claims: Mapping[tuple[str, str], AcceptedClaim],
) -> tuple[list[np.ndarray], dict[tuple[str, str, str], tuple[int, int]]]:
    """Collect the distinct arrays, longest first, and say for every arm which of them it begins."""
    entries = [
        (model, claim, arm, values) for (model, claim), entry in claims.items() for arm, values in entry.arms.items()
    ]
    entries.sort(key=lambda entry: (-len(entry[3]), *entry[:3]))
    arrays: list[np.ndarray] = []
    placed: dict[tuple[str, str, str], tuple[int, int]] = {}
    beginnings: dict[tuple[int, bytes], int] = {}  # of the arrays so far, at every length that occurs
    lengths = sorted({len(entry[3]) for entry in entries})
    for model, claim, arm, values in entries:
        data = np.ascontiguousarray(values, dtype="<f8")
        place = beginnings.get((len(data), data.tobytes()))
        if place is None:
            place = len(arrays)
            arrays.append(data)
            for length in lengths:
                if length <= len(data):
                    beginnings.setdefault((length, data[:length].tobytes()), place)
        placed[model, claim, arm] = (place, len(data))
    return arrays, placed


def _pack(name: str, values: np.ndarray, tensors: dict[str, np.ndarray]) -> list[Any]:
    """Put an array in its smallest lossless form among the tensors; return [form, count, names of its tensors]."""
    table, codes = np.unique(values, return_inverse=True)
    if np.isin(table, (0.0, 1.0)).all():
        tensors[name] = np.packbits(values.astype(bool))
        return ["bits", len(values), [name]]
    if len(table) <= CODES and len(table) < len(values):
        tensors[name], tensors[f"{name} table"] = codes.astype(np.uint8), table
        return ["codes", len(values), [name, f"{name} table"]]
    single = values.astype(np.float32)
    tensors[name] = single if (single == values).all() else values
    return ["floats", len(values), [name]]


def _unpack(about: Sequence[Any], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    form, count, names = about
    found = [arrays[name] for name in names]
    if form == "bits":
        return np.unpackbits(found[0], count=count).astype(float)
    if form == "codes":
        return found[1][found[0]]
    if form == "floats":
        return found[0].astype(float)
    raise ValueError(f"unknown form {form!r}")
