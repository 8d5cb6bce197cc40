"""What accepting the verdicts of a run changes: they are merged into what was accepted, and replace it when asked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.results.baselines import conditions_of, differing
from harness.results.record import RunRecord

Accepted = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """What the file would hold by model, the records that it takes in, and both differences and refusals in words."""

    models: Accepted
    taken: tuple[RunRecord, ...]
    differences: tuple[str, ...]
    refused: tuple[str, ...]


def merge_verdicts(old: Accepted, records: Sequence[RunRecord], replace: bool = False) -> Acceptance:
    """Put the verdicts of records beside the accepted ones: those that were not run again stay.

    All verdicts of a model are expected under the same conditions. Records under others are refused, or with `replace`
    take the place of everything that was accepted of their model; records of a model under several conditions, none of
    them accepted, are refused in any case, for nobody can say which is meant.
    """
    models: dict[str, Any] = dict(old)
    taken: list[RunRecord] = []
    refused: list[str] = []
    for model in dict.fromkeys(record.model for record in records):
        of_model = [record for record in records if record.model == model and not record.out_of_time]
        if late := sum(record.model == model and record.out_of_time for record in records):
            refused.append(f"{model}: {late} claim(s) not accepted: the time of their run was up; run them to the end")
        if not of_model:
            continue
        entry = models.get(model)
        fitting = [record for record in of_model if entry and not differing(entry["conditions"], record.context)]
        others = [record for record in of_model if record not in fitting]
        if entry is None or (replace and others and not fitting):
            sets = {json.dumps(conditions_of(record.context), sort_keys=True) for record in others}
            if len(sets) > 1:
                refused.append(_ambiguous(model, others))
                continue
            entry, fitting, others = None, others, []
        if others and entry is not None:
            refused.append(_of_other_conditions(model, entry, others))
        if fitting:
            models[model] = _entry(entry, fitting)
            taken += fitting
    return Acceptance(
        models=models, taken=tuple(taken), differences=tuple(_differences(old, models)), refused=tuple(refused)
    )


def baseline_bytes(models: Accepted) -> bytes:
    """Make the content of a file of expected verdicts."""
    return (json.dumps({"models": models}, indent=1, sort_keys=True) + "\n").encode("utf-8")


def _entry(before: Mapping[str, Any] | None, records: Sequence[RunRecord]) -> dict[str, Any]:
    context = records[-1].context
    kept = before["verdicts"] if before else {}
    return {
        "conditions": conditions_of(context),
        "weights": context.weights,
        "verdicts": {**kept, **{record.claim: _expectation(record) for record in records}},
    }


def _ambiguous(model: str, records: Sequence[RunRecord]) -> str:
    first = records[0].context
    other = next(told for record in records if (told := differing(conditions_of(first), record.context)))
    return (
        f"{model}: none of its {len(records)} verdicts accepted: the last ones were reached under several conditions "
        f"({other}); name one run: --run ID (`claims history` lists them)"
    )


def _of_other_conditions(model: str, entry: Mapping[str, Any], records: Sequence[RunRecord]) -> str:
    told = differing(entry["conditions"], records[0].context)
    return (
        f"{model}: {len(records)} verdict(s) not accepted: reached under other conditions ({told}) than the "
        f"{len(entry['verdicts'])} that are accepted and stay; --run ID --replace puts a run in their place"
    )


def _expectation(record: RunRecord) -> dict[str, Any]:
    return {
        "verdict": record.verdict,
        "effect": None if record.effect is None else record.effect.estimate,
        "images": record.images,
        "fingerprints": record.fingerprints,
    }


def _differences(old: Accepted, new: Accepted) -> list[str]:
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
