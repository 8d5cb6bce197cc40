"""Models side by side: their records from a history or from files of runs, and their arms picture by picture."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import ClaimsError, unknown
from harness.judging.ledger import ClaimSpec
from harness.judging.paired_models import LEVEL, PairedDifference, paired_difference
from harness.models.groups import VERSUS
from harness.readouts.ranges import ranges
from harness.report.model_pairs import Side
from harness.results.history import History, open_history
from harness.results.record import IMAGES, RunRecord
from harness.results.run_file import read_document

BLOCK = "@"  # before the block in the name of an arm
SAME = ("image_fingerprint", "seed", "batch_size")  # what makes the n-th picture of two runs the same


@dataclass(frozen=True, kw_only=True)
class ArmsApart:
    """One arm of a claim on the first model and on another one."""

    other: str
    claim: str
    arm: str
    pair: PairedDifference


Compared = tuple[list[Side], dict[str, ClaimSpec], list[ArmsApart], list[RunRecord], list[str]]


def sides_of(names: Sequence[str], cache: Path) -> Compared:
    """Read the models that are named: files of runs, or models of the history in `cache`.

    Returns the sides, the ledger entries that files hold, the arms that the history can compare picture by picture, the
    most evident first, what claims about several models found of these, and notes.
    Raises ClaimsError for what cannot be read, naming what is there.
    """
    sides: list[Side] = []
    entries: dict[str, ClaimSpec] = {}
    recorded = [name for name in names if not _is_file(name)]
    apart: list[ArmsApart] = []
    together: list[RunRecord] = []
    if recorded:
        with closing(open_history(cache)) as history:
            found = _by_model(history.latest().values())
            for name in recorded:
                if name not in found:
                    raise unknown("model", name, found, f"the history in {str(cache)!r}")
            groups = [own for label, own in found.items() if len(set(label.split(VERSUS)) & set(names)) > 1]
            together = [record for own in groups for record in own.values() if record.asked]
            apart = arms_apart(history, [Side(label=name, records=found[name]) for name in recorded])
    for name in names:
        if _is_file(name):
            side, own = _of_file(name)
            sides, entries = [*sides, side], {**entries, **own}
        else:
            sides.append(Side(label=name, records=found[name]))
    return _named_apart(sides), entries, apart, together, _notes(sides)


def arms_apart(history: History, sides: Sequence[Side]) -> list[ArmsApart]:
    """Compare arms of the same name of the first model and every other, where both read the same pictures.

    Arms of single blocks are compared where both models have as many blocks. Equal measurements are compared once.
    """
    known, found = ranges(), []
    first = sides[0]
    for other in sides[1:]:
        seen = set()
        for claim, record in first.records.items():
            twin = other.records.get(claim)
            if twin is None or not _comparable(record, twin):
                continue
            for arm in record.arms:
                ids = (record.arms[arm], twin.arms.get(arm))
                if ids[1] is None or ids in seen or (BLOCK in arm and record.context.depth != twin.context.depth):
                    continue
                seen.add(ids)
                low_high = known.get(history.key(ids[0]).readout.split("(")[0])
                if low_high is not None:
                    found.append((other.label, claim, arm, record, twin, low_high))
    numbers = _Numbers(history)
    level = LEVEL / max(len(found), 1)
    made = [
        ArmsApart(
            other=label,
            claim=claim,
            arm=arm,
            pair=paired_difference(
                numbers.of(record, arm),
                numbers.of(twin, arm),
                low=low,
                high=high,
                exchanged=record.pairs is not None,
                level=level,
            ),
        )
        for label, claim, arm, record, twin, (low, high) in found
    ]
    return sorted(made, key=lambda one: (not one.pair.evident, -_clear(one.pair)))


class _Numbers:
    """The outcomes behind records, each record read once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._read: dict[tuple[str, str, str], Mapping[str, np.ndarray]] = {}

    def of(self, record: RunRecord, arm: str) -> np.ndarray:
        place = (record.run, record.model, record.claim)
        if place not in self._read:
            self._read[place] = self._history.outcomes(*place)
        return self._read[place][arm]


def _comparable(one: RunRecord, other: RunRecord) -> bool:
    same = all(getattr(one.context, name) == getattr(other.context, name) for name in SAME)
    return same and one.what == other.what == IMAGES and one.version == other.version


def _clear(pair: PairedDifference) -> float:
    """Give the distance of the interval from no difference, or of the estimate where it holds that."""
    return min(map(abs, pair.interval)) if pair.evident else abs(pair.difference)


def _is_file(name: str) -> bool:
    return name.partition(":")[0].endswith(".json")


def _of_file(name: str) -> tuple[Side, dict[str, ClaimSpec]]:
    path, _, model = name.partition(":")
    records, entries, _ = read_document(Path(path))
    found = _by_model(records)
    if model and model not in found:
        raise unknown("model", model, found, path)
    if not model and len(found) != 1:
        raise ClaimsError(f"{path} holds {len(found)} models; name one: {path}:{next(iter(found), 'MODEL')}")
    label = model or next(iter(found))
    return Side(label=label, records=found[label]), entries


def _by_model(records: Iterable[RunRecord]) -> dict[str, dict[str, RunRecord]]:
    found: dict[str, dict[str, RunRecord]] = {}
    for record in records:
        found.setdefault(record.model, {})[record.claim] = record
    return found


def _named_apart(sides: Sequence[Side]) -> list[Side]:
    labels = [side.label for side in sides]
    return [
        side if labels.count(side.label) == 1 else Side(label=f"{side.label} ({at})", records=side.records)
        for at, side in enumerate(sides, start=1)
    ]


def _notes(sides: Sequence[Side]) -> list[str]:
    """Say where the models were not asked under the same conditions."""
    notes = []
    contexts = [next(iter(side.records.values())).context for side in sides]
    for name in ("images", "image_fingerprint", "seed", "dtype", "target"):
        values = [getattr(context, name) for context in contexts]
        if len(set(map(str, values))) > 1:
            shown = ", ".join(f"{side.label}: {str(value)[:40]}" for side, value in zip(sides, values, strict=True))
            notes.append(f"measured under other conditions: {name.replace('_', ' ')} ({shown})")
    return notes
