"""Declared means per arm for the claims about who writes the class: as published, and otherwise."""

from collections.abc import Callable, Mapping

from harness.models.subject import ModelCard
from support.cards import CARDS, CLS, NO_CLASS

Mean = float | Callable[[float], float]  # in units of the range; a function takes layer/depth
Means = Mapping[str, Mean]
LAST = 0.9  # a fraction of the depth that only the last of twelve layers has passed


def steps(early: float, before_last: float, last: float) -> Callable[[float], float]:
    """Make a curve with values of its own for the last layer but one and the last of twelve."""
    return lambda fraction: early if fraction < 0.8 else before_last if fraction < LAST else last


GUESSES: Means = {"clean": 0.001}
WRITES: Means = {
    "clean": 0.8,
    "attention": 0.65,
    "attention class": 0.8,
    "mlp": steps(0.4, 0.4, 0.1),
    "mlp class": 0.3,
    "mlp own input": 0.5,
    "untrained attention": 0.5,
    "untrained mlp": 0.5,
}
WORLDS: Mapping[str, tuple[str, ModelCard, Means, Mapping[str, Means]]] = {
    "attention writes": (
        "attention-builds-class-more-than-mlp",
        CARDS["orig"],
        WRITES,
        {
            "refuted: MLPs write as much": {"mlp": 0.65},
            "refuted: attention writes little": {"attention": 0.4, "mlp": 0.2},
            "vacuous: untrained attention too": {"untrained attention": 0.7},
            "vacuous: gate": GUESSES,
        },
    ),
    "attention writes, no class token": (
        "attention-builds-class-more-than-mlp",
        NO_CLASS,
        WRITES,
        {"refuted: attention writes less": {"attention": 0.3}},
    ),
    "last MLP": (
        "last-mlp-stops-writing-class",
        CLS,
        WRITES,
        {
            "refuted: it writes on": {"mlp": 0.45},
            "refuted: none of them writes": {"mlp": 0.1},
            "vacuous: untrained too": {"untrained mlp": steps(0.5, 0.5, 0.1)},
            "vacuous: gate": GUESSES,
        },
    ),
    "last MLP, MIIL": (
        "last-mlp-stops-writing-class",
        CARDS["cls, as MIIL"],
        {**WRITES, "mlp": steps(0.36, 0.36, 0.1)},
        {"refuted: it falls by less": {"mlp": steps(0.2, 0.2, 0.1)}},
    ),
    "spike": (
        "penultimate-mlp-spike",
        CARDS["augreg"],
        {**WRITES, "mlp": steps(0.35, 0.66, 0.1)},
        {
            "refuted: below a half": {"mlp": steps(0.1, 0.4, 0.1)},
            "refuted: a plateau": {"mlp": steps(0.6, 0.66, 0.1)},
            "refuted: it goes on": {"mlp": steps(0.35, 0.66, 0.6)},
            "vacuous: untrained too": {"untrained mlp": steps(0.3, 0.7, 0.3)},
            "vacuous: gate": GUESSES,
        },
    ),
    "spike, elsewhere": ("penultimate-mlp-spike", CLS, WRITES, {"reported: whatever it is": {"mlp": 0.9}}),
    "composed, then inherited": (
        "residual-top1-is-mostly-composed-early-inherited-late",
        CARDS["augreg"],
        {
            "before": 0.5,
            "attention": 0.4,
            "mlp": steps(0.1, 0.5, 0.01),
            "none": steps(0.6, 0.5, 0.15),
            "untrained": 0.2,
        },
        {
            "refuted: inherited from the start": {"none": 0.15},
            "refuted: hardly inherited": {"before": 0.2},
            "refuted: the last MLP decides": {"mlp": 0.5},
            "vacuous: untrained too": {"untrained": steps(0.6, 0.5, 0.15)},
        },
    ),
}
