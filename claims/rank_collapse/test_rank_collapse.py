"""What becomes of tokens without skip connections."""

from harness import Arm, Holds, NotApplicable, Plan, TokenSpread, claim, curve, drop_skips, every, level, like_blocks

JUDGED = 3  # block


@claim("attention-without-skips-collapses")
def test_tokens_become_equal_without_skip_connections_alone(card):
    blocks = like_blocks(card)
    if JUDGED not in blocks[:-1]:
        raise NotApplicable(
            f"the claim compares the block after {JUDGED} others with a later one; there are {len(blocks)}"
        )
    cut = {"without skips": drop_skips(blocks), "without skips and MLPs": drop_skips(blocks, "attention")}
    arms = {f"with skips {block}": Arm(readout=TokenSpread(layer=block)) for block in blocks}
    for name, edit in cut.items():
        arms |= {f"{name} {block}": Arm(intervention=edit, readout=TokenSpread(layer=block)) for block in blocks}
    return Plan(
        arms=arms,
        effect=every(
            Holds(level(f"without skips {JUDGED}"), "equal", f"spread after block {JUDGED}, without skips"),
            Holds(level(f"with skips {blocks[-1]}"), "apart", "spread after the last block, with skips"),
        ),
        control=Holds(level(f"with skips {JUDGED}"), "equal", f"spread after block {JUDGED}, with skips"),
        curves={name: curve({block: level(f"{name} {block}") for block in blocks}) for name in ("with skips", *cut)},
    )
