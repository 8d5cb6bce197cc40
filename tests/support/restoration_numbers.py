"""Declared means of every arm of the claims about restored class tokens, and the verdicts that follow."""

from support.cards import CLS, ORIG

GUESS = 0.001  # chance of 1,000 classes


def _middle(fraction: float) -> float:
    """Lose much at 7/12 and 8/12 of the depth, little elsewhere."""
    return 0.4 if 0.55 < fraction < 0.7 else 0.79


WORLDS = {
    "exchanged probe": (
        "probe-at-shuffled-layer-collapses",
        ORIG,
        {"clean": 0.6, "exchanged": GUESS, "refitted": 0.02},
        {
            "refuted: one layer reads on": {"exchanged": lambda f: 0.2 if f > 0.9 else GUESS},
            "vacuous: one probe reads nothing anyway": {"clean": lambda f: GUESS if f < 0.05 else 0.8},
            "vacuous: gate": {"clean": 0.1},
        },
    ),
    "causal": (
        "later-shuffle-cannot-change-earlier-probe",
        ORIG,
        {"before": 1.0, "from there on": 0.0},
        {
            "refuted: one token differs": {"before": 0.999},
            "vacuous: nothing was exchanged": {"from there on": lambda f: float(f > 0.9)},
        },
    ),
    "refilled": (
        "cls-refills-within-one-block",
        ORIG,
        {"clean": 0.8, "after 1": 0.7, "after 0": 0.02, "unfitted 1": 0.3},
        {
            "refuted: one layer is low": {"after 1": lambda f: 0.3 if 0.6 < f < 0.7 else 0.75},
            "refuted: the median is low": {"after 1": 0.53},
            "vacuous: nothing was lost": {"after 0": lambda f: 0.79 if f > 0.9 else 0.02},
            "vacuous: gate": {"clean": GUESS, "after 1": GUESS},
        },
    ),
    "refilled in three": (
        "cls-refill-complete-within-three-blocks",
        ORIG,
        {"clean": 0.8, "after 1": 0.7, "after 2": 0.76, "after 3": 0.8, "after 0": 0.02}
        | {"unfitted 2": 0.3, "unfitted 3": 0.3},
        {
            "refuted: not after two": {"after 2": 0.6},
            "refuted: not after three": {"after 3": 0.7},
            "refuted: falls again": {"after 1": 0.8, "after 2": 0.72},
            "vacuous: nothing was lost": {"after 0": lambda f: 0.79 if f > 0.9 else 0.02},
            "vacuous: gate": {"clean": GUESS, "after 1": GUESS, "after 2": GUESS, "after 3": GUESS},
        },
    ),
    "accumulating": (
        "middle-layers-accumulate",
        ORIG,
        {"clean": 0.8, "after 1": _middle},
        {
            "refuted: peaks at the end": {"after 1": lambda f: 0.4 if f > 0.9 else 0.79},
            "refuted: no peak": {"after 1": 0.5},
            "vacuous: peaks where both orders have their middle": {
                "after 1": lambda f: 0.4 if 0.4 < f < 0.45 else 0.79
            },
            "vacuous: gate": {"clean": GUESS, "after 1": GUESS},
        },
    ),
    "accumulating, elsewhere": (
        "middle-layers-accumulate",
        CLS,
        {"clean": 0.8, "after 1": _middle},
        {"reported: whatever it is": {"after 1": 0.2}},
    ),
    "further up": (
        "upstream-shuffle-slightly-helps-last-layer-probe",
        ORIG,
        {"clean": 0.8, "after": 0.81},
        {"reported: whatever it is": {"after": 0.2}},
    ),
}
