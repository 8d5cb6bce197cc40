"""Whether the features before the head have collapsed to class means that spread like a simplex."""

from harness import (
    Arm,
    Holds,
    NeuralCollapse,
    NotApplicable,
    Plan,
    TrainBatches,
    claim,
    curve,
    every,
    level,
    some,
)

JUDGED = 100  # classes up to which the bounds are meant
WORDS = {"within": "NC1 / classes", "angle": "angles off a simplex", "disagreement": "nearest mean is not the answer"}


@claim("neural-collapse-of-the-head-features")
def test_features_before_the_head_collapse_to_their_class_means(card):
    if card.classes > card.width + 1:
        raise NotApplicable(f"{card.classes} class means cannot spread evenly in {card.width} dimensions")
    shown = (0, card.depth // 2, None)  # after these blocks, and before the head
    arms = {f"{n}@{b}": Arm(readout=NeuralCollapse(number=n, block=b)) for n in WORDS for b in shown}
    arms |= {f"untrained {n}": Arm(readout=NeuralCollapse(number=n), weights="untrained") for n in WORDS}
    arms |= {n: Arm(readout=NeuralCollapse(number=n)) for n in ("spread", "duality")}

    def collapsed(where, **arm_of):
        return every(*[Holds(level(arm_of[n]), n, f"{told} {where}") for n, told in WORDS.items()])

    return Plan(
        census=TrainBatches(),
        arms=arms,
        effect=collapsed("before the head", **{n: f"{n}@None" for n in WORDS}),
        control=some(
            collapsed("without training", **{n: f"untrained {n}" for n in WORDS}),
            collapsed("after block 0", **{n: f"{n}@0" for n in WORDS}),
        ),
        # x is the block; what enters the head stands at the number of blocks.
        curves={n: curve({card.depth if b is None else b: level(f"{n}@{b}") for b in shown}) for n in WORDS}
        | {n: curve({card.depth: level(n)}) for n in ("spread", "duality")},
        report_only="" if card.classes <= JUDGED else f"the bounds are meant for {JUDGED} classes at most",
    )
