"""What is left of a ViT without one of its blocks."""

from harness import (
    Arm,
    AtLeast,
    Holds,
    Plan,
    branches_of,
    claim,
    curve,
    drop_writes,
    level,
    like_blocks,
    ratio,
    refuse_shallow,
    skip_blocks,
)

FEWEST = 3  # blocks, of which two are two thirds


@claim("single-block-removable")
def test_most_blocks_can_be_left_out_alone(card):
    refuse_shallow(card, FEWEST)
    blocks = like_blocks(card)
    edits = {f"without block {block}": skip_blocks([block]) for block in blocks}
    edits["without the first half"] = skip_blocks(range((card.depth + 1) // 2))
    edits |= {f"without {part} {block}": drop_writes([block], part) for part in branches_of(card) for block in blocks}
    kept = {name: ratio(name, "clean") for name in edits}
    alone = [Holds(kept[name], "kept", f"accuracy {name} / clean") for name in edits if "block" in name]
    return Plan(
        arms={"clean": Arm(), **{name: Arm(intervention=edit) for name, edit in edits.items()}},
        effect=AtLeast(2 * card.depth // 3, tuple(alone)),
        control=Holds(kept["without the first half"], "kept", "accuracy without the first half / clean"),
        gate=Holds(level("clean"), "gate"),
        curves={
            f"without {part}": curve({block: kept[f"without {part} {block}"] for block in blocks})
            for part in ("block", *branches_of(card))
        },
    )
