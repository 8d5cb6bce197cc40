"""Records of one or several runs laid out for a report: one column per model and condition, one record per claim."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.escaping import anchor
from harness.results.record import Context, RunRecord

# Two records of one model stand in one column only if these agree: otherwise they are two experiments.
CONDITIONS = ("weights", "images", "image_fingerprint", "seed", "dtype", "target", "train_images")
TOLD_APART = ("images", "seed", "dtype", "target", "weights", "image_fingerprint", "train_images")
HASH_SHOWN = 8  # characters of a hash where it tells two columns apart


@dataclass(frozen=True, kw_only=True)
class ModelColumn:
    """One model under one condition: a label of its own, a place for links, and its last record of each claim."""

    label: str
    anchor: str
    model: str
    family: str
    context: Context
    records: Mapping[str, RunRecord]

    def __post_init__(self) -> None:
        if not self.records:
            raise ValueError(f"column {self.label!r} holds no records")


def columns_of(records: Iterable[RunRecord]) -> tuple[ModelColumn, ...]:
    """Lay out records, oldest first: of two on one claim under one condition the later one stands."""
    gathered: dict[tuple[str, ...], dict[str, RunRecord]] = {}
    for record in records:
        gathered.setdefault(_condition(record), {})[record.claim] = record
    parts = [(key[0], _context(found), found) for key, found in gathered.items()]
    labels = _labels([(model, context) for model, context, _ in parts])
    anchors = unique([anchor(f"model-{label}") for label in labels])
    return tuple(
        ModelColumn(
            label=label,
            anchor=place,
            model=model,
            family=context.family or "unknown",
            context=context,
            records=found,
        )
        for label, place, (model, context, found) in zip(labels, anchors, parts, strict=True)
    )


def unique(names: Sequence[str]) -> list[str]:
    """Number the names that stand more than once."""
    taken: set[str] = set()
    result = []
    for name in names:
        free, number = name, 2
        while free in taken:
            free, number = f"{name}-{number}", number + 1
        taken.add(free)
        result.append(free)
    return result


def _condition(record: RunRecord) -> tuple[str, ...]:
    return (record.model, *(repr(getattr(record.context, name)) for name in CONDITIONS))


def _context(found: Mapping[str, RunRecord]) -> Context:
    """Take the context of the last record: within a column they differ in nothing that a number depends on."""
    return list(found.values())[-1].context


def _labels(parts: Sequence[tuple[str, Context]]) -> list[str]:
    """Name each column by its model, and where one model stands twice by what differs first."""
    labels = []
    for model, context in parts:
        same = [other for name, other in parts if name == model]
        differing = next((name for name in TOLD_APART if len({repr(getattr(other, name)) for other in same}) > 1), None)
        labels.append(
            model if differing is None else f"{model} ({_difference(differing, getattr(context, differing))})"
        )
    return unique(labels)


def _difference(name: str, value: Any) -> str:
    if name == "images":
        return f"on {value}"
    if name in ("weights", "image_fingerprint"):
        return f"{name.replace('_', ' ')} {str(value)[:HASH_SHOWN]}"
    if name == "train_images":
        return (
            f"probes from {value[0]}"
            if isinstance(value, list)
            else "without training images"
            if not value
            else "probes by role"
        )
    return f"{name} {value}"
