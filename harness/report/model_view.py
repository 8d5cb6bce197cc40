"""What a report shows of the models: what each is, can do and could not be asked, and where its numbers come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.models.subject import CAPABILITIES
from harness.report.claim_view import counts_of
from harness.report.columns import ModelColumn
from harness.report.escaping import prose

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
    capabilities: tuple[Capability, ...]
    refusals: tuple[tuple[str, tuple[str, ...]], ...]
    provenance: tuple[tuple[str, str], ...]


def model_view(column: ModelColumn, at: int) -> ModelView:
    """Describe one column from the context of its records."""
    records = list(column.records.values())
    refusals: dict[str, list[str]] = {}
    for record in records:
        if record["verdict"] == "not applicable":
            refusals.setdefault(prose(record["reason"]), []).append(record["claim"])
    return ModelView(
        column=at,
        label=column.label,
        place=column.anchor,
        family=column.family,
        facts=_facts(column.context),
        counts=counts_of(records),
        capabilities=_capabilities(column.context.get("card")),
        refusals=tuple((reason, tuple(claims)) for reason, claims in refusals.items()),
        provenance=_provenance(column),
    )


def _facts(context: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    card = context.get("card") or {}
    grid = card.get("grid")
    compared = "; ".join(f"{role}: {one['name']}" for role, one in (context.get("cards") or {}).items())
    facts = {
        "compares": compared or None,
        "stands for": context.get("resolved"),
        "architecture": card.get("arch"),
        "family": context.get("family"),
        "blocks": context.get("depth"),
        "width": context.get("width"),
        "patch grid": f"{grid[0]} × {grid[1]}" if grid else None,
        "prefix tokens": ", ".join(card.get("prefix") or ()) or ("none" if card else None),
        "read from": context.get("native"),
        "classes": card.get("classes"),
        "parameters": f"{card['parameters']:,}" if card.get("parameters") else None,
        "weights": "trained" if context.get("pretrained") else "random",
    }
    return tuple((name, str(value)) for name, value in facts.items() if value not in (None, ""))


def _capabilities(card: Mapping[str, Any] | None) -> tuple[Capability, ...]:
    if not card:
        return ()
    there, lacks = set(card.get("capabilities") or ()), card.get("lacks") or {}
    return tuple(
        Capability(name=name.replace("_", " "), there=name in there, reason=prose(str(lacks.get(name, text))))
        for name, text in CAPABILITIES.items()
    )


def _provenance(column: ModelColumn) -> tuple[tuple[str, str], ...]:
    context = column.context
    train = context.get("train_images")
    given = (context.get("delta"), context.get("max_images"))
    facts = {
        "weights (SHA-256)": context.get("weights"),
        "pictures": f"{context.get('images')}: {context.get('image_count')}, {context.get('usable_images')} usable",
        "classes with pictures": _few_classes(context),
        "fingerprint of the pictures": context.get("image_fingerprint"),
        "left out": f"{len(context['left_out'])} pictures" if context.get("left_out") else None,
        "training pictures": DASH if not train else f"{train[0]}, {train[2]} pictures, fingerprint {train[1]}",
        "preprocessing": context.get("preprocessing"),
        "seed": context.get("seed"),
        "error level": "of the ledger" if given[0] is None else given[0],
        "cap on images": "of the ledger" if given[1] is None else given[1],
        "judged": f"the {context.get('target', 'distribution')}",
        "number type": context.get("dtype"),
        "device": context.get("device"),
        "images per chunk": context.get("batch_size"),
        "versions": ", ".join(f"{name} {text}" for name, text in (context.get("versions") or {}).items()),
        "machine": context.get("machine"),
        "measured": ", ".join(_times(column)),
    }
    return tuple((name, str(value)) for name, value in facts.items() if value not in (None, ""))


def _few_classes(context: Mapping[str, Any]) -> str | None:
    """Say of how many classes a verdict is, where that is not all that the pictures could have."""
    present, classes = context.get("classes_present"), context.get("image_classes")
    return f"about {present} of the {classes} classes" if present and classes and present < classes else None


def _times(column: ModelColumn) -> list[str]:
    """Give the first and last time of its records, where they hold one."""
    times = sorted({str(record["time"]) for record in column.records.values() if record.get("time")})
    return times if len(times) < 2 else [f"{times[0]} to {times[-1]}"]
