"""Declared means per arm for the claims about the class in single tokens: as published, and otherwise."""

from collections.abc import Mapping
from dataclasses import replace

from harness.models.subject import ModelCard
from support.cards import CARDS, CLS, NO_CLASS, ORIG, make_card
from support.declared_writes import LAST, Mean, Means

GUESS = 0.001  # chance of 1,000 classes


def line(first: float, last: float) -> Mean:
    """Make a curve that goes linearly from the first layer to just beyond the last."""
    return lambda fraction: min(1.0, first + (last - first) * fraction)


def at_last(before: float, last: float) -> Mean:
    """Make a curve with a value of its own for the last of twelve layers."""
    return lambda fraction: before if fraction < LAST else last


WORLDS: Mapping[str, tuple[str, ModelCard, Means, Mapping[str, Means]]] = {
    "single patches, generic": (
        "image-tokens-class-identifiable-final",
        CLS,
        {"clean": 0.8, "right": 0.6, "untrained": GUESS},
        {
            "refuted: few patches show it": {"right": 0.2},
            "vacuous: untrained patches show it": {"untrained": 0.6},
            "vacuous: gate": {"clean": GUESS, "right": GUESS},
        },
    ),
    "single patches, B/32": (
        "image-tokens-class-identifiable-final",
        make_card(arch="vit_base_patch32_224.augreg_in21k_ft_in1k"),
        {"clean": 0.8, "right": 0.6, "untrained": GUESS},
        {"refuted: less than half": {"right": 0.42}, "vacuous: untrained patches show it": {"untrained": 0.6}},
    ),
    "any patch": (
        "almost-every-image-has-an-identifiable-token",
        CLS,
        {"clean": 0.8, "any": 0.95, "untrained": 0.02},
        {
            "refuted: too few": {"any": 0.85},
            "refuted: fewer than the model gets right": {"any": 0.93, "clean": 0.98},
            "vacuous: untrained too": {"untrained": 0.95},
            "vacuous: gate": {"clean": GUESS},
        },
    ),
    "any patch, few classes": (
        "almost-every-image-has-an-identifiable-token",
        replace(CARDS["cls, depth 4, 10 classes"], grid=(8, 8)),
        {"clean": 0.8, "any": 0.95, "untrained": 0.02},
        {"reported: somebody guesses right anyway": {"any": 0.5}},
    ),
    "untrained": (
        "random-init-tokens-at-chance",
        CLS,
        {
            "untrained class": 0.5,
            "untrained patches": 0.5,
            "untrained right": GUESS,
            "untrained any": 0.02,
            "trained class": line(0.5, 1.0),
            "trained patches": line(0.5, 0.95),
            "trained right": 0.6,
            "trained any": 0.95,
        },
        {
            "refuted: patches rank it high": {"untrained patches": 0.65},
            "refuted: the class token ranks it low": {"untrained class": 0.35},
            "refuted: patches show it": {"untrained right": 0.05},
            "refuted: some patch shows it": {"untrained any": 0.3},
            "vacuous: so does the trained model": {
                "trained class": 0.5,
                "trained patches": 0.5,
                "trained right": GUESS,
                "trained any": 0.02,
            },
        },
    ),
    "class token rises": (
        "cls-identifiability-rises",
        ORIG,
        {"clean": 0.8, "class": line(0.5, 1.03), "untrained": 0.5},
        {
            "refuted: starts high": {"class": line(0.7, 1.03)},
            "refuted: starts low": {"class": line(0.3, 1.05)},
            "refuted: ends low": {"class": line(0.5, 0.95)},
            "refuted: nothing in the middle": {"class": lambda f: 0.5 + 0.1 * f if f < LAST else 1.0},
            "refuted: falls": {"class": lambda f: 0.5 + 0.54 * f - 0.4 * (0.5 < f < 0.7)},
            "vacuous: untrained rises": {"untrained": line(0.2, 1.0)},
            "vacuous: gate": {"clean": GUESS},
        },
    ),
    "patches rise": (
        "image-token-identifiability-rises",
        NO_CLASS,
        {"clean": 0.8, "patches": line(0.48, 1.0), "untrained": 0.5},
        {
            "refuted: starts high": {"patches": line(0.7, 1.0)},
            "refuted: ends low": {"patches": line(0.48, 0.88)},
            "refuted: late": {"patches": lambda f: 0.5 - 0.2 * f if f < LAST else 1.0},
            "vacuous: untrained rises": {"untrained": line(0.2, 1.0)},
            "vacuous: gate": {"clean": GUESS},
        },
    ),
    "class token leads": (
        "cls-leads-image-tokens",
        ORIG,
        {
            "clean": 0.8,
            "class": line(0.55, 1.0),
            "patches": line(0.5, 0.85),
            "untrained class": 0.5,
            "untrained patches": 0.5,
        },
        {
            "refuted: hardly leads": {"patches": line(0.53, 0.98)},
            "refuted: patches lead in half of the blocks": {"patches": lambda f: 0.8 if f < 0.5 else 0.3},
            "vacuous: untrained leads": {"untrained class": 0.7},
            "vacuous: gate": {"clean": GUESS},
        },
    ),
    "class token leads, elsewhere": (
        "cls-leads-image-tokens",
        CLS,
        {"clean": 0.8, "class": 0.6, "patches": 0.5, "untrained class": 0.5, "untrained patches": 0.5},
        {"reported: whatever it is": {"class": 0.3}},
    ),
    "every block lifts": (
        "each-block-raises-correct-class-logit-of-most-image-tokens",
        ORIG,
        {"clean": 0.8, "rise": line(0.55, 0.95), "untrained": 0.5},
        {
            "refuted: one block lowers": {"rise": lambda f: 0.55 + 0.4 * f - 0.35 * (0.4 < f < 0.5)},
            "refuted: little on average": {"rise": at_last(0.48, 0.85)},
            "refuted: no block much": {"rise": 0.7},
            "vacuous: untrained too": {"untrained": 0.7},
            "vacuous: gate": {"clean": GUESS},
        },
    ),
    "self only": (
        "self-only-attention-destroys-image-token-classes",
        CLS,
        {"model": 0.8, "clean": 0.6, "self only": GUESS, "blind": 0.6},
        {
            "refuted: something is left": {"self only": 0.2},
            "refuted: a tenth, but more than 3 %": {"self only": 0.055},
            "vacuous: blind patches show as little": {"blind": GUESS},
            "vacuous: gate": {"model": GUESS, "clean": GUESS},
        },
    ),
    "blind patches": (
        "image-tokens-do-not-need-cls",
        replace(CLS, capabilities=CLS.capabilities | {"attention_pattern"}),
        {
            "model": 0.8,
            "clean": 0.6,
            "self only": GUESS,
            "weight removed": 0.6,
            "weight removed, model": 0.79,
            "renormalized": 0.6,
            "renormalized, model": 0.79,
        },
        {
            "refuted: they need it": {"renormalized": 0.5},
            "refuted: they are better without": {"weight removed": 0.7},
            "refuted: the model needs them to": {"weight removed, model": 0.6},
            "vacuous: nor one another": {"self only": 0.6},
            "vacuous: gate": {"model": GUESS, "weight removed, model": GUESS, "renormalized, model": GUESS},
        },
    ),
}
