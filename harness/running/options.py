"""The options of a run, validated: the same for the pytest plugin, its ini keys, notebooks and the command line."""

import math
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from harness.errors import ClaimsError, unknown
from harness.images.procedural_switches import NO_OTHER_CLASSES, is_digits, is_embedded, read_world
from harness.report.export import NEEDS_PYARROW
from harness.running.option_table import OPTIONS, Option

REPORTS = (".html", ".md", ".csv", ".parquet")
DIGITS = 18  # of the largest whole number that is read
LEAST = {"seed": 0, "rounds": 1, "jobs": 1, "count": 2}  # smallest whole number of each kind of option


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Validated options of one run."""

    models: tuple[str, ...]
    claims: tuple[str, ...]
    data: str | None
    train_data: str | None
    pretrained: bool
    device: str
    dtype: str
    batch_size: int
    max_images: int | None
    train_images: int | None
    delta: float | None
    seed: int
    target: str
    baseline: str | None
    inconclusive: str
    cache: Path | None
    history: Path | None
    rounds: int
    jobs: int | None = None
    minutes: float | None = None
    shard: tuple[int, int] | None = None
    json: Path | None
    reports: tuple[Path, ...] = ()


def parse(values: dict[str, object], where: dict[str, str]) -> RunOptions:
    """Validate raw values by `dest`; `where` says where each came from (flag or ini key) for messages.

    Raises ClaimsError naming the value, the option and what is allowed.
    """
    read = {
        option.dest: _read(option, values.get(option.dest), where.get(option.dest, option.short_flag or option.flag))
        for option in OPTIONS
    }
    if read["claims_target"] == "classes" and is_embedded(read["data"]):
        raise ClaimsError(NO_OTHER_CLASSES)
    for name in ("data", "train_data"):
        _refuse_missing_folder(read[name], where.get(name, name))
    return RunOptions(
        models=tuple(read["model"]),
        claims=tuple(read["claim"]),
        data=read["data"],
        train_data=read["train_data"],
        pretrained=read["pretrained"] == "yes",
        device=read["device"],
        dtype=read["dtype"],
        batch_size=read["batch_size"],
        max_images=read["max_images"],
        train_images=read["train_images"],
        delta=read["delta"],
        seed=read["claims_seed"],
        target=read["claims_target"],
        baseline=read["claims_baseline"],
        inconclusive=read["claims_inconclusive"],
        cache=None if read["claims_no_cache"] else Path(read["claims_cache"]),
        history=None if read["claims_no_history"] else Path(read["claims_cache"]),
        rounds=read["claims_rounds"],
        jobs=read["claims_jobs"],
        minutes=read["claims_minutes"],
        shard=read["claims_shard"],
        json=None if read["claims_json"] is None else Path(read["claims_json"]),
        reports=tuple(
            report_path(text, where.get("claims_report", "--claims-report")) for text in read["claims_report"]
        ),
    )


def report_path(text: str, where: str) -> Path:
    """Read the path of a report; ClaimsError for a suffix that no report has, and for Parquet without its library."""
    path = Path(text)
    if path.suffix.lower() not in REPORTS:
        raise ClaimsError(f"{text!r} in {where}; allowed: a file name that ends in {', '.join(REPORTS)}")
    if os.path.isdir(path):
        raise ClaimsError(f"{text!r} in {where} is a folder; allowed: a file name that ends in {', '.join(REPORTS)}")
    if path.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise ClaimsError(f"{text!r} in {where}: {NEEDS_PYARROW}")
    return path


def _read(option: Option, value, where: str):
    if option.repeatable:
        return [str(entry) for entry in (value or ())]
    if value in (None, ""):
        value = option.default
    if value is None:
        return None
    if option.kind == "flag":
        return value is True or str(value).lower() in ("1", "true", "yes", "on")
    if option.kind == "choice" and value not in option.choices:
        raise unknown("value", str(value), option.choices, where)
    if option.kind in LEAST:
        return _whole(str(value), where, at_least=LEAST[option.kind])
    if option.kind == "error":
        return _number(str(value), where, (0.0, 0.5), "a number between 0 and 0.5, such as 0.01")
    if option.kind == "minutes":
        return _number(str(value), where, (0.0, math.inf), "a positive number of minutes, such as 10 or 0.5")
    if option.kind == "shard":
        return _part(str(value), where)
    return str(value)


def _part(text: str, where: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and len(text) <= DIGITS and 1 <= int(part) <= int(parts)):
        raise ClaimsError(f"{text!r:.60} in {where}; allowed: I/N with I from 1 to N, such as 2/8")
    return int(part), int(parts)


def _whole(text: str, where: str, at_least: int) -> int:
    if not text.isdecimal() or len(text) > DIGITS or int(text) < at_least:
        text = text if len(text) <= DIGITS else f"{text[:DIGITS]}..."
        raise ClaimsError(f"{text!r} in {where}; allowed: whole numbers from {at_least} on, of {DIGITS} digits at most")
    return int(text)


def _number(text: str, where: str, between: tuple[float, float], allowed: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise ClaimsError(f"{text!r:.60} in {where}; allowed: {allowed}") from error
    if not between[0] < number < between[1]:
        raise ClaimsError(f"{text!r:.60} in {where}; allowed: {allowed}")
    return number


def _refuse_missing_folder(value: str | None, where: str) -> None:
    """Refuse a path or a switch that does not exist; names of data sets (hfds/NAME) are left to the reader."""
    if value is not None and is_embedded(value):
        read_world(value, where)
        return
    if value is None or os.path.exists(value) or is_digits(value) or value.split("/")[0] in ("hfds", "hfids", "tfds"):
        return
    folder = Path(value).parent
    try:
        siblings = [str(entry) for entry in folder.iterdir()]
    except (OSError, ValueError):  # not there, not to be read, or no name of a folder
        siblings = []
    raise unknown("picture folder", value, siblings, where)
