"""Whom a claim is asked of: one model, or a set of models in the roles that it compares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from harness.models.subject import ModelCard

VERSUS = " vs "


@dataclass(frozen=True)
class ModelGroup:
    """Models by role, under a label by which results are kept; a claim about one model has the one role ""."""

    label: str
    roles: Mapping[str, str]


def lone(name: str) -> ModelGroup:
    """Ask one model."""
    return ModelGroup(name, {"": name})


def cohorts(subjects: Mapping[str, Sequence[str]], cards: Mapping[str, ModelCard]) -> tuple[list[ModelGroup], str]:
    """List every set of different models that meets the needs of the roles, in their order; else say why there is none.

    `subjects` maps roles to the capabilities that they need.
    """
    fitting = {
        role: [name for name, card in cards.items() if card.missing(tuple(needs)) is None]
        for role, needs in subjects.items()
    }
    found = [
        ModelGroup(VERSUS.join(names), dict(zip(subjects, names, strict=True)))
        for names in permutations(cards, len(subjects))
        if all(name in fitting[role] for role, name in zip(subjects, names, strict=True))
    ]
    if found:
        return found, ""
    empty = [role for role in subjects if not fitting[role]]
    if not empty:
        return [], f"it compares {len(subjects)} different models, {' and '.join(subjects)}; give more with --model"
    reasons = [f"{name}: {card.missing(tuple(subjects[empty[0]]))}" for name, card in list(cards.items())[:3]]
    return [], f"none of the models of this run can be its {empty[0]!r} ({'; '.join(reasons)})"


def models_of(label: str) -> set[str]:
    """List the models behind a label."""
    return set(label.split(VERSUS))
