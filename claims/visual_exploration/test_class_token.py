"""When the class token is needed: isolated from the patches, alone, or replaced by patch tokens.

The source counts k leading blocks; layers here are the 0-based block after which something is cut or dropped: k - 1.
"""

from harness import (
    Accuracy,
    Arm,
    CrossEntropy,
    Holds,
    NotApplicable,
    PatchAccuracy,
    Plan,
    claim,
    cls_alone,
    curve,
    difference,
    every,
    isolate_cls,
    isolate_cls_with_noise,
    level,
    ratio,
    refuse_shallow,
    some,
)

MOST_POSITIONS = 1024  # of finer patch grids an even sample of positions is read


@claim("cls-isolated-until-last-block")
def test_accuracy_survives_isolating_the_class_token(card):
    if card.native not in ("class", "class+distillation"):
        raise NotApplicable(f"the model's own head does not read a class token (its readout: {card.native})")
    refuse_shallow(card, 2)
    depth = card.depth
    arms = {f"isolated@{k}": Arm(intervention=isolate_cls(range(k))) for k in range(1, depth + 1)}
    arms |= {"clean": Arm(), "noise": Arm(intervention=isolate_cls_with_noise(range(depth - 1)))}
    retention = {k: ratio(f"isolated@{k}", "clean") for k in range(1, depth + 1)}
    return Plan(
        arms=arms,
        effect=every(
            *[Holds(retention[k], "early", f"retention, k = {k}") for k in range(1, 3 * depth // 4 + 1)],
            Holds(retention[depth - 1], "last", f"retention, k = {depth - 1}"),
        ),
        control=Holds(retention[depth], "last", f"retention, k = {depth}"),
        gate=Holds(level("clean"), "gate"),
        curves={
            "retention": curve({k - 1: retention[k] for k in retention}),
            "accuracy": curve({k - 1: level(f"isolated@{k}") for k in retention}),
            "noise": curve({depth - 2: ratio("noise", "clean")}),
        },
    )


@claim("last-block-every-patch-carries-class")
def test_the_head_works_on_every_patch_of_the_last_block(card):
    refuse_shallow(card, 2)
    last = card.depth - 1
    positions = range(0, card.patches, max(1, -(-card.patches // MOST_POSITIONS)))
    arms = {f"patch {p}": Arm(readout=PatchAccuracy(layer=last, position=p)) for p in positions}
    arms |= {f"patches@{b}": Arm(readout=PatchAccuracy(layer=b)) for b in range(card.depth)}
    arms["clean"] = Arm()
    average = {b: ratio(f"patches@{b}", "clean") for b in range(card.depth)}
    return Plan(
        arms=arms,
        effect=every(
            Holds(average[last], "average", "average patch / model"),
            some(*[Holds(ratio(f"patch {p}", "clean"), "best", f"patch {p} / model") for p in positions]),
        ),
        control=Holds(average[last - 1], "average", "average patch of the block before / model"),
        gate=Holds(level("clean"), "gate"),
        curves={"retention": curve(average)},
    )


@claim("last-block-acts-like-average-pooling")
def test_the_mean_patch_replaces_the_class_token(card):
    refuse_shallow(card, 2)
    last = card.depth - 1
    arms = {f"mean@{b}": Arm(readout=Accuracy(head="patch mean", layer=b)) for b in range(card.depth)}
    arms |= {
        "clean": Arm(),
        "entropy mean": Arm(readout=CrossEntropy(head="patch mean")),
        "entropy class": Arm(readout=CrossEntropy()),
    }
    kept = {b: ratio(f"mean@{b}", "clean") for b in range(card.depth)}
    return Plan(
        arms=arms,
        effect=every(
            Holds(kept[last], "mean", "mean patch / class token"),
            Holds(difference("entropy mean", "entropy class"), "entropy", "cross-entropy, mean - class"),
        ),
        control=Holds(kept[last - 1], "mean", "mean patch of the block before / class token"),
        gate=Holds(level("clean"), "gate"),
        curves={"retention": curve(kept), "accuracy": curve({b: level(f"mean@{b}") for b in range(card.depth)})},
    )


@claim("cls-carries-information-before-last-block")
def test_the_class_token_alone_carries_the_class_late_only(card):
    refuse_shallow(card, 2)
    depth = card.depth
    alone = cls_alone(depth - 2)
    arms = {f"alone@{k}": Arm(intervention=cls_alone(k - 1)) for k in range(depth)}
    arms |= {"clean": Arm(), "untrained": Arm(intervention=alone, weights="untrained")}
    names = {**{k: f"alone@{k}" for k in range(depth)}, depth: "clean"}
    return Plan(
        arms=arms,
        effect=every(
            *[
                Holds(difference(names[k + 1], names[k]), "step", f"step k = {k}->{k + 1}")
                for k in range(-(-depth // 2), depth)
            ],
            Holds(ratio(names[depth - 1], "clean"), "late", f"retention, k = {depth - 1}"),
            Holds(level(names[depth // 4]), "early", f"accuracy, k = {depth // 4}"),
        ),
        control=Holds(ratio("untrained", "clean"), "late", f"untrained, k = {depth - 1}, over the trained model"),
        gate=Holds(level("clean"), "gate"),
        curves={
            "accuracy": curve({k - 1: level(name) for k, name in names.items()}),
            "retention": curve({k - 1: ratio(name, "clean") for k, name in names.items() if k < depth}),
        },
    )
