"""What is left of accuracies when squares of the picture change places: ViTs beside CNNs."""

from harness import (
    Arm,
    Holds,
    Plan,
    Retention,
    claim,
    curve,
    every,
    gap_kept,
    level,
    own_squares,
    ratio,
    shuffle_squares,
    squares_shown,
)


@claim("vit-tolerates-patch-shuffle-more-than-cnn")
def test_a_vit_keeps_more_than_a_cnn_of_shuffled_patches(vit, cnn):
    own, counts, models = own_squares(vit, cnn), squares_shown(vit, cnn), {"vit": vit, "cnn": cnn}
    arms = {f"{role} full": Arm(subject=role) for role in models}
    for role, card in models.items():
        arms |= {f"{role} {n}": Arm(subject=role, intervention=shuffle_squares(card, n)) for n in counts}
    gaps = {
        n: gap_kept(name, Retention(f"vit {n}", "vit full"), Retention(f"cnn {n}", "cnn full"))
        for n, name in ((own, "patches"), (2 * own, "quarters"))
    }
    return Plan(
        arms=arms,
        derived={name: one for gap in gaps.values() for name, one in gap.derived.items()},
        effect=Holds(gaps[own].quantity, "more kept", "share kept, patches shuffled, ViT - CNN"),
        control=Holds(gaps[2 * own].quantity, "more kept", "share kept, quarters of patches shuffled, ViT - CNN"),
        gate=every(*[Holds(level(f"{role} full"), "gate", f"accuracy, {role}") for role in models]),
        curves={
            f"retention, {role}": curve({n: ratio(f"{role} {n}", f"{role} full") for n in counts}) for role in models
        },
    )
