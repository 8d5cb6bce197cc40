"""Which frequencies of the feature map attention and the MLPs raise or lower."""

from harness import Arm, AtLeast, Holds, NotApplicable, Plan, SpectrumChange, claim, curve, every, level

FEWEST = 2  # rows and columns of patches from which on there is a frequency beside the mean


@claim("attention-low-pass-mlp-high-pass")
def test_attention_lowers_high_frequencies_and_mlps_raise_them(card):
    if min(card.grid) < FEWEST:
        raise NotApplicable(
            f"the patches lie in {card.grid[0]} x {card.grid[1]}, which has no frequency in one direction"
        )
    blocks = range(card.depth)
    arms = {
        f"{branch}@{b}": Arm(readout=SpectrumChange(layer=b, branch=branch))
        for branch in ("attention", "mlp")
        for b in blocks
    }

    def lowers(branch):
        parts = [Holds(level(f"{branch}@{b}"), "lowers", f"change of the spectrum by {branch}@{b}") for b in blocks]
        return AtLeast(-(-3 * card.depth // 4), tuple(parts))

    raises = [Holds(level(f"mlp@{b}"), "raises", f"change of the spectrum by mlp@{b}") for b in blocks]
    return Plan(
        arms=arms,
        effect=every(lowers("attention"), AtLeast(-(-card.depth // 2), tuple(raises))),
        control=lowers("mlp"),
        curves={branch: curve({b: level(f"{branch}@{b}") for b in blocks}) for branch in ("attention", "mlp")},
    )
