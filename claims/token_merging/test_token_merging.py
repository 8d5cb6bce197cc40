"""What is left of a ViT's accuracy when like tokens are merged in every block."""

from harness import Arm, Holds, Plan, claim, curve, level, merge_tokens, merges_per_block, ratio


@claim("token-merging-keeps-accuracy")
def test_merging_the_most_similar_tokens_does_little_harm(card):
    counts = (merges_per_block(card), 2 * merges_per_block(card))
    edits = {f"{pairs} {n}": merge_tokens(card, n, pairs) for pairs in ("alike", "unlike", "random") for n in counts}
    edits |= {f"dropped {n}": merge_tokens(card, n, drop=True) for n in counts}
    kept = {name: ratio(name, "clean") for name in edits}
    return Plan(
        arms={"clean": Arm(), **{name: Arm(intervention=edit) for name, edit in edits.items()}},
        effect=Holds(kept[f"alike {counts[0]}"], "kept", "accuracy, most similar pairs merged / clean"),
        control=Holds(kept[f"unlike {counts[0]}"], "kept", "accuracy, least similar pairs merged / clean"),
        gate=Holds(level("clean"), "gate"),
        curves={
            name: curve({n: kept[f"{name} {n}"] for n in counts}) for name in ("alike", "unlike", "random", "dropped")
        },
    )
