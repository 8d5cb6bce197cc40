"""Declared means per arm for the claims about objects and their context: as published, and otherwise."""

from collections.abc import Mapping

from harness.models.subject import ModelCard
from support.cards import CARDS, CLS
from support.declared_writes import GUESSES, LAST, Mean, Means

MEMBERS: Means = {
    "clean": 0.8,
    "own both": 0.9,
    "own object": 0.85,
    "own context": 0.65,
    "own object right": 0.7,
    "own context right": 0.5,
    "donor both": 0.9,
    "donor object": 0.7,
    "donor context": 0.7,
    "donor object right": 0.6,
    "donor context right": 0.6,
}
REMOVALS: Means = {
    "clean": 0.8,
    "both": 0.95,
    "both, drawn": 0.9,
    "object": 0.7,
    "context": 0.55,
    "object alone": 0.45,
    "context alone": 0.38,
    "object drawn": 0.6,
}


def _turns(early: float, last: float) -> Mean:
    """Make a curve with a value of its own for the last of twelve layers."""
    return lambda fraction: early if fraction < LAST else last


UPDATES: Means = {"clean": 0.8, "both": 0.95, "own": _turns(0.7, 0.2), "neighbour": 0.5}
WORLDS: Mapping[str, tuple[str, ModelCard, Means, Mapping[str, Means]]] = {
    "objects lead": (
        "class-tokens-lead-context-tokens",
        CLS,
        MEMBERS,
        {
            "refuted: context knows more": {"own context": 0.95},
            "refuted: context is right as often": {"own context right": 0.7},
            "vacuous: the neighbour's mask leads too": {
                "donor object": 0.85,
                "donor context": 0.65,
                "donor object right": 0.7,
                "donor context right": 0.5,
            },
            "vacuous: gate": GUESSES,
        },
    ),
    "objects need context": (
        "removing-context-or-object-tokens",
        CLS,
        REMOVALS,
        {
            "refuted: they do not": {"object alone": 0.7, "object drawn": 0.75},
            "refuted: nothing is left without it": {"object alone": 0.05},
            "refuted: context alone carries nothing": {"context alone": 0.05},
            "vacuous: any removal hurts as much": {"object drawn": 0.25},
            "vacuous: gate": GUESSES,
        },
    ),
    "attention turns to context": (
        "attention-update-class-vs-context",
        CARDS["augreg, patches of 32"],
        UPDATES,
        {
            "refuted: never to objects": {"own": 0.3},
            "refuted: to objects to the last": {"own": 0.7},
            "vacuous: by the neighbour's mask too": {"neighbour": _turns(0.9, 0.05)},
            "vacuous: gate": GUESSES,
        },
    ),
    "attention, elsewhere": (
        "attention-update-class-vs-context",
        CLS,
        UPDATES,
        {"reported: whatever it is": {"own": 0.5}},
    ),
}
