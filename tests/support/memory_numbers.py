"""Numbers that claims about class memories must judge rightly: means of all arms as published, and one change each."""

from collections.abc import Callable, Mapping

from harness.judging.chance_levels import chance_of_meeting, largest_cosine
from harness.models.subject import ModelCard
from support.cards import CARDS, GAP, NO_CLASS, make_card

Mean = float | Callable[[int], float]  # a function takes the block
Means = Mapping[str, Mean]
B32 = make_card(arch="vit_base_patch32_224.augreg_in21k_ft_in1k", width=768)
SMALL = make_card(width=384)  # of another width than the published models
RPN = make_card("patch mean", prefix=(), arch="vit_base_patch16_rpn_224.sw_in1k", width=768)
MLP, ATTENTION = largest_cosine(3072, 768), largest_cosine(768, 768)
KEYS = chance_of_meeting(384)


def peak(at: int, height: float, elsewhere: float) -> Callable[[int], float]:
    """Make a curve that is high in one block."""
    return lambda block: height if block == at else elsewhere


VALUES, ATTENTIVE = "mlp-value-vectors-align-with-classes-late", "attention-value-vectors-align-only-at-the-end"
FLAT, GOLDEN = "res-post-norm-gap-model-has-no-class-value-vectors", "golden-class-value-vectors"
LAST, LATE = "attention-keys-select-class-values-in-last-block", "mlp-keys-select-class-values-in-penultimate-block"
LEAD, NAMES = "agreement-higher-on-correct-images", "mlp-output-matches-its-top-memories-only-late"
ALIKE = "value-vectors-cluster-semantically"
# By name: the claim, the card, the means of arms as published, and what to change for another verdict.
WORLDS: Mapping[str, tuple[str, ModelCard, Means, Mapping[str, Means]]] = {
    "value vectors": (
        VALUES,
        B32,
        {"mlp": peak(10, 0.327, MLP), "untrained": MLP},
        {
            "refuted: nowhere": {"mlp": MLP},
            "refuted: at its null times 1.45": {"mlp": peak(10, 1.45 * MLP, MLP)},
            "refuted: too early": {"mlp": peak(6, 0.327, MLP)},
            "refuted: in the first block too": {"mlp": lambda block: 0.327 if block in (0, 10) else MLP},
            "refuted: below the null at first": {"mlp": lambda block: 0.8 * MLP if block == 2 else 0.327},
            "vacuous: untrained too": {"untrained": 0.327},
        },
    ),
    "value vectors, another width": (
        VALUES,
        SMALL,
        {"mlp": peak(10, 0.3, largest_cosine(1536, 384)), "untrained": largest_cosine(1536, 384)},
        {"refuted: above .18 and below 1.5 times the null": {"mlp": peak(10, 0.2, largest_cosine(1536, 384))}},
    ),
    "attention's value vectors": (
        ATTENTIVE,
        B32,
        {"attention": peak(11, 0.18, ATTENTION), "mlp": peak(10, 0.327, MLP), "untrained": ATTENTION},
        {
            "refuted: in the block before": {"attention": peak(10, 0.18, ATTENTION)},
            "refuted: more than MLPs": {"attention": peak(11, 0.4, ATTENTION)},
            "vacuous: untrained too": {"untrained": 0.18},
        },
    ),
    "no value vectors": (
        FLAT,
        RPN,
        {"mlp": MLP, "attention": ATTENTION, "with classes": 1.0},
        {
            "refuted: one block above": {"mlp": peak(3, MLP + 0.012, MLP)},
            "refuted: one block below": {"attention": peak(3, ATTENTION - 0.012, ATTENTION)},
            "vacuous: no embeddings": {"with classes": MLP},
        },
    ),
    "no value vectors, other models": (FLAT, NO_CLASS, {"mlp": 0.9, "attention": 0.9, "with classes": 1.0}, {}),
    "no value vectors, pre-norm": (FLAT, GAP, {"mlp": 0.9, "attention": 0.9, "with classes": 1.0}, {}),
    "attention keys": (
        LAST,
        B32,
        {"attention": lambda block: {0: 0.104, 10: 0.155, 11: 0.438}.get(block, 0.045), "another class": 0.03},
        {
            "refuted: not in the last block": {"attention": 0.045},
            "refuted: in the middle too": {"attention": lambda block: {5: 0.3, 11: 0.438}.get(block, 0.045)},
            "vacuous: another class as well": {"another class": 0.4},
        },
    ),
    "attention keys, another width": (
        LAST,
        SMALL,
        {"attention": peak(11, 0.6, KEYS), "another class": KEYS},
        {
            "refuted: 4 times the null": {"attention": peak(11, 4 * KEYS, KEYS)},
            "refuted: 5 times the null in the middle": {"attention": lambda block: {5: 0.32, 11: 0.6}.get(block, KEYS)},
        },
    ),
    "attention keys, too narrow": (LAST, CARDS["cls"], {"attention": 0.9, "another class": 0.9}, {}),
    "MLP keys": (
        LATE,
        B32,
        {"mlp": lambda block: {8: 0.073, 9: 0.154, 10: 0.406, 11: 0.026}.get(block, 0.012), "another class": 0.01},
        {
            "refuted: nowhere": {"mlp": 0.012},
            "refuted: earlier": {"mlp": lambda block: {4: 0.6, 10: 0.406, 11: 0.026}.get(block, 0.012)},
            "refuted: does not collapse": {"mlp": lambda block: {10: 0.406, 11: 0.3}.get(block, 0.012)},
            "vacuous: another class as well": {"another class": 0.4},
        },
    ),
    "MLP keys, another width": (
        LATE,
        SMALL,
        {"mlp": peak(10, 0.6, 0.016), "another class": 0.016},
        {"refuted: 20 times the null": {"mlp": peak(10, 20 * chance_of_meeting(1536), 0.016)}},
    ),
    "a lead": (
        LEAD,
        B32,
        {"right": 0.8, "mlp right": peak(10, 0.6, 0.1), "mlp wrong": 0.1, "another class": 0.05},
        {
            "refuted: none": {"mlp right": 0.3, "mlp wrong": 0.3},
            "refuted: wrong pictures lead": {"mlp right": 0.1, "mlp wrong": 0.5},
            "vacuous: another class as well": {"another class right": 0.6},
        },
    ),
    "a lead, other models": (LEAD, CARDS["orig"], {"right": 0.8, "mlp": 0.2, "another class": 0.1}, {}),
    "memories that are named": (
        NAMES,
        B32,
        {"mlp": lambda block: {9: 0.17, 10: 0.56}.get(block, 0.03), "attention": 0.1, "untrained": 0.005},
        {
            "refuted: nowhere": {"mlp": 0.03},
            "refuted: everywhere": {"mlp": 0.56},
            "refuted: too early": {"mlp": peak(3, 0.56, 0.03)},
            "vacuous: untrained too": {"untrained": 0.5},
        },
    ),
    "memories that are named, few classes": (
        NAMES,
        CARDS["cls, 100 classes"],
        {"mlp": 0.5, "attention": 0.5, "untrained": 0.05},
        {},
    ),
    "superclasses": (
        ALIKE,
        B32,
        {"purity": 1.6, "untrained": 1.0},
        {"refuted: as random sets": {"purity": 1.0}, "vacuous: untrained too": {"untrained": 1.4}},
    ),
    "golden table": (
        GOLDEN,
        CARDS["augreg"],
        {"table": 1.0, "distance": 0.00004, "block before": 0.0},
        {
            "refuted: one place differs": {"table": 14 / 15},
            "refuted: another strength": {"distance": 0.002},
            "vacuous: the block before has it too": {"block before": 1.0},
        },
    ),
}
CLAIMS = {claim for claim, _, _, _ in WORLDS.values()}
