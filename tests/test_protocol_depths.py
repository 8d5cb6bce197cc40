"""The shares of the depth that sources give for their blocks, worked out once more for every depth from 4 to 24 blocks.

Protocols describe a few depths; here the words of the catalogue ("blocks from 0.7 L on") are counted out in fractions,
block by block, and compared with the blocks of every comparison under that bound.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest

from harness.judging.derived_arms import measured
from harness.judging.statements import AtLeast, Every, Holds, Some, Statement
from harness.measurement.plan import Arm, Plan
from support.cards import AUGREG, CLS, DEIT, at_depth, plan_for

Chosen = Callable[[int, int], bool]  # of the 0-based block and the depth
TENTH, QUARTER, THIRD = Fraction(1, 10), Fraction(1, 4), Fraction(1, 3)


def last(block: int, depth: int) -> bool:
    """Choose the last block."""
    return block == depth - 1


# Claim, model, bound, and the blocks of it; sources of class_embedding and visual_exploration count from 1.
SHARES: list[tuple[str, object, str, Chosen]] = [
    ("cls-early-shuffle-harmless", CLS, "early", lambda b, depth: b + 1 <= 6 * TENTH * depth),
    ("cls-decodable-but-unused-gap", CLS, "decodable", lambda b, depth: THIRD * depth <= b < 2 * THIRD * depth),
    (
        "final-head-underreads-intermediate-cls",
        CLS,
        "gap",
        lambda b, depth: QUARTER * depth <= b <= 3 * QUARTER * depth and b < depth - 1,
    ),
    ("final-head-underreads-intermediate-cls", CLS, "end at most", last),
    ("auxiliary-readout-shape-append-vs-average", DEIT, "early", lambda b, depth: b + 1 <= depth / 2 and b < depth - 2),
    ("auxiliary-readout-shape-append-vs-average", DEIT, "late", lambda b, depth: b == depth - 2),
    ("cls-identifiability-rises", CLS, "middle", lambda b, depth: b == -(-depth // 2) - 1),
    ("class-tokens-lead-context-tokens", CLS, "lead", lambda b, depth: b + 1 >= 7 * TENTH * depth),
    ("each-block-raises-correct-class-logit-of-most-image-tokens", CLS, "each", lambda b, depth: b >= 1),
    ("last-mlp-stops-writing-class", CLS, "last", last),
    ("penultimate-mlp-spike", CLS, "spike", lambda b, depth: b == depth - 2),
    (
        "mlp-value-vectors-align-with-classes-late",
        CLS,
        "at most of the null",
        lambda b, depth: b + 1 <= THIRD * depth,
    ),
    (
        "mlp-value-vectors-align-with-classes-late",
        CLS,
        "times null",
        lambda b, depth: depth - b <= THIRD * depth,
    ),
    ("attention-keys-select-class-values-in-last-block", AUGREG, "last", last),
    (
        "attention-keys-select-class-values-in-last-block",
        AUGREG,
        "middle",
        lambda b, depth: QUARTER * depth <= b + 1 <= 2 * THIRD * depth,
    ),
    (
        "mlp-keys-select-class-values-in-penultimate-block",
        AUGREG,
        "share",
        lambda b, depth: b + 1 > 3 * QUARTER * depth,
    ),
    ("mlp-output-matches-its-top-memories-only-late", CLS, "largest", lambda b, depth: b + 1 > 3 * QUARTER * depth),
    ("probe-vs-projection-accuracy-crossover", CLS, "early", lambda b, depth: b + 1 <= 2 * THIRD * depth),
    ("probe-vs-projection-accuracy-crossover", CLS, "late", last),
    ("cls-refills-within-one-block", CLS, "least", lambda b, depth: b < depth - 1),  # where it is exchanged
    ("cls-isolated-until-last-block", CLS, "early", lambda b, depth: b + 1 <= 3 * QUARTER * depth),
    ("cls-isolated-until-last-block", CLS, "last", lambda b, depth: b == depth - 2),
    ("cls-carries-information-before-last-block", CLS, "early", lambda b, depth: b + 1 == depth // 4),
    ("cls-carries-information-before-last-block", CLS, "late", lambda b, depth: b == depth - 2),
    ("last-block-every-patch-carries-class", CLS, "average", last),
    ("patch-activation-is-saliency", CLS, "background", lambda b, depth: 1 <= b < depth - 1),
]


@pytest.mark.parametrize(
    ("claim", "card", "bound", "chosen"), SHARES, ids=lambda one: one if isinstance(one, str) else ""
)
@pytest.mark.parametrize("depth", range(4, 25))
def test_a_bound_is_about_the_blocks_that_its_source_names(claim, card, bound, chosen, depth):
    plan = plan_for(claim, at_depth(card, depth))
    assert isinstance(plan, Plan), plan
    assert set(blocks(plan, bound)) == {block for block in range(depth) if chosen(block, depth)}


def blocks(plan: Plan, bound: str) -> Iterator[int]:
    """List the blocks of what is compared with a bound: where its first quantity is edited, else where it is read."""
    for holds in leaves(plan.question.effect):
        if holds.bound == bound:
            yield from (place(plan.arms[name]) for name in measured({holds.quantity.arms()[0]}, plan.derived))


def leaves(statement: Statement) -> Iterator[Holds]:
    """List the comparisons of a statement."""
    if isinstance(statement, (Every, Some, AtLeast)):
        for part in statement.parts:
            yield from leaves(part)
    elif isinstance(statement, Holds):
        yield statement


def place(arm: Arm) -> int:
    """Give the last block that is edited or masked, else the one that is read."""
    edited = [site for site, _ in (*arm.intervention.edits, *arm.intervention.masks)]
    read = getattr(arm.readout, "layer", None)
    return max(edited) if edited else arm.readout.block if read is None else read
