"""Numbers that claims about units must judge rightly: means of all arms where it is true, and one change each."""

from collections.abc import Callable, Mapping

from harness.models.subject import ModelCard
from support.cards import CARDS, CLS

Mean = float | Callable[[int], float]  # a function takes the block
Means = Mapping[str, Mean]
SMALL = CARDS["cls, 32 px"]

DRIVEN, HELP = "featvis-ffn-activation-maximization", "featvis-regularizers-help"
APART, SALIENT = "featvis-ffn-vs-qkv", "patch-activation-is-saliency"
PROGRESSIVE, DIVERSE = "progressive-specialization-early-texture-late-object", "top-images-diversify-with-depth"
SHIFT, TURN = "unit-translation-tolerance", "unit-rotation-sensitivity"
# By name: the claim, the card, the means of arms where it is true, and what to change for another verdict.
WORLDS: Mapping[str, tuple[str, ModelCard, Means, Mapping[str, Means]]] = {
    "driven": (
        DRIVEN,
        CLS,
        {"optimized": 1.0, "grey": 0.0, "specific": 0.95, "swapped": 0.05},
        {
            "refuted: half of the units": {"optimized": 0.5},
            "refuted: others as much": {"specific": 0.3},
            "vacuous: grey drives them too": {"grey": 1.0},
            "vacuous: others' pictures too": {"swapped": 0.95},
        },
    ),
    "driven, small": (
        DRIVEN,
        SMALL,
        {"optimized": 0.7, "grey": 0.0, "specific": 0.95, "swapped": 0.05},
        {"refuted: hardly any": {"optimized": 0.1}},
    ),
    "regularized": (
        HELP,
        SMALL,
        {"high, regularized": 0.2, "high, ablated": 0.8, "regularized": 1.0, "ablated": 0.2, "itself": 1.0},
        {
            "refuted: as many high frequencies": {"high, regularized": 0.7},
            "refuted: no better under new views": {"regularized": 0.3, "ablated": 0.9},
        },
    ),
    "apart": (
        APART,
        CLS,
        {"units": 0.6, "query": 0.5, "key": 0.5, "value": 0.5, "rotated": 0.5, "untrained": 0.3},
        {
            "refuted: as pure": {"value": 0.6, "key": 0.6, "query": 0.58},
            "vacuous: rotated too": {"rotated": 0.6},
            "vacuous: untrained too": {"untrained units": 0.35},
        },
    ),
    "salient": (
        SALIENT,
        CLS,
        {"own": 0.8, "other": 0.65, "permuted": 0.62, "untrained": 0.7, "background": 0.1},
        {
            "refuted: as other masks": {"other": 0.78},
            "refuted: no background units": {"background": 0.01},
            "refuted: untrained as much": {"untrained": 0.79},
            "vacuous: permuted maps too": {"permuted": 0.75},
        },
    ),
    "progressive": (
        PROGRESSIVE,
        CLS,
        {"purity": lambda b: 0.3 + 0.05 * b, "untrained": 0.3, "permuted": 0.3},
        {
            "refuted: falls": {"purity": lambda b: 0.9 - 0.05 * b},
            "refuted: hardly rises": {"purity": lambda b: 0.5 + 0.01 * b},
            "refuted: without order": {"purity": lambda b: 0.9 if b == 11 else 0.5 - 0.01 * b},
            "vacuous: untrained too": {"untrained": lambda b: 0.3 + 0.01 * b},
            "vacuous: permuted labels too": {"permuted": lambda b: 0.3 + 0.01 * b},
        },
    ),
    "diverse": (
        DIVERSE,
        CLS,
        {"distinct": lambda b: 0.2 + 0.05 * b, "untrained": 0.6},
        {
            "refuted: the same": {"distinct": 0.5},
            "vacuous: untrained too": {"untrained": lambda b: 0.2 + 0.05 * b},
        },
    ),
    "shifted": (
        SHIFT,
        CLS,
        {"shifted": 0.95, "still": 1.0, "elsewhere": 0.2},
        {
            "refuted: one block": {"shifted": lambda b: 0.5 if b == 3 else 0.95},
            "vacuous: any picture": {"elsewhere": 0.95},
        },
    ),
    "turned": (
        TURN,
        CLS,
        {"shifted": 0.95, "turned": 0.6, "shifted swapped": 0.3, "turned swapped": 0.3},
        {
            "refuted: one block": {"turned": lambda b: 0.9 if b == 3 else 0.6},
            "vacuous: any picture": {"shifted swapped": 0.6},
        },
    ),
}
CLAIMS = tuple(dict.fromkeys(claim for claim, *_ in WORLDS.values()))
# The ablated pictures against themselves can pass by no numbers; they confirm that arms are not mixed up.
IMPLIED = {HELP}
