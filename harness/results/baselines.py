"""Expected verdicts: what a known model was accepted to show, so that a change of verdict fails."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from harness.errors import ClaimsError, unknown
from harness.judging.verdict import Verdict
from harness.results.record import Context, RunRecord

FILE_NAME = "embedded.json"
SHOWN = 24  # characters of a condition in a message
# What a verdict depends on beside claim and model; an expectation holds only under the same.
CONDITIONS = (
    *("image_fingerprint", "train_images", "seed", "dtype", "device", "batch_size", "delta", "max_images", "target"),
)


@dataclass(frozen=True)
class Baseline:
    """Expected verdicts by model and claim, with the conditions under which each model was accepted."""

    path: Path | None
    models: Mapping[str, Mapping[str, Any]]
    explicit: bool = False

    def expected(self, model: str, claim: str, context: Context) -> str | None:
        """Give the expected verdict, or None where none was accepted under these conditions.

        A baseline that was named explicitly holds whatever the conditions.
        """
        entry = self.models.get(model)
        if entry is None:
            return None
        same = not differing(entry["conditions"], context)
        return entry["verdicts"].get(claim, {}).get("verdict") if same or self.explicit else None

    def remark(self, model: str, context: Context) -> str | None:
        """Say that a model was accepted under other conditions than those of a run, and what that does to the run."""
        if (entry := self.models.get(model)) is None or not (other := differing(entry["conditions"], context)):
            return None
        follows = (
            "its verdicts are expected all the same, for the file was named"
            if self.explicit
            else "so nothing is expected of it in this run, and what is refuted fails"
        )
        return f"{model} was accepted under other conditions in {self.path} ({other}): {follows}"


NO_BASELINE = Baseline(None, {})


def ruling(
    record: RunRecord, expected: str | None, *, strict: bool
) -> Literal["pass", "fail", "xfail", "changed", "skip"]:
    """Say what a verdict means for a test run, given the expected one; `strict` fails what is inconclusive."""
    verdict = record.verdict
    if record.out_of_time:  # says nothing about the model
        return "fail" if strict else "skip"
    if expected is not None and expected != verdict:
        return "changed"
    if verdict in ("refuted", "vacuous"):
        return "fail" if expected is None else "xfail"
    if verdict == "inconclusive" and expected is None and strict:
        return "fail"
    return "skip" if verdict in ("not applicable", "inconclusive") else "pass"


def find_baseline(named: str | None, claims_file: Path) -> Baseline:
    """Read the expected verdicts: the named file, or the one beside the source folders; "none" for none."""
    if named == "none":
        return NO_BASELINE
    path = Path(named) if named else claims_file.parent.parent / "baselines" / FILE_NAME
    if named is None and not os.path.exists(path):
        return NO_BASELINE
    return read_baseline(path, explicit=named is not None)


@cache
def read_baseline(path: Path, explicit: bool) -> Baseline:
    """Read a baseline file; ClaimsError for one that is missing or names unknown verdicts."""
    if not os.path.exists(path):
        near = [str(other) for other in path.parent.glob("*.json")] if os.path.isdir(path.parent) else []
        raise unknown("baseline file", str(path), near, "--claims-baseline")
    try:
        models = json.loads(path.read_text(encoding="utf-8"))["models"]
        for model, entry in models.items():
            for claim, expected in entry["verdicts"].items():
                if expected["verdict"] not in set(Verdict):
                    raise unknown("verdict", expected["verdict"], map(str, Verdict), f"{path}, {model}, {claim}")
            if not isinstance(entry["conditions"], dict):
                raise TypeError(f"conditions of {model}: {entry['conditions']!r:.80}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ClaimsError(f"{path} is no baseline file ({error!r:.200}); `claims accept` writes one") from error
    return Baseline(path, models, explicit)


def accepted(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Read what a file of expected verdicts holds by model, as it is now; nothing where there is no file."""
    return read_baseline.__wrapped__(path, explicit=True).models if os.path.exists(path) else {}


def conditions_of(context: Context) -> dict[str, Any]:
    """List the conditions under which a verdict was reached."""
    return {name: getattr(context, name) for name in CONDITIONS}


def differing(conditions: Mapping[str, Any], context: Context) -> str:
    """Name the conditions of a run that are not the accepted ones, with both values; nothing where all agree."""
    now = conditions_of(context)
    return ", ".join(
        f"{name} {_shown(now[name])} instead of {_shown(conditions.get(name))}"
        for name in CONDITIONS
        if conditions.get(name) != now[name]
    )


def places(models: Mapping[str, Mapping[str, Any]]) -> set[tuple[str, str]]:
    """List the (model, claim) with an expected verdict."""
    return {(model, claim) for model, entry in models.items() for claim in entry["verdicts"]}


def _shown(value: Any) -> str:
    """Show a condition in a few characters: fingerprints are long."""
    if value is None:
        return "none"
    text = str(value[0]) if isinstance(value, list) and value else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
