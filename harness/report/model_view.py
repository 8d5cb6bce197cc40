"""What a report shows of the models: what each is, can do and could not be asked, and where its numbers come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.models.subject import CAPABILITIES
from harness.report.claim_view import counts_of
from harness.report.columns import ModelColumn
from harness.report.escaping import prose
from harness.results.record import CardRecord, Context, RunRecord, TrainImages

DASH = "–"


@dataclass(frozen=True, kw_only=True)
class Capability:
    """Something a model can do, or the reason why it cannot."""

    name: str
    there: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class ModelView:
    """One column of the matrix in full."""

    column: int
    label: str
    place: str
    family: str
    facts: tuple[tuple[str, str], ...]
    counts: Mapping[str, int]
    cost: str
    capabilities: tuple[Capability, ...]
    refusals: tuple[tuple[str, tuple[str, ...]], ...]
    provenance: tuple[tuple[str, str], ...]


def model_view(column: ModelColumn, at: int) -> ModelView:
    """Describe one column from the context of its records."""
    records = list(column.records.values())
    refusals: dict[str, list[str]] = {}
    for record in records:
        if not record.asked:
            refusals.setdefault(prose(record.reason), []).append(record.claim)
    return ModelView(
        column=at,
        label=column.label,
        place=column.anchor,
        family=column.family,
        facts=_facts(column.context),
        counts=counts_of(records),
        cost=_cost(records),
        capabilities=_capabilities(column.context.card),
        refusals=tuple((reason, tuple(claims)) for reason, claims in refusals.items()),
        provenance=_provenance(column),
    )


def _cost(records: Sequence[RunRecord]) -> str:
    """Say what all of its claims took together."""
    seconds, blocks = (sum(getattr(record, name) for record in records) for name in ("seconds", "block_evaluations"))
    return f"{seconds:,.0f} s, {blocks:,.0f} block evaluations"


def _facts(context: Context) -> tuple[tuple[str, str], ...]:
    card = context.card or CardRecord()
    grid = card.grid
    compared = "; ".join(f"{role}: {one.name}" for role, one in context.cards.items())
    facts = {
        "compares": compared or None,
        "stands for": context.resolved,
        "architecture": card.arch,
        "family": context.family,
        "blocks": context.depth,
        "width": context.width,
        "patch grid": f"{grid[0]} × {grid[1]}" if grid else None,
        "prefix tokens": ", ".join(card.prefix) or ("none" if context.card else None),
        "read from": context.native,
        "classes": card.classes,
        "parameters": f"{card.parameters:,}" if card.parameters else None,
        "weights": "trained" if context.pretrained else "random",
    }
    return tuple((name, str(value)) for name, value in facts.items() if value not in (None, ""))


def _capabilities(card: CardRecord | None) -> tuple[Capability, ...]:
    if card is None:
        return ()
    return tuple(
        Capability(
            name=name.replace("_", " "), there=name in card.capabilities, reason=prose(card.lacks.get(name, text))
        )
        for name, text in CAPABILITIES.items()
    )


def _provenance(column: ModelColumn) -> tuple[tuple[str, str], ...]:
    context = column.context
    given = (context.delta, context.max_images)
    facts = {
        "weights (SHA-256)": context.weights,
        "pictures": f"{context.images}: {context.image_count}, {context.usable_images} usable",
        "classes with pictures": _few_classes(context),
        "fingerprint of the pictures": context.image_fingerprint,
        "left out": f"{len(context.left_out)} pictures" if context.left_out else None,
        "training pictures": _train_text(context.train_images),
        "preprocessing": context.preprocessing,
        "seed": context.seed,
        "error level": "of the ledger" if given[0] is None else given[0],
        "cap on images": "of the ledger" if given[1] is None else given[1],
        "judged": f"the {context.target}",
        "number type": context.dtype,
        "device": context.device,
        "images per chunk": context.batch_size,
        "versions": ", ".join(f"{name} {text}" for name, text in context.versions.items()),
        "machine": context.machine,
        "measured": ", ".join(_times(column)),
    }
    return tuple((name, str(value)) for name, value in facts.items() if value not in (None, ""))


def _train_text(train: TrainImages | dict[str, TrainImages | None] | None) -> str:
    if isinstance(train, dict):
        return "; ".join(f"{role}: {_train_text(one)}" for role, one in train.items())
    return DASH if not train else f"{train[0]}, {train[2]} pictures, fingerprint {train[1]}"


def _few_classes(context: Context) -> str | None:
    """Say of how many classes a verdict is, where that is not all that the pictures could have."""
    present, classes = context.classes_present, context.image_classes
    return f"about {present} of the {classes} classes" if present and classes and present < classes else None


def _times(column: ModelColumn) -> list[str]:
    """Give the first and last time of its records, where they hold one."""
    times = sorted({record.time for record in column.records.values() if record.time})
    return times if len(times) < 2 else [f"{times[0]} to {times[-1]}"]
