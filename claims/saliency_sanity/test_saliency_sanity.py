"""Whether maps that explain an answer change when the weights behind it are drawn anew."""

from harness import Arm, Batches, Holds, Plan, RankKept, SameMap, claim, curve, every, level, saliencies, some


@claim("saliency-follows-the-model")
def test_signed_gradients_follow_the_head_and_rollout_does_not(card):
    stages = (0, card.depth // 2, card.depth)
    maps = saliencies(card)
    arms = {f"{name} {blocks}": Arm(readout=RankKept(name, blocks)) for name in maps for blocks in stages}
    arms["edges"] = Arm(readout=RankKept("edges", 0))
    arms |= {f"same {blocks}": Arm(readout=SameMap("rollout", blocks)) for blocks in (0, card.depth)}
    return Plan(
        census=Batches(),
        arms=arms,
        effect=every(
            Holds(level("gradient x input 0"), "follows", "rank correlation, signed gradient x input, head drawn anew"),
            Holds(level("same 0"), "same", "share of pictures with the same rollout, head drawn anew"),
        ),
        control=some(
            Holds(level("edges"), "follows", "rank correlation of pixel differences"),
            Holds(level(f"same {card.depth}"), "same", "share of pictures with the same rollout, all drawn anew"),
        ),
        curves={name: curve({blocks: level(f"{name} {blocks}") for blocks in stages}) for name in maps},
    )
