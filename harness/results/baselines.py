"""Expected verdicts: what a known model was accepted to show, so that a change of verdict fails."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from harness.errors import ClaimsError, unknown
from harness.judging.verdict import Verdict
from harness.results.record import Context, RunRecord

FILE_NAME = "embedded.json"
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
        same = all(entry["conditions"].get(name) == getattr(context, name) for name in CONDITIONS)
        return entry["verdicts"].get(claim, {}).get("verdict") if same or self.explicit else None


NO_BASELINE = Baseline(None, {})


def ruling(
    record: RunRecord, expected: str | None, *, strict: bool
) -> Literal["pass", "fail", "xfail", "changed", "skip"]:
    """Say what a verdict means for a test run, given the expected one; `strict` fails what is inconclusive."""
    verdict = record.verdict
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
    if named is None and not path.exists():
        return NO_BASELINE
    return read_baseline(path, explicit=named is not None)


@cache
def read_baseline(path: Path, explicit: bool) -> Baseline:
    """Read a baseline file; ClaimsError for one that is missing or names unknown verdicts."""
    if not path.exists():
        near = [str(other) for other in path.parent.glob("*.json")] if path.parent.is_dir() else []
        raise unknown("baseline file", str(path), near, "--claims-baseline")
    try:
        models = json.loads(path.read_text(encoding="utf-8"))["models"]
        for model, entry in models.items():
            for claim, expected in entry["verdicts"].items():
                if expected["verdict"] not in set(Verdict):
                    raise unknown("verdict", expected["verdict"], map(str, Verdict), f"{path}, {model}, {claim}")
            entry["conditions"].keys()
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ClaimsError(f"{path} is no baseline file ({error!r}); `claims accept` writes one") from error
    return Baseline(path, models, explicit)


def accept(records: Sequence[RunRecord], path: Path) -> list[str]:
    """Write the verdicts of these records as the expected ones; return the differences in words.

    What was accepted of a model under other conditions is dropped, and told: it would be expected under the new ones.
    """
    old = accepted(path)
    models: dict[str, Any] = {name: dict(entry) for name, entry in old.items()}
    for record in records:
        context = record.context
        conditions = {name: getattr(context, name) for name in CONDITIONS}
        before = models.get(record.model, {})
        kept = before["verdicts"] if before.get("conditions") == conditions else {}
        entry: dict[str, Any] = {"conditions": conditions, "weights": context.weights, "verdicts": {**kept}}
        entry["verdicts"][record.claim] = _expectation(record)
        models[record.model] = entry
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"models": models}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return _differences(old, models)


def accepted(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Read what a file of expected verdicts holds by model, as it is now; nothing where there is no file."""
    return read_baseline.__wrapped__(path, explicit=True).models if path.exists() else {}


def places(models: Mapping[str, Mapping[str, Any]]) -> set[tuple[str, str]]:
    """List the (model, claim) with an expected verdict."""
    return {(model, claim) for model, entry in models.items() for claim in entry["verdicts"]}


def _expectation(record: RunRecord) -> dict[str, Any]:
    return {
        "verdict": record.verdict,
        "effect": None if record.effect is None else record.effect.estimate,
        "images": record.images,
        "fingerprints": record.fingerprints,
    }


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    lines = []
    for model, entry in new.items():
        before = old.get(model, {"verdicts": {}})["verdicts"]
        for claim in {**before, **entry["verdicts"]}:
            was, now = before.get(claim), entry["verdicts"].get(claim)
            if was is None or now is None or was["verdict"] != now["verdict"]:
                verdicts = [one["verdict"] if one else word for one, word in ((was, "new"), (now, "dropped"))]
                lines.append(f"{model}: {claim}: {verdicts[0]} -> {verdicts[1]}")
            elif was.get("effect") != now["effect"]:
                lines.append(f"{model}: {claim}: {now['verdict']}, effect {was.get('effect')} -> {now['effect']}")
    return lines
