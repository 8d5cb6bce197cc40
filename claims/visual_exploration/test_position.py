"""What is left of a ViT without its position embedding, or with its patches shuffled."""

from harness import Arm, Holds, Intervention, NotApplicable, Plan, ShufflePatches, claim, curve, every, level, ratio


@claim("position-embedding-and-shuffle")
def test_a_vit_keeps_some_of_its_accuracy_without_positions(card):
    rows, columns = (side // count for side, count in zip(card.preprocessing.size, card.grid, strict=True))
    if rows != columns or card.preprocessing.size != (rows * card.grid[0], columns * card.grid[1]):
        raise NotApplicable(f"its {card.grid} patches do not tile pictures of {card.preprocessing.size} as squares")
    shuffled = ShufflePatches(rows)
    arms = {
        "clean": Arm(),
        "none": Arm(intervention=Intervention(positions="none")),
        "random": Arm(intervention=Intervention(positions="random")),
        "shuffled": Arm(intervention=Intervention(pixels=shuffled)),
        "none, shuffled": Arm(intervention=Intervention(pixels=shuffled, positions="none")),
    }
    kept = ratio("none", "clean")
    return Plan(
        arms=arms,
        effect=every(Holds(kept, "least", "accuracy without positions"), Holds(kept, "most", "without positions")),
        control=Holds(ratio("none, shuffled", "none"), "most", "patches shuffled, both without positions"),
        gate=Holds(level("clean"), "gate"),
        # x = 0 without positions, 1 with random ones, 2 with its own and shuffled patches.
        curves={"retention": curve({x: ratio(name, "clean") for x, name in enumerate(("none", "random", "shuffled"))})},
    )
