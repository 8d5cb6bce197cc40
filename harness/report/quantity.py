"""The words for the number of a result: those of the ledger for the bound that decided, or the label of the arms."""

import math
from collections.abc import Mapping

from harness.judging.ledger import Bound, ClaimSpec
from harness.report.escaping import prose
from harness.results.record import FindingRecord, RunRecord

SAME = 1e-6  # bounds are written with few digits


def quantity_words(record: RunRecord, spec: ClaimSpec | None) -> str:
    """Say what the deciding number of a record is; "" where nothing was measured."""
    effect = record.effect
    if effect is None:
        return ""
    if spec is None or not spec.quantity:
        return prose(effect.label)
    if not isinstance(spec.quantity, Mapping):
        return prose(spec.quantity)
    name = _bound_that_decided(record, effect, spec)
    return prose(spec.quantity.get(name, effect.label))


def with_words(older: Mapping[str, ClaimSpec], known: Mapping[str, ClaimSpec]) -> dict[str, ClaimSpec]:
    """Give entries that a file of an older run holds the words for their numbers, from entries of the same version."""
    return {
        name: entry.model_copy(update={"quantity": known[name].quantity})
        if name in known and not entry.quantity and known[name].version == entry.version
        else entry
        for name, entry in older.items()
    }


def _bound_that_decided(record: RunRecord, effect: FindingRecord, spec: ClaimSpec) -> str:
    """Find the bound of the ledger that an effect was compared with; "" where the plan has made one of its own."""
    cards = [card for card in (record.context.card, *record.context.cards.values()) if card is not None]
    classes = next((card.classes for card in cards if card.classes), record.context.image_classes)
    fitting = [
        name for name, bound in spec.bounds.items() if bound.direction == effect.direction and name in spec.quantity
    ]
    equal = [name for name in fitting if _is_at(spec.bounds[name], classes, effect.bound)] or fitting
    printed = [name for name in equal if spec.bounds[name].published == record.published]
    return next(iter(printed or (equal if equal != fitting else ())), "")


def _is_at(bound: Bound, classes: int, value: float | None) -> bool:
    return value is not None and math.isclose(bound.at(classes), value, rel_tol=SAME, abs_tol=SAME)
